"""Where is each public name? Modules load when a name of theirs is asked for."""

HOMES = {
    "_aligned": """
        AlignedTableFloat32 AlignedTableUint16 AlignedTableUint8 AlignedTable_to_array array_to_AlignedTable
        copy_array_to_AlignedTable
    """,
    "_apart": """
        IndexIVFIndependentQuantizer
    """,
    "_arrays": """
        ByteVector ByteVectorVector CharVector DoubleVector FloatVector FloatVectorVector IntVector
        LongLongVector LongVector LongVectorVector Uint64Vector
        ClusteringIterationStatsVector Float32Vector Float32VectorVector Float64Vector Int16Vector
        Int32Vector Int32VectorVector Int64Vector Int64VectorVector Int8Vector InvertedListsPtrVector
        MaybeOwnedVectorFloat32 MaybeOwnedVectorFloat32Vector MaybeOwnedVectorInt32
        MaybeOwnedVectorInt32Vector MaybeOwnedVectorUInt8 MaybeOwnedVectorUInt8Vector OperatingPointVector
        ParameterRangeVector RepeatVector UInt16Vector UInt32Vector UInt64Vector UInt8Vector
        UInt8VectorVector VectorTransformVector copy_array_to_vector memcpy rev_swig_ptr swig_ptr
        vector_float_to_array vector_to_array
    """,
    "_base": """
        Float16 Float32 Index Int8 METRIC_BrayCurtis METRIC_Canberra METRIC_GOWER METRIC_INNER_PRODUCT
        METRIC_Jaccard METRIC_JensenShannon METRIC_L1 METRIC_L2 METRIC_Linf METRIC_Lp METRIC_NaNEuclidean
        UInt8 clone_Quantizer clone_index downcast_IndexBinary downcast_InvertedLists downcast_Quantizer
        downcast_index
    """,
    "_binary": """
        BinaryInvertedListScanner IndexBinary IndexBinaryFlat IndexBinaryFromFloat IndexBinaryHNSW
        IndexBinaryHash IndexBinaryIDMap IndexBinaryIDMap2 IndexBinaryIVF IndexBinaryMultiHash
        binary_to_real bitvec_shuffle bitvecs2fvecs clone_binary_index crosshamming_count_thres
        fvec2bitvec fvecs2bitvecs generalized_hamming_64 generalized_hammings_knn_hc hamming_count_thres
        hammings hammings_knn hammings_knn_hc hammings_knn_mc match_hamming_thres real_to_binary
    """,
    "_binary_shards": """
        IndexBinaryReplicas IndexBinaryShards
    """,
    "_bitstring": """
        BitstringReader BitstringWriter
    """,
    "_codes": """
        IndexFlatCodes IndexPQ IndexPQFastScan IndexRaBitQ IndexRaBitQFastScan IndexScalarQuantizer
    """,
    "_computers": """
        DistanceComputer FlatCodesDistanceComputer
    """,
    "_dedup": """
        IndexIVFFlatDedup
    """,
    "_derived": """
        ReadOnlyInvertedLists SliceInvertedLists StopWordsInvertedLists VStackInvertedLists
    """,
    "_distances": """
        fvec_L1 fvec_L2sqr fvec_L2sqr_by_idx fvec_L2sqr_ny fvec_L2sqr_ny_nearest fvec_Linf fvec_add
        fvec_argsort fvec_argsort_parallel fvec_inner_product fvec_inner_products_by_idx
        fvec_inner_products_ny fvec_madd fvec_madd_and_argmin fvec_norm_L2sqr fvec_norms_L2
        fvec_norms_L2sqr fvec_renorm_L2 fvec_sub inner_product_to_L2sqr is_similarity_metric knn knn_L2sqr
        knn_L2sqr_by_idx knn_extra_metrics knn_gpu knn_hamming knn_inner_product knn_inner_products_by_idx
        matrix_qr metric_type_count metric_type_from_int normalize_L2 pairwise_L2sqr pairwise_distances
        pairwise_extra_distances pairwise_indexed_L2sqr pairwise_indexed_inner_product
    """,
    "_factory": """
        index_binary_factory index_factory
    """,
    "_flat": """
        IndexFlat IndexFlat1D IndexFlatIP IndexFlatL2
    """,
    "_graphs": """
        IndexHNSW IndexHNSW2Level IndexHNSWCagra IndexHNSWFlat IndexHNSWFlatPanorama IndexHNSWPQ
        IndexHNSWSQ IndexNSG IndexNSGFlat IndexNSGPQ IndexNSGSQ
    """,
    "_hnsw": """
        HNSW NSG VisitedTable
    """,
    "_hnsw_rabitq": """
        IndexHNSWRaBitQ
    """,
    "_idmap": """
        IndexIDMap IndexIDMap2
    """,
    "_interrupts": """
        InterruptCallback PythonInterruptCallback TimeoutCallback TimeoutGuard
    """,
    "_io": """
        BufferedIOReader BufferedIOWriter FileIOReader FileIOWriter IOReader IOWriter IO_FLAG_MMAP
        IO_FLAG_MMAP_IFC IO_FLAG_ONDISK_SAME_DIR IO_FLAG_PQ_SKIP_SDC_TABLE IO_FLAG_READ_ONLY
        IO_FLAG_SKIP_IVF_DATA IO_FLAG_SKIP_PRECOMPUTE_TABLE IO_FLAG_SKIP_STORAGE PyCallbackIOReader
        PyCallbackIOWriter VectorIOReader VectorIOWriter ZeroCopyIOReader deserialize_index
        deserialize_index_binary read_ProductQuantizer read_VectorTransform read_index read_index_binary
        serialize_index serialize_index_binary write_ProductQuantizer write_VectorTransform write_index
        write_index_binary
    """,
    "_ivf": """
        IndexIVF
    """,
    "_ivf_kinds": """
        IndexIVFFastScan IndexIVFFlat IndexIVFPQ IndexIVFPQFastScan IndexIVFRaBitQ IndexIVFRaBitQFastScan
        IndexIVFScalarQuantizer
    """,
    "_ivflib": """
        check_compatible_for_merge extract_index_ivf get_invlist_range merge_into
        range_search_with_parameters search_and_return_centroids search_centroid search_with_parameters
        set_invlist_range try_extract_index_ivf
    """,
    "_kmeans": """
        Clustering ClusteringInitMethod_AFK_MC2 ClusteringInitMethod_KMEANS_PLUS_PLUS
        ClusteringInitMethod_RANDOM ClusteringInitialization ClusteringIterationStats ClusteringParameters
        Kmeans ProgressiveDimClustering ProgressiveDimClusteringParameters ProgressiveDimIndexFactory
        imbalance_factor kmeans_clustering
    """,
    "_kmeans_kinds": """
        Clustering1D SuperKMeans SuperKMeansParameters SuperKmeans kmeans1d precompute_ad_thresholds smawk
        super_kmeans_assign_iteration
    """,
    "_level1": """
        Level1Quantizer
    """,
    "_lists": """
        ArrayInvertedLists BlockInvertedLists DirectMap InvertedLists lo_build lo_listno lo_offset
    """,
    "_lsh": """
        IndexLSH
    """,
    "_luts": """
        quantize_LUT_and_bias
    """,
    "_matrix_stats": """
        MatrixStats
    """,
    "_noise": """
        IndexRandom
    """,
    "_ondisk": """
        OnDiskInvertedLists OnDiskOneList
    """,
    "_packers": """
        CodePacker CodePackerFlat
    """,
    "_parameters": """
        SearchParametersIVFPQ
        AutoTuneCriterion IVFPQSearchParameters IVFRaBitQSearchParameters IVFSQTurboQSearchParameters
        IVFSearchParameters IndexRefineSearchParameters IntersectionCriterion OneRecallAtRCriterion
        OperatingPoint OperatingPoints ParameterRange ParameterSpace RaBitQSearchParameters
        SearchParameters SearchParametersHNSW SearchParametersIVF SearchParametersPQ
        SearchParametersPreTransform SearchParametersResidualCoarseQuantizer
    """,
    "_polysemous": """
        PolysemousTraining SimulatedAnnealingParameters
    """,
    "_pretransform": """
        IndexPreTransform
    """,
    "_quantizers": """
        ProductQuantizer Quantizer RaBitQuantizer ScalarQuantizer
    """,
    "_random": """
        RandomGenerator SplitMix64RandomGenerator byte_rand float_rand float_randn int64_rand
        int64_rand_max lrand rand rand_perm rand_perm_splitmix64 rand_smooth_vectors randint randn
    """,
    "_refine": """
        IndexRefine IndexRefineFlat
    """,
    "_refined": """
        IndexIVFPQR
    """,
    "_rowwise": """
        IndexRowwiseMinMax IndexRowwiseMinMaxBase IndexRowwiseMinMaxFP16
    """,
    "_selectors": """
        IDSelector IDSelectorAll IDSelectorAnd IDSelectorArray IDSelectorBatch IDSelectorBitmap
        IDSelectorNot IDSelectorOr IDSelectorRange IDSelectorTranslated IDSelectorXOr PyCallbackIDSelector
    """,
    "_sharding": """
        DefaultShardingFunction PyCallbackShardingFunction ShardingFunction shard_binary_ivf_index_centroids
        shard_ivf_index_centroids
    """,
    "_shards": """
        IndexReplicas IndexShards IndexShardsIVF
    """,
    "_simd": """
        FAISS_VERSION_MAJOR FAISS_VERSION_MINOR FAISS_VERSION_PATCH SIMDConfig SIMDLevel_ARM_NEON
        SIMDLevel_ARM_SVE SIMDLevel_AVX2 SIMDLevel_AVX512 SIMDLevel_AVX512_SPR SIMDLevel_AVX512_VPOPCNT
        SIMDLevel_COUNT SIMDLevel_NONE SIMDLevel_RISCV_RVV VERSION_STRING check_openmp
        compiled_simd_levels cvar get_compile_options get_cycles get_mem_usage_kb get_num_gpus get_version
        getmillisecs omp_get_max_threads omp_set_num_threads supported_instruction_sets swig_version
        to_simd_level to_string
    """,
    "_spectral": """
        IndexIVFSpectralHash
    """,
    "_tables": """
        CMax_float_partition_fuzzy CMax_uint16_partition_fuzzy CMin_float_partition_fuzzy
        CMin_uint16_partition_fuzzy CodeSet MapInt64ToInt64 MapLong2Long ResultHeap
        bucket_sort checksum eval_intersection float_maxheap_array_t float_minheap_array_t
        int_maxheap_array_t int_minheap_array_t ivec_hist kmax kmin matrix_bucket_sort_inplace
        merge_knn_results pack_bitstrings popcount32 popcount64 ranklist_intersection_size
        simd_histogram_16 simd_histogram_8 unpack_bitstrings
    """,
    "_transforms": """
        CenteringTransform HadamardRotation ITQMatrix ITQTransform LinearTransform NormalizationTransform
        OPQMatrix PCAMatrix RandomRotationMatrix RemapDimensionsTransform VectorTransform
        downcast_VectorTransform
    """,
    "_two_layers": """
        Index2Layer
    """,
}
