"""Least entries, buckets, heaps, maps and bit strings are Faiss's."""

import itertools

import faiss
import numpy as np
import pytest
from steep import faiss as ours


@pytest.mark.parametrize("shape", [(1, 1), (10, 7), (40, 3000)])
@pytest.mark.parametrize("k", [0, 1, 3, 7, 12, 100])
def test_least_and_greatest_entries_are_faisss(shape: tuple[int, int], k: int) -> None:
    table = faiss.rand(shape)
    for name in ("kmin", "kmax"):
        for found, true in zip(*(getattr(f, name)(table, k) for f in (ours, faiss)), strict=True):
            np.testing.assert_array_equal(found, true)


def test_no_number_is_least_but_numbers() -> None:
    table = np.array([[3, 1, np.nan, 2, np.inf, -np.inf]], np.float32)
    for name in ("kmin", "kmax"):
        for found, true in zip(*(getattr(f, name)(table, 6) for f in (ours, faiss)), strict=True):
            np.testing.assert_array_equal(found, true)


def test_buckets_hold_what_faiss_puts_there() -> None:
    table = faiss.randint((100, 7), vmax=20)
    for found, true in zip(*(f.bucket_sort(table.ravel()) for f in (ours, faiss)), strict=True):
        np.testing.assert_array_equal(found, true)
    for dtype in (np.int32, np.int64):
        mine, theirs = table.astype(dtype), table.astype(dtype)
        ends, true = (f.matrix_bucket_sort_inplace(t) for f, t in ((ours, mine), (faiss, theirs)))
        np.testing.assert_array_equal(ends, true)
        for low, high in itertools.pairwise(ends):
            assert sorted(mine.ravel()[low:high]) == sorted(theirs.ravel()[low:high])
    for library in (faiss, ours):
        with pytest.raises(RuntimeError):
            library.bucket_sort(np.array([3, 1]), nbucket=2)


@pytest.mark.parametrize("keep_max", [False, True])
def test_results_of_parts_become_those_of_all(keep_max: bool) -> None:
    heaps = [f.ResultHeap(5, 3, keep_max) for f in (ours, faiss)]
    for heap in heaps:
        heap.add_result(faiss.rand((5, 2), 1), faiss.randint((5, 2), 2))
        heap.add_result(faiss.rand((5, 6), 3), faiss.randint((5, 6), 4))
        heap.add_result_subset([1, 3], faiss.rand((2, 3), 7), faiss.randint(3, 8))
        heap.finalize()
    np.testing.assert_array_equal(heaps[0].D, heaps[1].D)
    np.testing.assert_array_equal(heaps[0].I, heaps[1].I)


@pytest.mark.parametrize("keep_max", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_results_of_shards_are_merged_as_faiss_does(keep_max: bool, dtype: type) -> None:
    D = np.sort((1000 * faiss.rand((3, 5, 4))).astype(dtype), axis=2)
    D, I = np.ascontiguousarray(D[:, :, ::-1]) if keep_max else D, faiss.randint((3, 5, 4), vmax=100)
    I[1, :, 2:], I[:, 4] = -1, -1
    for found, true in zip(*(f.merge_knn_results(D, I, keep_max) for f in (ours, faiss)), strict=True):
        np.testing.assert_array_equal(found, true)
    for library in (faiss, ours):
        with pytest.raises(TypeError):
            library.merge_knn_results(D.astype(np.float64), I)


@pytest.mark.parametrize("nbit", [1, 3, 8, 13, [3, 5, 9, 4], [32, 1, 7, 16]])
def test_bit_strings_are_faisss(nbit: object) -> None:
    table = faiss.randint((6, 4), vmax=2 if nbit == 1 or (isinstance(nbit, list) and 1 in nbit) else 8)
    packed = ours.pack_bitstrings(table, nbit)
    np.testing.assert_array_equal(packed, faiss.pack_bitstrings(table, nbit))
    args = (nbit,) if isinstance(nbit, list) else (4, nbit)
    np.testing.assert_array_equal(ours.unpack_bitstrings(packed, *args), table)


def test_checksums_are_faisss() -> None:
    for array in (np.arange(5), faiss.rand((7, 3)), np.arange(40, dtype=np.uint8).reshape(5, 8)):
        np.testing.assert_array_equal(ours.checksum(array), faiss.checksum(array))


def test_maps_remember_what_came_last() -> None:
    keys, vals = np.array([13, 45, 67, 13]), np.array([3, 8, 2, 5])
    for library in (faiss, ours):
        known = library.MapLong2Long()
        known.add(keys, vals)
        assert known.search(13) == 5 and known.search(12343) == -1
        np.testing.assert_array_equal(known.search_multiple(keys), [5, 8, 2, 5])
        small = library.MapInt64ToInt64(16)
        small.add(np.arange(10), np.arange(10) * 3)
        np.testing.assert_array_equal(small.lookup(np.arange(12)), [*range(0, 30, 3), -1, -1])
        with pytest.raises(RuntimeError):
            small.add(np.arange(20) + 100, np.arange(20))
        with pytest.raises(AssertionError):
            library.MapInt64ToInt64(10)


def test_a_set_of_codes_says_which_are_new() -> None:
    codes = np.random.RandomState(0).randint(0, 2, (300, 6)).astype(np.uint8)
    np.testing.assert_array_equal(ours.CodeSet(6).insert(codes), faiss.CodeSet(6).insert(codes))


def test_common_ids_and_set_bits_are_counted() -> None:
    a, b = faiss.randint((10, 8), 1, 20), faiss.randint((10, 5), 2, 20)
    a, b = np.sort(a, axis=1), np.sort(b, axis=1)
    unique = [np.array([np.unique(row)[:3] for row in t]) for t in (a, b)]
    assert ours.eval_intersection(*unique) == faiss.eval_intersection(*unique)
    assert ours.popcount64((1 << 64) - 1) == 64
    for library in (faiss, ours):
        with pytest.raises(OverflowError):
            library.popcount64(-1)


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        (lambda m: m.__setitem__(slice(5, 10), 0), "5 null vectors"),
        (lambda m: m.__setitem__(slice(None, None, 2), m[1::2]), "20 vectors are distinct"),
        (lambda m: m.__setitem__((slice(None), slice(5, 10)), 0), "5 dimensions are constant"),
        (
            lambda m: m.__setitem__((slice(None), slice(5, 10)), m[:, 5:10] + 12345),
            "5 dimensions are too large wrt. their variance",
        ),
        (ours.normalize_L2, "vectors are normalized"),
        (lambda m: m.__setitem__((slice(4), 3), np.nan), "4 vectors contain NaN or Inf"),
        (lambda m: m.__setitem__((slice(None), 7), np.inf), "40 vectors contain NaN or Inf"),
        (lambda m: m.__setitem__(9, m[9] * 1000), "very large differences in norms"),
        (lambda m: m.__setitem__((slice(None), 2), m[:, 2] * 1e-6), "1 dimensions have negligible stddev"),
    ],
)
def test_what_is_remarkable_about_a_matrix_is_said_in_faisss_words(change: object, remark: str) -> None:
    m = np.random.RandomState(123).rand(40, 20).astype(np.float32)
    change(m)  # type: ignore[operator]
    wanted, said = faiss.MatrixStats(m), ours.MatrixStats(m)
    assert remark in said.comments
    for name in ("n", "d", "n_valid", "n0", "min_norm2", "max_norm2"):
        assert getattr(said, name) == pytest.approx(getattr(wanted, name), rel=1e-6)
    # Hashes, and which of several most frequent vectors is named, are each library's own.
    lines = [
        [line for line in stats.comments.splitlines() if not line.startswith(("hash value", "vector "))]
        for stats in (wanted, said)
    ]
    assert lines[0] == lines[1]
