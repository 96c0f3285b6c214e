"""The names of steep.faiss, for type checkers; `_homes` says the same at run time."""

from steep.faiss._arrays import (
    ClusteringIterationStatsVector as ClusteringIterationStatsVector,
)
from steep.faiss._arrays import (
    Float32Vector as Float32Vector,
)
from steep.faiss._arrays import (
    Float32VectorVector as Float32VectorVector,
)
from steep.faiss._arrays import (
    Float64Vector as Float64Vector,
)
from steep.faiss._arrays import (
    Int8Vector as Int8Vector,
)
from steep.faiss._arrays import (
    Int16Vector as Int16Vector,
)
from steep.faiss._arrays import (
    Int32Vector as Int32Vector,
)
from steep.faiss._arrays import (
    Int32VectorVector as Int32VectorVector,
)
from steep.faiss._arrays import (
    Int64Vector as Int64Vector,
)
from steep.faiss._arrays import (
    Int64VectorVector as Int64VectorVector,
)
from steep.faiss._arrays import (
    InvertedListsPtrVector as InvertedListsPtrVector,
)
from steep.faiss._arrays import (
    MaybeOwnedVectorFloat32 as MaybeOwnedVectorFloat32,
)
from steep.faiss._arrays import (
    MaybeOwnedVectorFloat32Vector as MaybeOwnedVectorFloat32Vector,
)
from steep.faiss._arrays import (
    MaybeOwnedVectorInt32 as MaybeOwnedVectorInt32,
)
from steep.faiss._arrays import (
    MaybeOwnedVectorInt32Vector as MaybeOwnedVectorInt32Vector,
)
from steep.faiss._arrays import (
    MaybeOwnedVectorUInt8 as MaybeOwnedVectorUInt8,
)
from steep.faiss._arrays import (
    MaybeOwnedVectorUInt8Vector as MaybeOwnedVectorUInt8Vector,
)
from steep.faiss._arrays import (
    OperatingPointVector as OperatingPointVector,
)
from steep.faiss._arrays import (
    ParameterRangeVector as ParameterRangeVector,
)
from steep.faiss._arrays import (
    RepeatVector as RepeatVector,
)
from steep.faiss._arrays import (
    UInt8Vector as UInt8Vector,
)
from steep.faiss._arrays import (
    UInt8VectorVector as UInt8VectorVector,
)
from steep.faiss._arrays import (
    UInt16Vector as UInt16Vector,
)
from steep.faiss._arrays import (
    UInt32Vector as UInt32Vector,
)
from steep.faiss._arrays import (
    UInt64Vector as UInt64Vector,
)
from steep.faiss._arrays import (
    VectorTransformVector as VectorTransformVector,
)
from steep.faiss._arrays import (
    copy_array_to_vector as copy_array_to_vector,
)
from steep.faiss._arrays import (
    memcpy as memcpy,
)
from steep.faiss._arrays import (
    rev_swig_ptr as rev_swig_ptr,
)
from steep.faiss._arrays import (
    swig_ptr as swig_ptr,
)
from steep.faiss._arrays import (
    vector_float_to_array as vector_float_to_array,
)
from steep.faiss._arrays import (
    vector_to_array as vector_to_array,
)
from steep.faiss._base import (
    METRIC_GOWER as METRIC_GOWER,
)
from steep.faiss._base import (
    METRIC_INNER_PRODUCT as METRIC_INNER_PRODUCT,
)
from steep.faiss._base import (
    METRIC_L1 as METRIC_L1,
)
from steep.faiss._base import (
    METRIC_L2 as METRIC_L2,
)
from steep.faiss._base import (
    Float16 as Float16,
)
from steep.faiss._base import (
    Float32 as Float32,
)
from steep.faiss._base import (
    Index as Index,
)
from steep.faiss._base import (
    Int8 as Int8,
)
from steep.faiss._base import (
    METRIC_BrayCurtis as METRIC_BrayCurtis,
)
from steep.faiss._base import (
    METRIC_Canberra as METRIC_Canberra,
)
from steep.faiss._base import (
    METRIC_Jaccard as METRIC_Jaccard,
)
from steep.faiss._base import (
    METRIC_JensenShannon as METRIC_JensenShannon,
)
from steep.faiss._base import (
    METRIC_Linf as METRIC_Linf,
)
from steep.faiss._base import (
    METRIC_Lp as METRIC_Lp,
)
from steep.faiss._base import (
    METRIC_NaNEuclidean as METRIC_NaNEuclidean,
)
from steep.faiss._base import (
    UInt8 as UInt8,
)
from steep.faiss._base import (
    clone_index as clone_index,
)
from steep.faiss._base import (
    downcast_index as downcast_index,
)
from steep.faiss._base import (
    downcast_IndexBinary as downcast_IndexBinary,
)
from steep.faiss._base import (
    downcast_InvertedLists as downcast_InvertedLists,
)
from steep.faiss._base import (
    downcast_Quantizer as downcast_Quantizer,
)
from steep.faiss._binary import (
    BinaryInvertedListScanner as BinaryInvertedListScanner,
)
from steep.faiss._binary import (
    IndexBinary as IndexBinary,
)
from steep.faiss._binary import (
    IndexBinaryFlat as IndexBinaryFlat,
)
from steep.faiss._binary import (
    IndexBinaryFromFloat as IndexBinaryFromFloat,
)
from steep.faiss._binary import (
    IndexBinaryHash as IndexBinaryHash,
)
from steep.faiss._binary import (
    IndexBinaryHNSW as IndexBinaryHNSW,
)
from steep.faiss._binary import (
    IndexBinaryIDMap as IndexBinaryIDMap,
)
from steep.faiss._binary import (
    IndexBinaryIDMap2 as IndexBinaryIDMap2,
)
from steep.faiss._binary import (
    IndexBinaryIVF as IndexBinaryIVF,
)
from steep.faiss._binary import (
    IndexBinaryMultiHash as IndexBinaryMultiHash,
)
from steep.faiss._binary import (
    binary_to_real as binary_to_real,
)
from steep.faiss._binary import (
    bitvec_shuffle as bitvec_shuffle,
)
from steep.faiss._binary import (
    bitvecs2fvecs as bitvecs2fvecs,
)
from steep.faiss._binary import (
    clone_binary_index as clone_binary_index,
)
from steep.faiss._binary import (
    crosshamming_count_thres as crosshamming_count_thres,
)
from steep.faiss._binary import (
    fvec2bitvec as fvec2bitvec,
)
from steep.faiss._binary import (
    fvecs2bitvecs as fvecs2bitvecs,
)
from steep.faiss._binary import (
    generalized_hamming_64 as generalized_hamming_64,
)
from steep.faiss._binary import (
    generalized_hammings_knn_hc as generalized_hammings_knn_hc,
)
from steep.faiss._binary import (
    hamming_count_thres as hamming_count_thres,
)
from steep.faiss._binary import (
    hammings as hammings,
)
from steep.faiss._binary import (
    hammings_knn as hammings_knn,
)
from steep.faiss._binary import (
    hammings_knn_hc as hammings_knn_hc,
)
from steep.faiss._binary import (
    hammings_knn_mc as hammings_knn_mc,
)
from steep.faiss._binary import (
    match_hamming_thres as match_hamming_thres,
)
from steep.faiss._binary import (
    real_to_binary as real_to_binary,
)
from steep.faiss._codes import (
    IndexFlatCodes as IndexFlatCodes,
)
from steep.faiss._codes import (
    IndexPQ as IndexPQ,
)
from steep.faiss._codes import (
    IndexPQFastScan as IndexPQFastScan,
)
from steep.faiss._codes import (
    IndexRaBitQ as IndexRaBitQ,
)
from steep.faiss._codes import (
    IndexRaBitQFastScan as IndexRaBitQFastScan,
)
from steep.faiss._codes import (
    IndexScalarQuantizer as IndexScalarQuantizer,
)
from steep.faiss._distances import (
    fvec_add as fvec_add,
)
from steep.faiss._distances import (
    fvec_argsort as fvec_argsort,
)
from steep.faiss._distances import (
    fvec_argsort_parallel as fvec_argsort_parallel,
)
from steep.faiss._distances import (
    fvec_inner_product as fvec_inner_product,
)
from steep.faiss._distances import (
    fvec_inner_products_by_idx as fvec_inner_products_by_idx,
)
from steep.faiss._distances import (
    fvec_inner_products_ny as fvec_inner_products_ny,
)
from steep.faiss._distances import (
    fvec_L1 as fvec_L1,
)
from steep.faiss._distances import (
    fvec_L2sqr as fvec_L2sqr,
)
from steep.faiss._distances import (
    fvec_L2sqr_by_idx as fvec_L2sqr_by_idx,
)
from steep.faiss._distances import (
    fvec_L2sqr_ny as fvec_L2sqr_ny,
)
from steep.faiss._distances import (
    fvec_L2sqr_ny_nearest as fvec_L2sqr_ny_nearest,
)
from steep.faiss._distances import (
    fvec_Linf as fvec_Linf,
)
from steep.faiss._distances import (
    fvec_madd as fvec_madd,
)
from steep.faiss._distances import (
    fvec_madd_and_argmin as fvec_madd_and_argmin,
)
from steep.faiss._distances import (
    fvec_norm_L2sqr as fvec_norm_L2sqr,
)
from steep.faiss._distances import (
    fvec_norms_L2 as fvec_norms_L2,
)
from steep.faiss._distances import (
    fvec_norms_L2sqr as fvec_norms_L2sqr,
)
from steep.faiss._distances import (
    fvec_renorm_L2 as fvec_renorm_L2,
)
from steep.faiss._distances import (
    fvec_sub as fvec_sub,
)
from steep.faiss._distances import (
    inner_product_to_L2sqr as inner_product_to_L2sqr,
)
from steep.faiss._distances import (
    is_similarity_metric as is_similarity_metric,
)
from steep.faiss._distances import (
    knn as knn,
)
from steep.faiss._distances import (
    knn_extra_metrics as knn_extra_metrics,
)
from steep.faiss._distances import (
    knn_gpu as knn_gpu,
)
from steep.faiss._distances import (
    knn_hamming as knn_hamming,
)
from steep.faiss._distances import (
    knn_inner_product as knn_inner_product,
)
from steep.faiss._distances import (
    knn_inner_products_by_idx as knn_inner_products_by_idx,
)
from steep.faiss._distances import (
    knn_L2sqr as knn_L2sqr,
)
from steep.faiss._distances import (
    knn_L2sqr_by_idx as knn_L2sqr_by_idx,
)
from steep.faiss._distances import (
    matrix_qr as matrix_qr,
)
from steep.faiss._distances import (
    metric_type_count as metric_type_count,
)
from steep.faiss._distances import (
    metric_type_from_int as metric_type_from_int,
)
from steep.faiss._distances import (
    normalize_L2 as normalize_L2,
)
from steep.faiss._distances import (
    pairwise_distances as pairwise_distances,
)
from steep.faiss._distances import (
    pairwise_extra_distances as pairwise_extra_distances,
)
from steep.faiss._distances import (
    pairwise_indexed_inner_product as pairwise_indexed_inner_product,
)
from steep.faiss._distances import (
    pairwise_indexed_L2sqr as pairwise_indexed_L2sqr,
)
from steep.faiss._distances import (
    pairwise_L2sqr as pairwise_L2sqr,
)
from steep.faiss._factory import (
    index_binary_factory as index_binary_factory,
)
from steep.faiss._factory import (
    index_factory as index_factory,
)
from steep.faiss._flat import (
    IndexFlat as IndexFlat,
)
from steep.faiss._flat import (
    IndexFlat1D as IndexFlat1D,
)
from steep.faiss._flat import (
    IndexFlatIP as IndexFlatIP,
)
from steep.faiss._flat import (
    IndexFlatL2 as IndexFlatL2,
)
from steep.faiss._graphs import (
    IndexHNSW as IndexHNSW,
)
from steep.faiss._graphs import (
    IndexHNSW2Level as IndexHNSW2Level,
)
from steep.faiss._graphs import (
    IndexHNSWCagra as IndexHNSWCagra,
)
from steep.faiss._graphs import (
    IndexHNSWFlat as IndexHNSWFlat,
)
from steep.faiss._graphs import (
    IndexHNSWFlatPanorama as IndexHNSWFlatPanorama,
)
from steep.faiss._graphs import (
    IndexHNSWPQ as IndexHNSWPQ,
)
from steep.faiss._graphs import (
    IndexHNSWRaBitQ as IndexHNSWRaBitQ,
)
from steep.faiss._graphs import (
    IndexHNSWSQ as IndexHNSWSQ,
)
from steep.faiss._graphs import (
    IndexNSG as IndexNSG,
)
from steep.faiss._graphs import (
    IndexNSGFlat as IndexNSGFlat,
)
from steep.faiss._graphs import (
    IndexNSGPQ as IndexNSGPQ,
)
from steep.faiss._graphs import (
    IndexNSGSQ as IndexNSGSQ,
)
from steep.faiss._hnsw import (
    HNSW as HNSW,
)
from steep.faiss._hnsw import (
    NSG as NSG,
)
from steep.faiss._hnsw import (
    VisitedTable as VisitedTable,
)
from steep.faiss._idmap import (
    IndexIDMap as IndexIDMap,
)
from steep.faiss._idmap import (
    IndexIDMap2 as IndexIDMap2,
)
from steep.faiss._io import (
    IO_FLAG_MMAP as IO_FLAG_MMAP,
)
from steep.faiss._io import (
    IO_FLAG_MMAP_IFC as IO_FLAG_MMAP_IFC,
)
from steep.faiss._io import (
    IO_FLAG_ONDISK_SAME_DIR as IO_FLAG_ONDISK_SAME_DIR,
)
from steep.faiss._io import (
    IO_FLAG_PQ_SKIP_SDC_TABLE as IO_FLAG_PQ_SKIP_SDC_TABLE,
)
from steep.faiss._io import (
    IO_FLAG_READ_ONLY as IO_FLAG_READ_ONLY,
)
from steep.faiss._io import (
    IO_FLAG_SKIP_IVF_DATA as IO_FLAG_SKIP_IVF_DATA,
)
from steep.faiss._io import (
    IO_FLAG_SKIP_PRECOMPUTE_TABLE as IO_FLAG_SKIP_PRECOMPUTE_TABLE,
)
from steep.faiss._io import (
    IO_FLAG_SKIP_STORAGE as IO_FLAG_SKIP_STORAGE,
)
from steep.faiss._io import (
    BufferedIOReader as BufferedIOReader,
)
from steep.faiss._io import (
    BufferedIOWriter as BufferedIOWriter,
)
from steep.faiss._io import (
    FileIOReader as FileIOReader,
)
from steep.faiss._io import (
    FileIOWriter as FileIOWriter,
)
from steep.faiss._io import (
    IOReader as IOReader,
)
from steep.faiss._io import (
    IOWriter as IOWriter,
)
from steep.faiss._io import (
    PyCallbackIOReader as PyCallbackIOReader,
)
from steep.faiss._io import (
    PyCallbackIOWriter as PyCallbackIOWriter,
)
from steep.faiss._io import (
    VectorIOReader as VectorIOReader,
)
from steep.faiss._io import (
    VectorIOWriter as VectorIOWriter,
)
from steep.faiss._io import (
    ZeroCopyIOReader as ZeroCopyIOReader,
)
from steep.faiss._io import (
    deserialize_index as deserialize_index,
)
from steep.faiss._io import (
    deserialize_index_binary as deserialize_index_binary,
)
from steep.faiss._io import (
    read_index as read_index,
)
from steep.faiss._io import (
    read_index_binary as read_index_binary,
)
from steep.faiss._io import (
    read_ProductQuantizer as read_ProductQuantizer,
)
from steep.faiss._io import (
    read_VectorTransform as read_VectorTransform,
)
from steep.faiss._io import (
    serialize_index as serialize_index,
)
from steep.faiss._io import (
    serialize_index_binary as serialize_index_binary,
)
from steep.faiss._io import (
    write_index as write_index,
)
from steep.faiss._io import (
    write_index_binary as write_index_binary,
)
from steep.faiss._io import (
    write_ProductQuantizer as write_ProductQuantizer,
)
from steep.faiss._io import (
    write_VectorTransform as write_VectorTransform,
)
from steep.faiss._ivf import (
    IndexIVF as IndexIVF,
)
from steep.faiss._ivf_kinds import (
    IndexIVFFastScan as IndexIVFFastScan,
)
from steep.faiss._ivf_kinds import (
    IndexIVFFlat as IndexIVFFlat,
)
from steep.faiss._ivf_kinds import (
    IndexIVFPQ as IndexIVFPQ,
)
from steep.faiss._ivf_kinds import (
    IndexIVFPQFastScan as IndexIVFPQFastScan,
)
from steep.faiss._ivf_kinds import (
    IndexIVFRaBitQ as IndexIVFRaBitQ,
)
from steep.faiss._ivf_kinds import (
    IndexIVFRaBitQFastScan as IndexIVFRaBitQFastScan,
)
from steep.faiss._ivf_kinds import (
    IndexIVFScalarQuantizer as IndexIVFScalarQuantizer,
)
from steep.faiss._ivflib import (
    check_compatible_for_merge as check_compatible_for_merge,
)
from steep.faiss._ivflib import (
    extract_index_ivf as extract_index_ivf,
)
from steep.faiss._ivflib import (
    get_invlist_range as get_invlist_range,
)
from steep.faiss._ivflib import (
    merge_into as merge_into,
)
from steep.faiss._ivflib import (
    range_search_with_parameters as range_search_with_parameters,
)
from steep.faiss._ivflib import (
    search_centroid as search_centroid,
)
from steep.faiss._ivflib import (
    search_with_parameters as search_with_parameters,
)
from steep.faiss._ivflib import (
    set_invlist_range as set_invlist_range,
)
from steep.faiss._ivflib import (
    try_extract_index_ivf as try_extract_index_ivf,
)
from steep.faiss._kmeans import (
    Clustering as Clustering,
)
from steep.faiss._kmeans import (
    ClusteringInitialization as ClusteringInitialization,
)
from steep.faiss._kmeans import (
    ClusteringInitMethod_AFK_MC2 as ClusteringInitMethod_AFK_MC2,
)
from steep.faiss._kmeans import (
    ClusteringInitMethod_KMEANS_PLUS_PLUS as ClusteringInitMethod_KMEANS_PLUS_PLUS,
)
from steep.faiss._kmeans import (
    ClusteringInitMethod_RANDOM as ClusteringInitMethod_RANDOM,
)
from steep.faiss._kmeans import (
    ClusteringIterationStats as ClusteringIterationStats,
)
from steep.faiss._kmeans import (
    ClusteringParameters as ClusteringParameters,
)
from steep.faiss._kmeans import (
    Kmeans as Kmeans,
)
from steep.faiss._kmeans import (
    ProgressiveDimClustering as ProgressiveDimClustering,
)
from steep.faiss._kmeans import (
    ProgressiveDimClusteringParameters as ProgressiveDimClusteringParameters,
)
from steep.faiss._kmeans import (
    ProgressiveDimIndexFactory as ProgressiveDimIndexFactory,
)
from steep.faiss._kmeans import (
    imbalance_factor as imbalance_factor,
)
from steep.faiss._kmeans import (
    kmeans_clustering as kmeans_clustering,
)
from steep.faiss._lists import (
    ArrayInvertedLists as ArrayInvertedLists,
)
from steep.faiss._lists import (
    BlockInvertedLists as BlockInvertedLists,
)
from steep.faiss._lists import (
    DirectMap as DirectMap,
)
from steep.faiss._lists import (
    InvertedLists as InvertedLists,
)
from steep.faiss._lists import (
    lo_build as lo_build,
)
from steep.faiss._lists import (
    lo_listno as lo_listno,
)
from steep.faiss._lists import (
    lo_offset as lo_offset,
)
from steep.faiss._parameters import (
    AutoTuneCriterion as AutoTuneCriterion,
)
from steep.faiss._parameters import (
    IndexRefineSearchParameters as IndexRefineSearchParameters,
)
from steep.faiss._parameters import (
    IntersectionCriterion as IntersectionCriterion,
)
from steep.faiss._parameters import (
    IVFPQSearchParameters as IVFPQSearchParameters,
)
from steep.faiss._parameters import (
    IVFRaBitQSearchParameters as IVFRaBitQSearchParameters,
)
from steep.faiss._parameters import (
    IVFSearchParameters as IVFSearchParameters,
)
from steep.faiss._parameters import (
    IVFSQTurboQSearchParameters as IVFSQTurboQSearchParameters,
)
from steep.faiss._parameters import (
    OneRecallAtRCriterion as OneRecallAtRCriterion,
)
from steep.faiss._parameters import (
    OperatingPoint as OperatingPoint,
)
from steep.faiss._parameters import (
    OperatingPoints as OperatingPoints,
)
from steep.faiss._parameters import (
    ParameterRange as ParameterRange,
)
from steep.faiss._parameters import (
    ParameterSpace as ParameterSpace,
)
from steep.faiss._parameters import (
    RaBitQSearchParameters as RaBitQSearchParameters,
)
from steep.faiss._parameters import (
    SearchParameters as SearchParameters,
)
from steep.faiss._parameters import (
    SearchParametersHNSW as SearchParametersHNSW,
)
from steep.faiss._parameters import (
    SearchParametersIVF as SearchParametersIVF,
)
from steep.faiss._parameters import (
    SearchParametersPQ as SearchParametersPQ,
)
from steep.faiss._parameters import (
    SearchParametersPreTransform as SearchParametersPreTransform,
)
from steep.faiss._parameters import (
    SearchParametersResidualCoarseQuantizer as SearchParametersResidualCoarseQuantizer,
)
from steep.faiss._pretransform import (
    IndexPreTransform as IndexPreTransform,
)
from steep.faiss._quantizers import (
    ProductQuantizer as ProductQuantizer,
)
from steep.faiss._quantizers import (
    Quantizer as Quantizer,
)
from steep.faiss._quantizers import (
    RaBitQuantizer as RaBitQuantizer,
)
from steep.faiss._quantizers import (
    ScalarQuantizer as ScalarQuantizer,
)
from steep.faiss._random import (
    RandomGenerator as RandomGenerator,
)
from steep.faiss._random import (
    SplitMix64RandomGenerator as SplitMix64RandomGenerator,
)
from steep.faiss._random import (
    byte_rand as byte_rand,
)
from steep.faiss._random import (
    float_rand as float_rand,
)
from steep.faiss._random import (
    float_randn as float_randn,
)
from steep.faiss._random import (
    int64_rand as int64_rand,
)
from steep.faiss._random import (
    int64_rand_max as int64_rand_max,
)
from steep.faiss._random import (
    lrand as lrand,
)
from steep.faiss._random import (
    rand as rand,
)
from steep.faiss._random import (
    rand_perm as rand_perm,
)
from steep.faiss._random import (
    rand_perm_splitmix64 as rand_perm_splitmix64,
)
from steep.faiss._random import (
    rand_smooth_vectors as rand_smooth_vectors,
)
from steep.faiss._random import (
    randint as randint,
)
from steep.faiss._random import (
    randn as randn,
)
from steep.faiss._refine import (
    IndexRefine as IndexRefine,
)
from steep.faiss._refine import (
    IndexRefineFlat as IndexRefineFlat,
)
from steep.faiss._selectors import (
    IDSelector as IDSelector,
)
from steep.faiss._selectors import (
    IDSelectorAll as IDSelectorAll,
)
from steep.faiss._selectors import (
    IDSelectorAnd as IDSelectorAnd,
)
from steep.faiss._selectors import (
    IDSelectorArray as IDSelectorArray,
)
from steep.faiss._selectors import (
    IDSelectorBatch as IDSelectorBatch,
)
from steep.faiss._selectors import (
    IDSelectorBitmap as IDSelectorBitmap,
)
from steep.faiss._selectors import (
    IDSelectorNot as IDSelectorNot,
)
from steep.faiss._selectors import (
    IDSelectorOr as IDSelectorOr,
)
from steep.faiss._selectors import (
    IDSelectorRange as IDSelectorRange,
)
from steep.faiss._selectors import (
    IDSelectorTranslated as IDSelectorTranslated,
)
from steep.faiss._selectors import (
    IDSelectorXOr as IDSelectorXOr,
)
from steep.faiss._selectors import (
    PyCallbackIDSelector as PyCallbackIDSelector,
)
from steep.faiss._shards import (
    IndexReplicas as IndexReplicas,
)
from steep.faiss._shards import (
    IndexShards as IndexShards,
)
from steep.faiss._simd import (
    FAISS_VERSION_MAJOR as FAISS_VERSION_MAJOR,
)
from steep.faiss._simd import (
    FAISS_VERSION_MINOR as FAISS_VERSION_MINOR,
)
from steep.faiss._simd import (
    FAISS_VERSION_PATCH as FAISS_VERSION_PATCH,
)
from steep.faiss._simd import (
    VERSION_STRING as VERSION_STRING,
)
from steep.faiss._simd import (
    SIMDConfig as SIMDConfig,
)
from steep.faiss._simd import (
    SIMDLevel_ARM_NEON as SIMDLevel_ARM_NEON,
)
from steep.faiss._simd import (
    SIMDLevel_ARM_SVE as SIMDLevel_ARM_SVE,
)
from steep.faiss._simd import (
    SIMDLevel_AVX2 as SIMDLevel_AVX2,
)
from steep.faiss._simd import (
    SIMDLevel_AVX512 as SIMDLevel_AVX512,
)
from steep.faiss._simd import (
    SIMDLevel_AVX512_SPR as SIMDLevel_AVX512_SPR,
)
from steep.faiss._simd import (
    SIMDLevel_AVX512_VPOPCNT as SIMDLevel_AVX512_VPOPCNT,
)
from steep.faiss._simd import (
    SIMDLevel_COUNT as SIMDLevel_COUNT,
)
from steep.faiss._simd import (
    SIMDLevel_NONE as SIMDLevel_NONE,
)
from steep.faiss._simd import (
    SIMDLevel_RISCV_RVV as SIMDLevel_RISCV_RVV,
)
from steep.faiss._simd import (
    check_openmp as check_openmp,
)
from steep.faiss._simd import (
    compiled_simd_levels as compiled_simd_levels,
)
from steep.faiss._simd import (
    cvar as cvar,
)
from steep.faiss._simd import (
    get_compile_options as get_compile_options,
)
from steep.faiss._simd import (
    get_cycles as get_cycles,
)
from steep.faiss._simd import (
    get_mem_usage_kb as get_mem_usage_kb,
)
from steep.faiss._simd import (
    get_num_gpus as get_num_gpus,
)
from steep.faiss._simd import (
    get_version as get_version,
)
from steep.faiss._simd import (
    getmillisecs as getmillisecs,
)
from steep.faiss._simd import (
    omp_get_max_threads as omp_get_max_threads,
)
from steep.faiss._simd import (
    omp_set_num_threads as omp_set_num_threads,
)
from steep.faiss._simd import (
    supported_instruction_sets as supported_instruction_sets,
)
from steep.faiss._simd import (
    swig_version as swig_version,
)
from steep.faiss._simd import (
    to_simd_level as to_simd_level,
)
from steep.faiss._simd import (
    to_string as to_string,
)
from steep.faiss._tables import (
    CMax_float_partition_fuzzy as CMax_float_partition_fuzzy,
)
from steep.faiss._tables import (
    CMax_uint16_partition_fuzzy as CMax_uint16_partition_fuzzy,
)
from steep.faiss._tables import (
    CMin_float_partition_fuzzy as CMin_float_partition_fuzzy,
)
from steep.faiss._tables import (
    CMin_uint16_partition_fuzzy as CMin_uint16_partition_fuzzy,
)
from steep.faiss._tables import (
    CodeSet as CodeSet,
)
from steep.faiss._tables import (
    MapInt64ToInt64 as MapInt64ToInt64,
)
from steep.faiss._tables import (
    MapLong2Long as MapLong2Long,
)
from steep.faiss._tables import (
    MatrixStats as MatrixStats,
)
from steep.faiss._tables import (
    ResultHeap as ResultHeap,
)
from steep.faiss._tables import (
    bucket_sort as bucket_sort,
)
from steep.faiss._tables import (
    checksum as checksum,
)
from steep.faiss._tables import (
    eval_intersection as eval_intersection,
)
from steep.faiss._tables import (
    float_maxheap_array_t as float_maxheap_array_t,
)
from steep.faiss._tables import (
    float_minheap_array_t as float_minheap_array_t,
)
from steep.faiss._tables import (
    int_maxheap_array_t as int_maxheap_array_t,
)
from steep.faiss._tables import (
    int_minheap_array_t as int_minheap_array_t,
)
from steep.faiss._tables import (
    ivec_hist as ivec_hist,
)
from steep.faiss._tables import (
    kmax as kmax,
)
from steep.faiss._tables import (
    kmin as kmin,
)
from steep.faiss._tables import (
    matrix_bucket_sort_inplace as matrix_bucket_sort_inplace,
)
from steep.faiss._tables import (
    merge_knn_results as merge_knn_results,
)
from steep.faiss._tables import (
    pack_bitstrings as pack_bitstrings,
)
from steep.faiss._tables import (
    popcount32 as popcount32,
)
from steep.faiss._tables import (
    popcount64 as popcount64,
)
from steep.faiss._tables import (
    ranklist_intersection_size as ranklist_intersection_size,
)
from steep.faiss._tables import (
    simd_histogram_8 as simd_histogram_8,
)
from steep.faiss._tables import (
    simd_histogram_16 as simd_histogram_16,
)
from steep.faiss._tables import (
    unpack_bitstrings as unpack_bitstrings,
)
from steep.faiss._transforms import (
    CenteringTransform as CenteringTransform,
)
from steep.faiss._transforms import (
    HadamardRotation as HadamardRotation,
)
from steep.faiss._transforms import (
    ITQMatrix as ITQMatrix,
)
from steep.faiss._transforms import (
    ITQTransform as ITQTransform,
)
from steep.faiss._transforms import (
    LinearTransform as LinearTransform,
)
from steep.faiss._transforms import (
    NormalizationTransform as NormalizationTransform,
)
from steep.faiss._transforms import (
    OPQMatrix as OPQMatrix,
)
from steep.faiss._transforms import (
    PCAMatrix as PCAMatrix,
)
from steep.faiss._transforms import (
    RandomRotationMatrix as RandomRotationMatrix,
)
from steep.faiss._transforms import (
    RemapDimensionsTransform as RemapDimensionsTransform,
)
from steep.faiss._transforms import (
    VectorTransform as VectorTransform,
)
from steep.faiss._transforms import (
    downcast_VectorTransform as downcast_VectorTransform,
)
