"""How does an index become a file, and a file an index? By a record, which the core reads and writes.

A record is a dict, `{"fourcc": "IwFl", "d": 64, …}`; the keys of each fourcc stand in the head of
`src/faiss/file/mod.rs`. Every class has `to_record()` and a classmethod `from_record(record)`.
"""

import os
import weakref
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep.faiss._arrays import Owned, Pointer, UInt8Vector

Record = dict[str, Any]

IO_FLAG_SKIP_STORAGE = 1
IO_FLAG_READ_ONLY = 2
IO_FLAG_ONDISK_SAME_DIR = 4
IO_FLAG_SKIP_IVF_DATA = 8
IO_FLAG_SKIP_PRECOMPUTE_TABLE = 16
IO_FLAG_PQ_SKIP_SDC_TABLE = 32
IO_FLAG_MMAP = IO_FLAG_SKIP_IVF_DATA | 0x646F0000
IO_FLAG_MMAP_IFC = 1 << 9

#: Which class of `steep.faiss` each fourcc stands for.
CLASSES = {
    "IxF2": "IndexFlatL2",
    "IxFI": "IndexFlatIP",
    "IxFl": "IndexFlat",
    "IxPq": "IndexPQ",
    "IxSQ": "IndexScalarQuantizer",
    "Ixrq": "IndexRaBitQ",
    "Ixrr": "IndexRaBitQ",
    "IxHe": "IndexLSH",
    "IPfs": "IndexPQFastScan",
    "Irfn": "IndexRaBitQFastScan",
    "Irfs": "IndexRaBitQFastScan",
    "IwFl": "IndexIVFFlat",
    "IwFd": "IndexIVFFlatDedup",
    "Ix2L": "Index2Layer",
    "IwIQ": "IndexIVFIndependentQuantizer",
    "IwSq": "IndexIVFScalarQuantizer",
    "IwPQ": "IndexIVFPQ",
    "IwQR": "IndexIVFPQR",
    "Iwrq": "IndexIVFRaBitQ",
    "Iwrr": "IndexIVFRaBitQ",
    "IwPf": "IndexIVFPQFastScan",
    "Iwrn": "IndexIVFRaBitQFastScan",
    "Iwrf": "IndexIVFRaBitQFastScan",
    "IwSh": "IndexIVFSpectralHash",
    "IHNf": "IndexHNSWFlat",
    "IHNs": "IndexHNSWSQ",
    "IHNp": "IndexHNSWPQ",
    "IHN2": "IndexHNSW2Level",
    "IHNr": "IndexHNSWRaBitQ",
    "INSf": "IndexNSGFlat",
    "INSs": "IndexNSGSQ",
    "INSp": "IndexNSGPQ",
    "IxMp": "IndexIDMap",
    "IxM2": "IndexIDMap2",
    "IxPT": "IndexPreTransform",
    "IRMf": "IndexRowwiseMinMax",
    "IRMh": "IndexRowwiseMinMaxFP16",
    "IBxF": "IndexBinaryFlat",
    "IBwF": "IndexBinaryIVF",
    "IBHf": "IndexBinaryHNSW",
    "IBFf": "IndexBinaryFromFloat",
    "IBMp": "IndexBinaryIDMap",
    "IBM2": "IndexBinaryIDMap2",
    "IBHh": "IndexBinaryHash",
    "IBHm": "IndexBinaryMultiHash",
    "LTra": "LinearTransform",
    "rrot": "RandomRotationMatrix",
    "Pcam": "PCAMatrix",
    "Viqm": "ITQMatrix",
    "Viqt": "ITQTransform",
    "VNrm": "NormalizationTransform",
    "VCnt": "CenteringTransform",
    "RmDT": "RemapDimensionsTransform",
    "HRot": "HadamardRotation",
}


def from_record(record: Record | None) -> Any:
    """The object that a record stands for; None for a missing one."""
    if record is None:
        return None
    fourcc = record["fourcc"]
    name = CLASSES.get(fourcc)
    if fourcc == "IxRF":
        flat = record["refine_index"]["fourcc"] in ("IxF2", "IxFI", "IxFl")
        name = "IndexRefineFlat" if flat else "IndexRefine"
    return _class(name or fourcc).from_record(record)


def to_record(index: Any) -> Record | None:
    """The record of an object; None for a missing one."""
    return None if index is None else index.to_record()


def _class(name: str) -> Any:
    import steep.faiss

    try:
        return getattr(steep.faiss, name)
    except AttributeError:
        raise RuntimeError(f"{name}: steep.faiss has no such class, convert the file with Faiss") from None


class IOReader(Owned):
    """Where bytes come from."""

    name = ""

    def read(self, n: int) -> bytes:
        """The next bytes: n of them, or fewer; none at the end."""
        raise RuntimeError(f"{type(self).__name__} reads nothing: use FileIOReader or PyCallbackIOReader")

    def __call__(self, ptr: Pointer, size: int, nitems: int) -> int:
        """Read nitems items of `size` bytes into what `ptr` points to; tells how many came whole."""
        target = np.asarray(ptr.array).reshape(-1).view(np.uint8)
        if size * nitems > target.size:
            raise ValueError(f"{nitems} items of {size} bytes: the pointer leads to {target.size} bytes")
        done = 0
        while done < size * nitems:
            piece = self.read(size * nitems - done)
            if not piece:
                break
            target[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
            done += len(piece)
        return done // size if size else 0


class IOWriter(Owned):
    """Where bytes go to."""

    name = ""

    def write(self, data: bytes) -> None:
        """Take these bytes."""
        raise RuntimeError(f"{type(self).__name__} writes nothing: use FileIOWriter or PyCallbackIOWriter")

    def __call__(self, ptr: Pointer, size: int, nitems: int) -> int:
        """Write nitems items of `size` bytes from what `ptr` points to."""
        source = np.asarray(ptr.array).reshape(-1).view(np.uint8)
        if size * nitems > source.size:
            raise ValueError(f"{nitems} items of {size} bytes: the pointer leads to {source.size} bytes")
        self.write(source[: size * nitems].tobytes())
        return nitems


class FileIOReader(IOReader):
    """A file, read from where the last object ended."""

    name: str

    def __init__(self, fname: str | os.PathLike[str]) -> None:
        self.name = os.fspath(fname)
        self._file = _opened(fname, "rb", "reading")
        weakref.finalize(self, self._file.close)

    def read(self, n: int) -> bytes:
        data: bytes = self._file.read(n)
        return data


class FileIOWriter(IOWriter):
    """A file, written from its beginning on. (`write_index` to a path replaces the file at once instead.)"""

    name: str

    def __init__(self, fname: str | os.PathLike[str]) -> None:
        self.name = os.fspath(fname)
        self._file = _opened(fname, "wb", "writing")
        weakref.finalize(self, self._file.close)

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def _done(self) -> None:
        self._file.flush()


def _opened(fname: Any, mode: str, what: str) -> Any:
    try:
        return open(fname, mode)
    except OSError as error:
        raise RuntimeError(f"could not open {os.fspath(fname)} for {what}: {error.strerror}") from error


class VectorIOReader(IOReader):
    """Bytes in memory: copy them into `data`."""

    data: UInt8Vector
    rp: int

    def __init__(self) -> None:
        self.data = UInt8Vector()
        #: Where the next object begins.
        self.rp = 0

    def read(self, n: int) -> bytes:
        piece = self.data.array[self.rp : self.rp + n].tobytes()
        self.rp += len(piece)
        return piece


class ZeroCopyIOReader(IOReader):
    """Bytes in memory, of an array or behind a pointer."""

    rp_: int

    def __init__(self, data: Any, size: int | None = None) -> None:
        array = data.array if isinstance(data, Pointer) else data
        flat = np.asarray(array).reshape(-1).view(np.uint8)
        self._bytes = flat if size is None else flat[:size]
        self.rp_ = 0

    def reset(self) -> None:
        """Read from the beginning again."""
        self.rp_ = 0

    def read(self, n: int) -> bytes:
        piece = self._bytes[self.rp_ : self.rp_ + n].tobytes()
        self.rp_ += len(piece)
        return piece


class VectorIOWriter(IOWriter):
    """Memory: `data` holds what was written."""

    data: UInt8Vector

    def __init__(self) -> None:
        self.data = UInt8Vector()

    def write(self, data: bytes) -> None:
        self._take(np.frombuffer(data, np.uint8))

    def _take(self, data: npt.NDArray[np.uint8]) -> None:
        old = self.data.array
        self.data._put(np.concatenate([old, data]) if old.size else data)


class PyCallbackIOReader(IOReader):
    """What a callable returns that is asked for up to `bs` bytes at a time."""

    def __init__(self, callback: Callable[[int], bytes], bs: int = 1024 * 1024) -> None:
        self._callback, self._bs = callback, bs

    def read(self, n: int) -> bytes:
        return self._callback(min(n, self._bs))


class PyCallbackIOWriter(IOWriter):
    """A callable that takes up to `bs` bytes at a time."""

    def __init__(self, callback: Callable[[bytes], Any], bs: int = 1024 * 1024) -> None:
        self._callback, self._bs = callback, bs

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), self._bs):
            self._callback(data[at : at + self._bs])


class BufferedIOReader(IOReader):
    """Another reader, asked for `bsz` bytes at a time."""

    reader: IOReader
    bsz: int

    def __init__(self, reader: IOReader, bsz: int = 1024 * 1024) -> None:
        self.reader, self.bsz, self._rest = reader, bsz, b""

    def read(self, n: int) -> bytes:
        if not self._rest:
            self._rest = self.reader.read(self.bsz)
        piece, self._rest = self._rest[:n], self._rest[n:]
        return piece


class BufferedIOWriter(IOWriter):
    """Another writer, which gets `bsz` bytes at a time, and the rest when this one goes."""

    writer: IOWriter
    bsz: int

    def __init__(self, writer: IOWriter, bsz: int = 1024 * 1024) -> None:
        self.writer, self.bsz = writer, bsz
        self._held = bytearray()
        weakref.finalize(self, _flush, writer, self._held)

    def write(self, data: bytes) -> None:
        self._held += data
        whole = len(self._held) // self.bsz * self.bsz
        for at in range(0, whole, self.bsz):
            self.writer.write(bytes(self._held[at : at + self.bsz]))
        del self._held[:whole]


def _flush(writer: IOWriter, held: bytearray) -> None:
    if held:
        writer.write(bytes(held))
        held.clear()


def _read(source: Any, root: str, io_flags: int = 0) -> Record:
    beside = bool(io_flags & IO_FLAG_ONDISK_SAME_DIR)
    try:
        if isinstance(source, (str, os.PathLike)):
            return _steep.faiss_read(os.fspath(source), root, beside)[0]
        if isinstance(source, VectorIOReader):
            record, used = _steep.faiss_read(source.data.array[source.rp :], root, beside)
            source.rp += used
        elif isinstance(source, ZeroCopyIOReader):
            record, used = _steep.faiss_read(source._bytes[source.rp_ :], root, beside)
            source.rp_ += used
        elif isinstance(source, IOReader):
            try:
                record, _ = _steep.faiss_read(source.read, root, beside)
            except ValueError as error:
                raise RuntimeError(str(error).replace("<reader>", source.name or "<reader>")) from error
        elif hasattr(source, "read"):
            record, _ = _steep.faiss_read(source.read, root, beside)
        else:
            raise TypeError(f"{type(source).__name__}: expected a path, a reader, or an object with read()")
    except ValueError as error:
        raise RuntimeError(str(error)) from error
    except OSError as error:
        if isinstance(source, (str, os.PathLike)):
            why = error.strerror or error
            raise RuntimeError(f"could not open {os.fspath(source)} for reading: {why}") from error
        raise
    return record


def _write(record: Record, target: Any, root: str) -> None:
    try:
        if isinstance(target, (str, os.PathLike)):
            _steep.faiss_write(record, os.fspath(target), root)
        elif isinstance(target, VectorIOWriter):
            target._take(np.asarray(_steep.faiss_write(record, None, root)))
        elif isinstance(target, IOWriter) or hasattr(target, "write"):
            _steep.faiss_write(record, target.write, root)
            if isinstance(target, FileIOWriter):
                target._done()
        else:
            raise TypeError(f"{type(target).__name__}: expected a path, a writer, or an object with write()")
    except ValueError as error:
        raise RuntimeError(str(error)) from error
    except OSError as error:
        if isinstance(target, (str, os.PathLike)):
            why = error.strerror or error
            raise RuntimeError(f"could not open {os.fspath(target)} for writing: {why}") from error
        raise


def read_index(source: Any, io_flags: int = 0) -> Any:
    """Read an index that `write_index` or Faiss wrote.

    Parameters
    ----------
    source : path, IOReader, or object with read(n)
        A file; or a stream, of which no more is read than the index.
    io_flags : int
        ``IO_FLAG_ONDISK_SAME_DIR`` finds lists on disk beside the file. The others ask for what is always
        so (nothing is changed in the file) or needs no asking (tables are made when they are used).

    Returns
    -------
    Index
        None where the file says that there is none.

    Raises
    ------
    RuntimeError
        Where there is no such file, or what it holds is broken or not supported; the message says where.
    """
    record = _read(source, "index", io_flags)
    if io_flags & IO_FLAG_SKIP_STORAGE and "storage" in record:
        record["storage"] = None
    return from_record(record)


def write_index(index: Any, target: Any, io_flags: int = 0) -> None:
    """Write an index so that Faiss reads it.

    Parameters
    ----------
    index : Index
        What to write.
    target : path, IOWriter, or object with write(bytes)
        A file is replaced as a whole, or stays as it was where something fails.
    io_flags : int
        ``IO_FLAG_SKIP_STORAGE`` leaves the vectors of a graph out.
    """
    _write(_record(index, io_flags), target, "index")


def _record(index: Any, io_flags: int) -> Record:
    record = to_record(index)
    if record is None:
        raise RuntimeError("there is no index to write: None was passed")
    if io_flags & IO_FLAG_SKIP_STORAGE and "storage" in record:
        record["storage"] = None
    return record


def serialize_index(index: Any, io_flags: int = 0) -> npt.NDArray[np.uint8]:
    """The bytes that `write_index` would write, as an array."""
    writer = VectorIOWriter()
    write_index(index, writer, io_flags)
    return writer.data.array


def deserialize_index(data: npt.NDArray[np.uint8], io_flags: int = 0) -> Any:
    """The index that an array of bytes holds."""
    return read_index(_reader(data), io_flags)


def _reader(data: Any) -> ZeroCopyIOReader:
    if isinstance(data, (bytes, bytearray, memoryview)):
        data = np.frombuffer(cast("bytes", data), np.uint8)
    if data.dtype != np.uint8:
        raise AssertionError(f"an array of {data.dtype}: expected uint8, as serialize_index returns it")
    return ZeroCopyIOReader(np.ascontiguousarray(data))


def read_index_binary(source: Any, io_flags: int = 0) -> Any:
    """Read an index of vectors of bits, as `read_index` does."""
    return from_record(_read(source, "binary", io_flags))


def write_index_binary(index: Any, target: Any) -> None:
    """Write an index of vectors of bits, as `write_index` does."""
    _write(_record(index, 0), target, "binary")


def serialize_index_binary(index: Any) -> npt.NDArray[np.uint8]:
    """The bytes that `write_index_binary` would write, as an array."""
    writer = VectorIOWriter()
    write_index_binary(index, writer)
    return writer.data.array


def deserialize_index_binary(data: npt.NDArray[np.uint8]) -> Any:
    """The index of vectors of bits that an array of bytes holds."""
    return read_index_binary(_reader(data))


def read_VectorTransform(source: Any) -> Any:
    """Read a transform that `write_VectorTransform` or Faiss wrote."""
    return from_record(_read(source, "transform"))


def write_VectorTransform(transform: Any, target: Any) -> None:
    """Write a transform so that Faiss reads it."""
    _write(_record(transform, 0), target, "transform")


def read_ProductQuantizer(source: Any) -> Any:
    """Read a product quantizer that `write_ProductQuantizer` or Faiss wrote."""
    return _class("ProductQuantizer").from_record(_read(source, "pq"))


def write_ProductQuantizer(quantizer: Any, target: Any) -> None:
    """Write a product quantizer so that Faiss reads it."""
    _write(_record(quantizer, 0), target, "pq")


def open_file(path: str | os.PathLike[str]) -> Any:
    """The object in a file of Faiss's, whatever it is: what `steep.open` returns for one."""
    return from_record(_steep.faiss_read(os.fspath(path), "any", False)[0])
