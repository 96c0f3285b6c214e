"""Codes, and distances by them, are those that Faiss makes of the same vectors."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from steep import _steep
from steep.faiss import _arrays as arrays
from steep.faiss._quantizers import ProductQuantizer, RaBitQuantizer, ScalarQuantizer

faiss: Any = pytest.importorskip("faiss")
Floats = npt.NDArray[np.float32]

DIMS = [1, 2, 3, 7, 8, 13, 15, 16, 17, 20, 31, 33, 64, 100, 129]
RANGED = ["QT_8bit", "QT_4bit", "QT_8bit_uniform", "QT_4bit_uniform", "QT_6bit"]
DIRECT = ["QT_8bit_direct", "QT_8bit_direct_signed"]
TYPES = [*RANGED, *DIRECT, "QT_fp16", "QT_bf16"]


def normal(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def fit(kind: str, x: Floats) -> Floats:
    """Whole numbers where a type codes no others."""
    low = {"QT_8bit_direct": 0, "QT_8bit_direct_signed": -128}.get(kind)
    return x if low is None else np.floor(np.clip(x * 40 + low + 128, low, low + 255)).astype(np.float32)


def distances(q: Floats, x: Floats, metric: str) -> npt.NDArray[np.float64]:
    q, x = q.astype(np.float64), x.astype(np.float64)
    return ((q[:, None] - x[None]) ** 2).sum(2) if metric == "l2" else -(q @ x.T)


def near(got: Any, wanted: Any) -> None:
    size = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5 * size)


@pytest.fixture
def one_thread() -> Any:
    """Faiss's threads share where they put ranges, so that these get mixed up."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


@pytest.mark.parametrize("kind", TYPES)
def test_scalar_codes_and_distances(kind: str) -> None:
    for d in DIMS:
        x, q = fit(kind, normal(d, 203, d)), fit(kind, normal(999, 5, d))
        theirs = faiss.ScalarQuantizer(d, getattr(faiss.ScalarQuantizer, kind))
        mine = ScalarQuantizer(d, getattr(ScalarQuantizer, kind))
        theirs.train(x)
        mine.train(x)
        assert mine.code_size == theirs.code_size and mine.bits == theirs.bits
        np.testing.assert_array_equal(mine.trained.array, faiss.vector_to_array(theirs.trained))
        codes = theirs.compute_codes(x)
        np.testing.assert_array_equal(mine.compute_codes(x), codes)
        decoded = theirs.decode(codes)
        np.testing.assert_allclose(mine.decode(codes), decoded, rtol=1e-6, atol=1e-6)
        for metric in ("l2", "ip"):
            near(mine._codec().distances(q, codes, metric), distances(q, decoded, metric))


@pytest.mark.parametrize("kind", RANGED)
@pytest.mark.parametrize(
    ("stat", "arg"),
    [("minmax", 0.2), ("meanstd", 2.0), ("quantiles", 0.0), ("quantiles", 0.1), ("optim", 0.0)],
)
def test_ranges(kind: str, stat: str, arg: float, one_thread: None) -> None:
    for d in (1, 8, 19):
        x = normal(d, 150, d)
        theirs = faiss.ScalarQuantizer(d, getattr(faiss.ScalarQuantizer, kind))
        mine = ScalarQuantizer(d, getattr(ScalarQuantizer, kind))
        for quantizer in (theirs, mine):
            quantizer.rangestat, quantizer.rangestat_arg = getattr(ScalarQuantizer, "RS_" + stat), arg
            quantizer.train(x)
        wanted = faiss.vector_to_array(theirs.trained)
        if np.isfinite(wanted).all():
            np.testing.assert_array_equal(mine.trained.array, wanted)


def test_half_precision_at_its_edges() -> None:
    ties = (np.arange(1, 4000, dtype=np.uint32) << 13 | 0x1000) + np.uint32(0x3800_0000)
    edges = [
        0,
        1e-8,
        2.9802322e-08,
        5.9604645e-08,
        6.1e-5,
        6.1035156e-05,
        65504,
        65519.99,
        65520,
        7e4,
        np.inf,
    ]
    x = np.concatenate([ties.view(np.float32), np.array(edges, np.float32)])
    x = np.concatenate([x, -x]).reshape(-1, 1)
    for kind in ("QT_fp16", "QT_bf16"):
        theirs = faiss.ScalarQuantizer(1, getattr(faiss.ScalarQuantizer, kind))
        mine = ScalarQuantizer(1, getattr(ScalarQuantizer, kind))
        np.testing.assert_array_equal(mine.compute_codes(x), theirs.compute_codes(x))


@pytest.mark.parametrize("bits", range(1, 17))
def test_product_codes_and_distances(bits: int) -> None:
    shapes = [(8, 2), (15, 3), (15, 5), (6, 6), *([(32, 8), (64, 2)] if bits <= 10 else [])]
    for d, parts in shapes:
        x, q = normal(d, 101, d), normal(999, 5, d)
        theirs, mine = faiss.ProductQuantizer(d, parts, bits), ProductQuantizer(d, parts, bits)
        assert mine.code_size == theirs.code_size and mine.ksub == theirs.ksub and mine.dsub == theirs.dsub
        centroids = normal(bits, d << bits)
        faiss.copy_array_to_vector(centroids, theirs.centroids)
        arrays.copy_array_to_vector(centroids, mine.centroids)
        codes = theirs.compute_codes(x)
        np.testing.assert_array_equal(mine.compute_codes(x), codes)
        decoded = theirs.decode(codes)
        np.testing.assert_array_equal(mine.decode(codes), decoded)
        for metric in ("l2", "ip"):
            near(mine._codec().distances(q, codes, metric), distances(q, decoded, metric))


@pytest.mark.parametrize("start", ["default", "hot_start", "shared", "hypercube", "hypercube_pca"])
def test_product_training_is_as_good(start: str) -> None:
    x = normal(3, 2500, 24)
    theirs, mine = faiss.ProductQuantizer(24, 4, 6), ProductQuantizer(24, 4, 6)
    errors: list[float] = []
    for quantizer in (theirs, mine):
        quantizer.train_type = getattr(ProductQuantizer, "Train_" + start)
        if start == "hot_start":
            copy = faiss.copy_array_to_vector if quantizer is theirs else arrays.copy_array_to_vector
            copy(normal(4, 24 << 6), quantizer.centroids)
        quantizer.train(x)
        errors.append(float(((quantizer.decode(quantizer.compute_codes(x)) - x) ** 2).sum()))
    assert errors[1] < errors[0] * 1.01


@pytest.mark.parametrize("start", ["default", "shared"])
@pytest.mark.parametrize(
    ("bits", "n"),
    [
        pytest.param(5, 1500, id="all"),
        pytest.param(3, 2500, id="a sample"),
        pytest.param(6, 64, id="as many"),
    ],
)
def test_product_training_comes_from_faiss_vectors_to_its_centroids(bits: int, n: int, start: str) -> None:
    if start == "shared" and n == 64:
        n //= 4
    x = normal(21, n, 24)
    theirs, mine = faiss.ProductQuantizer(24, 4, bits), ProductQuantizer(24, 4, bits)
    for quantizer in (theirs, mine):
        quantizer.train_type = getattr(ProductQuantizer, "Train_" + start)
        quantizer.train(x)
    near(mine.centroids.array, faiss.vector_to_array(theirs.centroids))


def test_product_tables_and_pointers() -> None:
    x = normal(5, 40, 20)
    theirs, mine = faiss.ProductQuantizer(20, 4, 5), ProductQuantizer(20, 4, 5)
    centroids = normal(6, 20 << 5)
    faiss.copy_array_to_vector(centroids, theirs.centroids)
    mine.set_params(arrays.swig_ptr(centroids), -1)
    for name in ("compute_distance_tables", "compute_inner_prod_tables"):
        tables = [np.zeros((40, 4, 32), np.float32) for _ in range(2)]
        getattr(theirs, name)(40, faiss.swig_ptr(x), faiss.swig_ptr(tables[0]))
        getattr(mine, name)(40, arrays.swig_ptr(x), arrays.swig_ptr(tables[1]))
        near(tables[1], tables[0])
    code, other = np.zeros(3, np.uint8), np.zeros(3, np.uint8)
    mine.compute_code(arrays.swig_ptr(x[0].copy()), arrays.swig_ptr(code))
    table = np.zeros((4, 32), np.float32)
    mine.compute_distance_table(arrays.swig_ptr(x[0].copy()), arrays.swig_ptr(table))
    mine.compute_code_from_distance_table(arrays.swig_ptr(table), arrays.swig_ptr(other))
    np.testing.assert_array_equal(code, theirs.compute_codes(x[:1])[0])
    np.testing.assert_array_equal(code, other)
    for quantizer in (theirs, mine):
        quantizer.compute_sdc_table()
        quantizer.sync_transposed_centroids()
    for name in ("sdc_table", "transposed_centroids", "centroids_sq_lengths"):
        near(getattr(mine, name).array, faiss.vector_to_array(getattr(theirs, name)))
    # What is written through a pointer counts from then on.
    arrays.rev_swig_ptr(mine.get_centroids(0, 0), 5)[:] = x[0, :5]
    assert mine.compute_codes(x[:1])[0, 0] & 31 == 0


@pytest.mark.parametrize("bits", range(1, 10))
@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_rabitq_codes_and_distances(bits: int, metric: str) -> None:
    number = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    for d in (1, 7, 8, 16, 17, 33, 64, 100, 130):
        x, q, center = normal(d, 101, d), normal(999, 3, d), normal(7, d)
        x[5] = center
        theirs, mine = faiss.RaBitQuantizer(d, number, bits), RaBitQuantizer(d, number, bits)
        assert mine.code_size == theirs.code_size
        codes, got = (np.zeros((101, mine.code_size), np.uint8) for _ in range(2))
        pointer = faiss.swig_ptr(center)
        theirs.compute_codes_core(faiss.swig_ptr(x), faiss.swig_ptr(codes), 101, pointer)
        mine.compute_codes_core(arrays.swig_ptr(x), arrays.swig_ptr(got), 101, arrays.swig_ptr(center))
        signs, factors = (d + 7) // 8, 8 if bits == 1 else 12
        np.testing.assert_array_equal(got[:, :signs], codes[:, :signs])
        near(floats(got[:, signs : signs + factors]), floats(codes[:, signs : signs + factors]))
        if bits > 1:
            # The last bit of a norm may make a vector's scale another one that is as good.
            same = (got[:, signs + 12 : -8] == codes[:, signs + 12 : -8]).all(1)
            assert same.mean() > 0.9
            near(floats(got[same, -8:]), floats(codes[same, -8:]))
        decoded, wanted = (np.zeros((101, d), np.float32) for _ in range(2))
        theirs.decode_core(faiss.swig_ptr(codes), faiss.swig_ptr(wanted), 101, pointer)
        mine.decode_core(arrays.swig_ptr(codes), arrays.swig_ptr(decoded), 101, arrays.swig_ptr(center))
        near(decoded, wanted)
        for qb, centered in [(0, False), (1, False), (4, False), (4, True), (8, True)]:
            computer = theirs.get_distance_computer(qb, pointer, centered)
            computer.codes, computer.code_size = faiss.swig_ptr(codes), mine.code_size
            far = np.zeros((3, 101), np.float32)
            for i in range(3):
                computer.set_query(faiss.swig_ptr(q[i]))
                far[i] = [computer(j) for j in range(101)]
            found = mine._codec(qb, centered, center).distances(q, codes, metric)
            near(found, far if metric == "l2" else -far)


def floats(codes: npt.NDArray[np.uint8]) -> Floats:
    return np.ascontiguousarray(codes).view(np.float32)


def test_flat_codes_are_the_vectors() -> None:
    for d in DIMS:
        x, q = normal(d, 50, d), normal(999, 5, d)
        flat = _steep.Codec.flat(d)
        codes = flat.encode(x)
        np.testing.assert_array_equal(codes.view(np.float32), x)
        np.testing.assert_array_equal(flat.decode(codes), x)
        for metric in ("l2", "ip"):
            near(flat.distances(q, codes, metric), distances(q, x, metric))


def test_a_codec_is_made_again_only_where_its_array_changed() -> None:
    quantizer = ScalarQuantizer(4, ScalarQuantizer.QT_8bit)
    quantizer.train(normal(8, 20, 4))
    codec = quantizer._codec()
    assert quantizer._codec() is codec
    trained = quantizer.trained
    assert quantizer._codec() is codec
    trained.array[0] -= 1
    assert quantizer._codec() is not codec


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ProductQuantizer(8, 3, 8), "multiple of the number of subquantizers"),
        (lambda: ProductQuantizer(8, 0, 8), "M must be > 0"),
        (lambda: ProductQuantizer(8, 2, 25), "nbits larger than 24"),
        (lambda: ProductQuantizer(8, 2, 8).train(normal(0, 9, 8)), "Number of training points"),
        (lambda: ProductQuantizer(8, 2, 2).train(normal(0, 9, 8) * np.nan), "NaN"),
        (lambda: ScalarQuantizer(8, ScalarQuantizer.QT_2bit_tq), "QT_2bit_tq"),
        (lambda: ScalarQuantizer(8, 0).compute_codes(normal(0, 9, 8)), "train first"),
        (lambda: ScalarQuantizer(8, 0).train(normal(0, 0, 8)), "n > 0"),
        (lambda: RaBitQuantizer(8, 1, 10), "num_bits"),
    ],
)
def test_what_faiss_throws_at(make: Any, text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        make()


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 65_536, 149_999])
def test_one_wild_value_among_many_is_seen_wherever_it_is(wild: float, at: int) -> None:
    x = np.zeros((50_000, 3), np.float32)
    x.reshape(-1)[at] = wild
    with pytest.raises(RuntimeError, match="NaN's or Inf's"):
        ScalarQuantizer(3, ScalarQuantizer.QT_8bit).train(x)


def test_shapes_are_asserted() -> None:
    quantizer = ScalarQuantizer(8, ScalarQuantizer.QT_fp16)
    with pytest.raises(AssertionError):
        quantizer.compute_codes(normal(0, 3, 7))
    with pytest.raises(AssertionError):
        quantizer.decode(np.zeros((3, 15), np.uint8))
    for nbits, size in [(17, 8), (8, 8), (0, 8)]:
        with pytest.raises(ValueError, match="expected"):
            _steep.Codec.product(8, 2, nbits, np.zeros(size, np.float32))
    with pytest.raises(TypeError):
        ProductQuantizer(8, 2.0, 8)  # type: ignore[arg-type]
