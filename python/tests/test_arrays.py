"""Arrays come in without a copy where they can, by one conversion where they must."""

import subprocess
import sys
import tracemalloc
from types import ModuleType

import ml_dtypes
import numpy as np
import oracle
import pytest
import steep
from numpy.testing import assert_array_equal


class ByArray:
    """An array of a library that NumPy knows by `__array__` only."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class ByDLPack:
    """An array of a library that speaks DLPack only."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("wrap", [lambda x: x, ByArray, ByDLPack], ids=["numpy", "array", "dlpack"])
@pytest.mark.parametrize("dtype", oracle.DTYPES)
def test_contiguous_arrays_are_not_copied(dtype, wrap):
    q = oracle.vectors(1, 100_000, 32, dtype)
    if wrap is ByDLPack and dtype == "bf16":
        pytest.skip("DLPack in NumPy has no bfloat16")
    index = steep.build(q[:1])
    tracemalloc.start()  # sees NumPy's memory, not the engine's
    index.search(wrap(q), k=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < q.nbytes / 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from Linux")
def test_the_engine_does_not_copy_them_either():
    script = """
import resource, numpy as np, steep
x = np.ones((3_000_000, 16), np.float32)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
steep.ground_truth(x, x[:2], 3)
assert peak() - before < x.nbytes / 4, (peak() - before, x.nbytes)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def strided(x):
    wide = np.zeros((len(x), 2 * x.shape[1]), x.dtype)
    wide[:, ::2] = x
    return wide[:, ::2]


def unaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    raw[1:] = x.view(np.uint8).ravel()
    return raw[1:].view(x.dtype).reshape(x.shape)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def memmap(x):
    class Subclass(np.ndarray):
        pass

    return x.view(Subclass)


def big_endian(x):
    return x.astype(x.dtype.newbyteorder(">"))


@pytest.mark.parametrize(
    "change", [strided, np.asfortranarray, unaligned, read_only, memmap, big_endian, ByArray, ByDLPack]
)
@pytest.mark.parametrize("dtype", oracle.DTYPES)
def test_any_layout_gives_the_same_index_and_answers(dtype, change):
    x = oracle.vectors(2, 200, 8, dtype)
    if dtype == "bf16" and change in (ByDLPack, big_endian):
        pytest.skip("NumPy has no such bfloat16")
    index, plain = steep.build(change(x)), steep.build(x)
    assert index.dtype == plain.dtype == dtype
    assert_array_equal(index.search(change(x), 3).distances, plain.search(x, 3).distances)


@pytest.mark.parametrize(
    "kind", [np.float64, np.longdouble, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
)
def test_other_numbers_are_converted_to_float32(kind):
    x = np.arange(300).reshape(100, 3).astype(kind)
    index = steep.build(x)
    assert index.dtype == "f32"
    assert_array_equal(index.search(x, 1).ids[:, 0], np.arange(100))


def test_lists_are_arrays():
    index = steep.build([[1, 2], [3, 4]])
    assert index.dtype == "f32"
    assert_array_equal(index.search([3, 4.5], 2).ids, [1, 0])


def test_float64_beyond_float32_is_refused_by_row():
    x = np.zeros((5, 3))
    x[3, 1] = -1e39
    with pytest.raises(ValueError, match=r"vectors row 3 holds -1e\+39 at column 1"):
        steep.build(x)
    with pytest.raises(ValueError, match=r"queries row 0 holds 1e\+300 at column 2"):
        steep.Index(dim=3).search([0, 0, 1e300])
    x[3, 1] = np.inf
    with pytest.raises(ValueError, match="vectors row 3 holds inf at column 1"):
        steep.build(x)


def test_torch_bfloat16_passes_by_its_bits(monkeypatch):
    """A stand-in with the attributes of a tensor; the next test takes the real one where it is installed."""
    x = oracle.vectors(3, 50, 4, "bf16")

    class Tensor:
        dtype = type("dtype", (), {"__str__": lambda self: "torch.bfloat16"})()
        view_dtype = None

        def detach(self):
            return self

        contiguous = detach

        def view(self, dtype):
            self.view_dtype = dtype
            return self

        def numpy(self):
            return x.view(self.view_dtype)

    torch = ModuleType("torch")
    monkeypatch.setattr(torch, "int16", np.int16, raising=False)
    monkeypatch.setitem(sys.modules, "torch", torch)
    index = steep.build(Tensor())
    assert index.dtype == "bf16"
    assert_array_equal(index.search(x, 3).distances, steep.build(x).search(x, 3).distances)


def test_torch_tensors_pass():
    torch = pytest.importorskip("torch")
    for dtype, name in [
        (torch.float32, "f32"),
        (torch.float16, "f16"),
        (torch.bfloat16, "bf16"),
        (torch.uint8, "u8"),
    ]:
        x = (torch.rand(50, 4) * 100 + 1).to(dtype)
        index = steep.build(x)
        assert index.dtype == name
        assert index.search(x[3], 1).distances[0] == 0
    assert steep.build(torch.rand(5, 4, requires_grad=True)).dtype == "f32"


def test_a_search_result_may_be_searched_for():
    x = oracle.vectors(4, 100, 6, "f32")
    index = steep.build(x)
    assert_array_equal(index.search(x[index.search(x[:5], 1).ids[:, 0]], 1).ids[:, 0], range(5))
    assert index.search(x[0].astype(ml_dtypes.bfloat16), 1).ids.shape == (1,)
