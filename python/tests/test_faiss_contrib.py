"""Faiss's contrib modules: the same numbers from the same input."""

import os
import tempfile

import faiss
import numpy as np
import pytest
from faiss.contrib import datasets as their_datasets
from faiss.contrib import evaluation as their_evaluation
from faiss.contrib import exhaustive_search as their_search
from faiss.contrib import factory_tools as their_tools
from steep import faiss as ours
from steep.faiss.contrib import (
    big_batch_search,
    clustering,
    datasets,
    evaluation,
    exhaustive_search,
    factory_tools,
    inspect_tools,
    ivf_tools,
    vecs_io,
)

# Faiss leaves the thread pools of its own evaluation open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

KEYS = ["IVF16,Flat", "IVF16,SQ8", "IVF16,PQ4np"]


def synthetic() -> datasets.SyntheticDataset:
    return datasets.SyntheticDataset(32, 1000, 2000, 50)


def parts(x: np.ndarray, size: int = 300) -> object:
    return (x[at : at + size] for at in range(0, len(x), size))


def ranges() -> tuple:
    data = synthetic()
    exact, rough = faiss.IndexFlatL2(32), faiss.index_factory(32, "PCA16,Flat")
    rough.train(data.xt)
    exact.add(data.xb)
    rough.add(data.xb)
    return exact.range_search(data.xq, 15.0), rough.range_search(data.xq, 15.0)


def test_the_synthetic_data_set_is_faisss_bit_for_bit() -> None:
    mine, theirs = synthetic(), their_datasets.SyntheticDataset(32, 1000, 2000, 50)
    for name in ("xt", "xb", "xq"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    np.testing.assert_array_equal(mine.get_groundtruth(10), theirs.get_groundtruth(10))
    mine.check_sizes()
    assert str(mine) == str(theirs)
    np.testing.assert_array_equal(np.vstack(list(mine.database_iterator(split=(3, 1)))), mine.xb[666:1333])


def test_a_data_set_whose_files_are_missing_says_so() -> None:
    with pytest.raises(FileNotFoundError, match="set_dataset_basedir"):
        datasets.dataset_from_name("sift1M").get_queries()
    with pytest.raises(RuntimeError, match="unknown dataset"):
        datasets.dataset_from_name("other")


@pytest.mark.parametrize("mode", ["overall", "average"])
def test_precision_and_recall_are_faisss(mode: str) -> None:
    (Lref, _, Iref), (Lnew, Dnew, Inew) = ranges()
    found, true = (e.range_PR(Lref, Iref, Lnew, Inew, mode) for e in (evaluation, their_evaluation))
    np.testing.assert_allclose(found, true)
    args = (Lref, Iref, Lnew, Dnew, Inew, np.array([5.0, 10.0, 12.0, 15.0]), mode)
    found, true = (e.range_PR_multiple_thresholds(*args) for e in (evaluation, their_evaluation))
    np.testing.assert_allclose(found, true)
    for counts in (([0, 1], [0, 0], [0, 0]), ([0, 0], [0, 3], [0, 0]), ([5, 0], [2, 1], [1, 0])):
        found, true = (e.counts_to_PR(*map(np.array, counts), mode) for e in (evaluation, their_evaluation))
        np.testing.assert_allclose(found, true)


def test_results_are_compared_up_to_draws() -> None:
    ref, new = ranges()
    evaluation.check_ref_range_results(*ref, *ref)
    with pytest.raises(AssertionError):
        evaluation.check_ref_range_results(*ref, *new)
    D = np.array([[0.0, 1.0, 1.0, 2.0]])
    evaluation.check_ref_knn_with_draws(D, np.array([[1, 2, 3, 4]]), D, np.array([[1, 3, 2, 9]]))
    with pytest.raises(AssertionError):
        evaluation.check_ref_knn_with_draws(D, np.array([[1, 2, 3, 4]]), D, np.array([[1, 2, 5, 4]]))
    for found, true in zip(
        *(e.filter_range_results(*new, 9.0) for e in (evaluation, their_evaluation)), strict=True
    ):
        np.testing.assert_array_equal(found, true)


def test_experiments_are_those_of_faiss() -> None:
    made = [e.OperatingPointsWithRanges() for e in (evaluation, their_evaluation)]
    for points in made:
        points.add_range("a", [1, 2, 3])
        points.add_range("b", [4, 5, 6, 7])
        points.restrict_range("b", 7)
    for n in (0, 5):
        assert made[0].sample_experiments(n) == made[1].sample_experiments(n)
    assert made[0].get_parameters(made[0].cno_to_key(7)) == made[1].get_parameters(made[1].cno_to_key(7))
    timer = evaluation.RepeatTimer(warmup=1, runs=4)
    for _ in timer:
        pass
    assert timer.nruns() == 3


@pytest.mark.parametrize("metric", [faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT])
def test_bases_in_parts_are_searched_as_one(metric: int) -> None:
    data = synthetic()
    (D, I), (Dref, Iref) = (
        e.knn_ground_truth(data.xq, parts(data.xb), 10, metric, ngpu=0)
        for e in (exhaustive_search, their_search)
    )
    np.testing.assert_array_equal(I, Iref)
    np.testing.assert_allclose(D, Dref, rtol=1e-4, atol=1e-4)
    radius = float(Dref[:, -1].mean())
    theirs, mine = faiss.IndexFlat(32, metric), ours.IndexFlat(32, metric)
    theirs.add(data.xb)
    mine.add(data.xb)
    found = exhaustive_search.range_ground_truth(data.xq, parts(data.xb), radius, metric, ngpu=0)
    evaluation.check_ref_range_results(*theirs.range_search(data.xq, radius), *found)
    wide = 1e10 if metric == faiss.METRIC_L2 else -1e10
    for start, limits in ((radius, {"max_results": 200}), (wide, {"min_results": 100, "clip_to_min": True})):
        (r, *found), (rref, *true) = (
            e.range_search_max_results(index, e.exponential_query_iterator(data.xq), start, **limits)
            for e, index in ((exhaustive_search, mine), (their_search, theirs))
        )
        assert r == pytest.approx(rref, rel=1e-4)
        evaluation.check_ref_range_results(*true, *found)


@pytest.mark.parametrize(
    "key",
    [
        *("Flat", "IVF64,PQ4", "PQ8x4fs", "HNSW16", "IVF64_HNSW16,SQ8"),
        *("PCA16,Flat", "OPQ4_16,PQ4", "PQ4,Refine(SQ8)", "HNSW32,SQ8", "PQ4+8"),
    ],
)
def test_sizes_of_codes_are_faisss(key: str) -> None:
    assert factory_tools.get_code_size(32, key) == their_tools.get_code_size(32, key)


@pytest.mark.parametrize(
    "key",
    [
        *("Flat", "IVF64,Flat", "IVF64,PQ4x8", "PQ4x8", "PQ8x4fs"),
        *("HNSW16", "IVF64_HNSW16,SQ8", "PCA16,IVF64,Flat", "SQ6", "IVF64,PQ4x4fs"),
        *("OPQ4_16,IVF64,PQ4x8", "PQ4x8,Refine(SQ8)", "PCAR8,SQ8", "RaBitQ", "RaBitQ4"),
        *("IVF16,RaBitQ2", "IDMap,Flat", "IDMap2,SQ8"),
    ],
)
def test_factory_strings_come_back_as_from_faiss(key: str) -> None:
    theirs, mine = faiss.index_factory(32, key), ours.index_factory(32, key)
    assert factory_tools.reverse_index_factory(mine) == their_tools.reverse_index_factory(theirs)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("metric", [faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT])
def test_lists_for_all_queries_give_what_queries_get_one_by_one(key: str, metric: int) -> None:
    data = synthetic()
    index = ours.index_factory(32, key, metric)
    index.train(data.xt)
    index.add(data.xb)
    index.nprobe = 4
    D, I = index.search(data.xq, 5)
    for method in big_batch_search.METHODS:
        for threaded in (0, 2):
            found, ids = big_batch_search.big_batch_search(
                index, data.xq, 5, method=method, threaded=threaded
            )
            np.testing.assert_allclose(found, D, rtol=1e-3, atol=1e-3)
            assert (ids != I).mean() < 0.02
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "checkpoint")
        with pytest.raises(ZeroDivisionError):
            big_batch_search.big_batch_search(
                index, data.xq, 5, threaded=2, checkpoint=path, checkpoint_freq=0, crash_at=10
            )
        found, ids = big_batch_search.big_batch_search(index, data.xq, 5, threaded=2, checkpoint=path)
        assert (ids != I).mean() < 0.02


def test_lists_can_be_chosen_looked_at_and_put_in_order() -> None:
    data = synthetic()
    index = ours.index_factory(32, "IVF16,SQ8")
    index.train(data.xt)
    index.add(data.xb)
    index.nprobe = 3
    D, I = index.search(data.xq, 5)
    coarse, lists = index.quantizer.search(data.xq, 3)
    np.testing.assert_array_equal(ivf_tools.search_preassigned(index, data.xq, 5, lists, coarse)[1], I)
    ids, codes = inspect_tools.get_invlist(index.invlists, 3)
    assert codes.shape == (len(ids), index.code_size)
    ivf_tools.sort_invlists_by_size(index)
    sizes = inspect_tools.get_invlist_sizes(index.invlists)
    assert (np.diff(sizes) >= 0).all() and sizes.sum() == 2000
    np.testing.assert_array_equal(index.search(data.xq, 5)[1], I)
    old = ivf_tools.replace_ivf_quantizer(index, ours.IndexFlatL2(32))
    assert old is not index.quantizer
    np.testing.assert_allclose(index.search(data.xq, 5)[0], D, rtol=1e-5)


def test_groups_of_groups_are_hardly_worse() -> None:
    x = datasets.SyntheticDataset(32, 10000, 0, 0).xt
    km = ours.Kmeans(32, 100)
    km.train(x)
    one = ours.knn(x, km.centroids, 1)[0].sum()
    for rebalance in (True, False):
        centroids, _ = clustering.two_level_clustering(x, 10, 100, rebalance=rebalance)
        assert centroids.shape == (100, 32) and ours.knn(x, centroids, 1)[0].sum() < 1.1 * one
    labels, told = clustering.balanced_assignment_with_penalties(x[:3000] + 0.2, km.centroids)
    alone = clustering.imbalance_factor(100, ours.knn(x[:3000] + 0.2, km.centroids, 1)[1].ravel())
    assert told["imf"] < alone and labels.shape == (3000,)


def test_kmeans_of_what_can_be_assigned_is_kmeans() -> None:
    x = datasets.SyntheticDataset(32, 3000, 0, 0).xt
    x[:1500] = x[0]
    km = ours.Kmeans(32, 50, niter=10)
    km.train(x)
    centroids = clustering.kmeans(50, clustering.DatasetAssign(x), 10, verbose=False)
    assert ours.knn(x, centroids, 1)[0].sum() < 1.1 * ours.knn(x, km.centroids, 1)[0].sum()


def test_sparse_vectors_are_assigned_as_dense_ones() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    x, centroids = synthetic().xt.copy(), synthetic().xq
    x[np.abs(x) < 0.3] = 0
    rows = sparse.csr_matrix(x)
    true = faiss.knn(x, centroids, 1)
    for found in (
        clustering.sparse_assign_to_dense(rows, centroids),
        clustering.sparse_assign_to_dense_blocks(rows, centroids, qbs=123, bbs=33, nt=4),
    ):
        np.testing.assert_array_equal(found[1], true[1].ravel())
        np.testing.assert_allclose(found[0], true[0].ravel(), rtol=1e-3, atol=1e-3)
    _, told = clustering.kmeans(20, clustering.DatasetAssignSparse(rows), 4, verbose=False, return_stats=True)
    assert told[-1]["obj"] < told[0]["obj"]


def test_vectors_in_files_come_back(tmp_path: object) -> None:
    x = faiss.rand((10, 7))
    path = f"{tmp_path}/x.fvecs"
    vecs_io.fvecs_write(path, x)
    np.testing.assert_array_equal(vecs_io.fvecs_read(path), x)
    np.testing.assert_array_equal(vecs_io.fvecs_mmap(path)[2:4], x[2:4])
    with open(path, "ab") as file:
        file.write(b"xyz")
    with pytest.raises(ValueError, match="not vectors"):
        vecs_io.fvecs_read(path)
    with pytest.raises(ValueError, match="No chunk files"):
        next(vecs_io.bvecs_iter_chunked(tmp_path))
