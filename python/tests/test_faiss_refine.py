"""A refining index over lists: the core's own codes find no less than those of Faiss."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import faiss as real
import numpy as np
import pytest
import steep.faiss as ours
from steep.faiss import _refine, _simd

L2, IP = real.METRIC_L2, real.METRIC_INNER_PRODUCT
N, D, LISTS = 6000, 32, 40


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(_refine, "LARGE", 2000)
    # Whoever looks at Faiss's counters gets what they count.
    monkeypatch.delitem(_simd.cvar.__dict__, "indexIVF_stats", raising=False)


def vectors(n, seed, scale=1.0, spread=0.0):
    """Of uneven clusters; with `spread` their lengths differ much."""
    rs = np.random.RandomState(seed)
    centers = np.random.RandomState(7).randn(60, D)
    x = centers[rs.randint(60, size=n) % rs.randint(1, 60, size=n)] + rs.randn(n, D) * 0.6
    x *= np.exp(spread * rs.randn(n, 1)) * scale
    return x.astype(np.float32)


def made(text, metric, x, train=None):
    index = ours.index_factory(D, text, metric)
    index.train(x if train is None else train)
    index.add(x)
    return index


def as_faiss(index):
    """Faiss's index of the same codes and vectors."""
    return real.deserialize_index(np.array(ours.serialize_index(index)))


def truth(x, q, metric, k=10):
    flat = real.IndexFlat(D, metric)
    flat.add(x)
    return flat.search(q, k)[1]


def recall(found, expected):
    return np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, expected, strict=True)]) / found.shape[1]


def set_to(index, nprobe, k_factor):
    base = index.base_index
    # Faiss's is of its most general class until it is cast down.
    base = real.downcast_index(base) if isinstance(base, real.Index) else base
    index.k_factor, base.nprobe = k_factor, nprobe


@pytest.mark.parametrize("text", ["PQ16x4fs", "PQ8np", "RaBitQ2", "RaBitQ", "RaBitQfs"])
@pytest.mark.parametrize(("metric", "spread"), [(L2, 0.0), (L2, 1.0), (IP, 0.0), (IP, 1.0)])
def test_no_less_is_found_than_by_faiss_in_the_same_lists(text, metric, spread):
    x, q = vectors(N, 1, spread=spread), vectors(200, 2)
    index = made(f"IVF{LISTS},{text},RFlat", metric, x)
    assert len(index._native) == N
    other, expected = as_faiss(index), truth(x, q, metric)
    for nprobe, k_factor in [(1, 1), (4, 4), (12, 2), (LISTS, 16)]:
        set_to(index, nprobe, k_factor)
        set_to(other, nprobe, k_factor)
        (distances, found), (_, theirs) = index.search(q, 10), other.search(q, 10)
        assert recall(found, expected) >= recall(theirs, expected) - 0.003
        off = x[found] - q[:, None]
        exact = (off * off).sum(2) if metric == L2 else np.einsum("ijk,ik->ij", x[found], q)
        assert np.all(found >= 0)
        np.testing.assert_allclose(distances, exact, rtol=1e-4, atol=1e-4)
    assert recall(found, expected) >= 0.99


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 1e4])
@pytest.mark.parametrize("metric", [L2, IP])
def test_it_does_not_matter_how_large_vectors_are(metric, scale):
    x, q = vectors(N, 1, scale), vectors(200, 2, scale)
    index = made(f"IVF{LISTS},PQ16x4fs,RFlat", metric, x)
    set_to(index, 12, 4)
    unscaled = made(f"IVF{LISTS},PQ16x4fs,RFlat", metric, vectors(N, 1))
    set_to(unscaled, 12, 4)
    expected = truth(x, q, metric)
    found, likewise = index.search(q, 10)[1], unscaled.search(vectors(200, 2), 10)[1]
    assert recall(found, expected) >= recall(likewise, expected) - 0.01


def test_a_query_alone_and_in_a_batch_and_on_more_threads_finds_the_same():
    x, q = vectors(N, 1), vectors(100, 2)
    index = made(f"IVF{LISTS},PQ16x4fs,RFlat", L2, x)
    set_to(index, 8, 4)
    distances, found = index.search(q, 10)
    before = ours.omp_get_max_threads()
    try:
        ours.omp_set_num_threads(1)
        alone = [index.search(row[None], 10) for row in q]
    finally:
        ours.omp_set_num_threads(before)
    assert np.array_equal(found, np.concatenate([ids for _, ids in alone]))
    assert np.array_equal(distances, np.concatenate([some for some, _ in alone]))


@pytest.mark.parametrize("pieces", [[5000, 1000], [100] * 60, [1500, 1500, 3000], [1999, 1, 3999, 1]])
@pytest.mark.parametrize("metric", [L2, IP])
def test_what_is_added_in_pieces_is_found_like_what_is_added_at_once(pieces, metric):
    x, q = vectors(N, 1, spread=0.3), vectors(200, 2)
    # The longest come last: under ip that asks for another space.
    x = x[np.argsort((x * x).sum(1))]
    index = ours.index_factory(D, f"IVF{LISTS},PQ16x4fs,RFlat", metric)
    index.train(x)
    first = 0
    for piece in pieces:
        index.add(x[first : first + piece])
        first += piece
        if first in (3000, 5000, 5999):
            index.search(q[:1], 1)
    whole = made(f"IVF{LISTS},PQ16x4fs,RFlat", metric, x)
    set_to(index, 8, 4)
    set_to(whole, 8, 4)
    expected = truth(x, q, metric)
    found = index.search(q, 10)[1]
    assert recall(found, expected) >= recall(whole.search(q, 10)[1], expected) - 0.005
    assert len(index._native) == N


def test_what_comes_from_a_file_is_searched_by_the_codes_in_it():
    x, q = vectors(N, 1), vectors(100, 2)
    index = made(f"IVF{LISTS},PQ16x4fs,RFlat", L2, x)
    set_to(index, 4, 4)
    again, other = ours.deserialize_index(ours.serialize_index(index)), as_faiss(index)
    set_to(again, 4, 4)
    set_to(other, 4, 4)
    found, theirs = again.search(q, 10)[1], other.search(q, 10)[1]
    assert again._native is None
    # Fast scan rounds its tables otherwise than Faiss does.
    assert recall(found, theirs) > 0.99


def test_codes_that_are_finer_than_the_cores_are_searched_themselves():
    x = vectors(N, 1)
    assert made(f"IVF{LISTS},SQ4,RFlat", L2, x)._native is None
    assert made(f"IVF{LISTS},PQ16np,RFlat", L2, x)._native is None
    assert made(f"IVF{LISTS},Flat,RFlat", L2, x)._native is None


def test_a_copy_finds_the_same_and_goes_its_own_way():
    x, q = vectors(N, 1), vectors(100, 2)
    index = made(f"IVF{LISTS},PQ16x4fs,RFlat", L2, x)
    twin = copy.deepcopy(index)
    twin.add(q)
    assert np.array_equal(twin.search(q, 1)[1][:, 0], N + np.arange(len(q)))
    assert index.ntotal == N
    assert index.search(q, 1)[1].max() < N
    third = ours.clone_index(index)
    assert np.array_equal(third.search(q, 5)[1], index.search(q, 5)[1])


def test_search_parameters_mean_what_they_do_in_faiss():
    x, q = vectors(N, 1), vectors(100, 2)
    index = made(f"IVF{LISTS},PQ16x4fs,RFlat", L2, x)
    inner = ours.SearchParametersIVF(nprobe=LISTS, sel=ours.IDSelectorRange(100, 300))
    params = ours.IndexRefineSearchParameters(k_factor=10, base_index_params=inner)
    found = index.search(q, 10, params=params)[1]
    assert found.min() >= 100 and found.max() < 300
    params = ours.IndexRefineSearchParameters(
        k_factor=16, base_index_params=ours.SearchParametersIVF(nprobe=LISTS)
    )
    assert recall(index.search(q, 10, params=params)[1], truth(x, q, L2)) >= 0.999
    params = ours.IndexRefineSearchParameters(
        k_factor=4, base_index_params=ours.SearchParametersIVF(nprobe=LISTS, max_codes=1)
    )
    assert recall(index.search(q, 10, params=params)[1], truth(x, q, L2)) < 0.9
    with pytest.raises(RuntimeError, match="nprobe"):
        index.search(
            q,
            1,
            params=ours.IndexRefineSearchParameters(
                k_factor=1, base_index_params=ours.SearchParametersIVF(nprobe=0)
            ),
        )


def test_vectors_that_are_not_numbered_in_turn_or_not_finite_are_searched_by_faiss_codes():
    x, q = vectors(N, 1), vectors(50, 2)
    base = ours.index_factory(D, f"IVF{LISTS},PQ16x4fs")
    base.train(x)
    base.add_with_ids(x, np.arange(N, dtype=np.int64)[::-1].copy())
    index = ours.IndexRefineFlat(base, ours.swig_ptr(x))
    index.search(q, 10)
    # They are numbers of vectors all the same, if another's: what has codes is what the flat index has.
    assert len(index._native) == N
    base = ours.index_factory(D, f"IVF{LISTS},PQ16x4fs")
    base.train(x)
    base.add_with_ids(x, np.arange(N, dtype=np.int64) % 100)
    index = ours.IndexRefineFlat(base, ours.swig_ptr(x))
    assert index.search(q, 10)[1].max() < 100
    assert len(index._native) == 0
    wild = x.copy()
    wild[17, 3] = np.inf
    index = made(f"IVF{LISTS},PQ16x4fs,RFlat", L2, wild, x)
    index.search(q, 10)
    assert len(index._native) == 0


def test_queries_that_are_not_finite_find_nothing_and_others_what_they_would():
    x, q = vectors(N, 1), vectors(5, 2)
    index = made(f"IVF{LISTS},PQ16x4fs,RFlat", L2, x)
    plain = index.search(q, 3)[1]
    q[2, 1] = np.nan
    distances, found = index.search(q, 3)
    assert np.all(found[2] == -1)
    assert np.array_equal(found[[0, 1, 3, 4]], plain[[0, 1, 3, 4]])
    assert np.all(np.isfinite(distances[[0, 1, 3, 4]]))


def test_reset_forgets_and_begins_anew():
    x, q = vectors(N, 1), vectors(50, 2)
    index = made(f"IVF{LISTS},PQ16x4fs,RFlat", L2, x)
    index.reset()
    assert index.ntotal == 0
    assert np.all(index.search(q, 2)[1] == -1)
    index.add(x[:3000])
    set_to(index, LISTS, 8)
    assert recall(index.search(q, 10)[1], truth(x[:3000], q, L2)) >= 0.995


def test_other_vectors_in_the_place_of_those_that_were_there_are_found():
    x, y, q = vectors(N, 1), vectors(N + 500, 3), vectors(50, 2)
    index = made(f"IVF{LISTS},PQ16x4fs,RFlat", L2, x)
    index.search(q, 10)
    for z in (y[:N], y):
        index.base_index.reset()
        index.refine_index.reset()
        index.add(z)
        set_to(index, LISTS, 8)
        assert recall(index.search(q, 10)[1], truth(z, q, L2)) >= 0.995
        twin = copy.deepcopy(index)
        assert np.array_equal(twin.search(q, 10)[1], index.search(q, 10)[1])


def test_more_than_there_are_in_the_lists_is_padded():
    x, q = vectors(N, 1), vectors(50, 2)
    index = made(f"IVF{LISTS},PQ16x4fs,RFlat", L2, x)
    distances, found = index.search(q, N)
    assert np.any(found == -1)
    assert np.all(np.isinf(distances) == (found == -1))
    for row in found:
        row = row[row >= 0]
        assert len(np.unique(row)) == len(row)


@pytest.mark.parametrize("large", [2000, 10**9])
def test_searches_go_on_while_another_thread_adds(monkeypatch, large):
    monkeypatch.setattr(_refine, "LARGE", large)
    x, q = vectors(4 * N, 1), vectors(20, 2)
    index = made(f"IVF{LISTS},PQ16x4fs,RFlat", L2, x[:N])
    set_to(index, 4, 8)
    done = threading.Event()

    def search():
        while not done.is_set():
            found = index.search(q, 10)[1]
            assert found.min() >= 0
            assert found.max() < 4 * N

    with ThreadPoolExecutor(3) as pool:
        searches = [pool.submit(search) for _ in range(3)]
        for first in range(N, 4 * N, 600):
            index.add(x[first : first + 600])
        done.set()
        for each in searches:
            each.result()
    set_to(index, LISTS, 100)
    assert recall(index.search(q, 10)[1], truth(x, q, L2)) >= 0.99
