"""Where do the vectors come from? Folders, ann-benchmarks files and generators, by one name.

Whatever the source, a `Dataset` is a folder of .npy files, because worker processes then map the
same pages instead of each holding a copy. Sources of another form are converted once, into the
cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import synthetic, truth

REPOSITORY = Path(__file__).resolve().parents[1]

TRUTH_K = 100  # neighbours computed at least, where no truth is stored

# ann-benchmarks' names of distances -> metric
HDF5_METRICS = {"euclidean": "l2", "angular": "cosine", "dot": "ip"}


@dataclass(frozen=True)
class Dataset:
    """base (n, d), queries (nq, d) and their exact neighbours (nq, k), in one folder."""

    name: str
    folder: Path
    metric: str
    synthetic: bool = False

    def file(self, which: str, keep_integers: bool = False) -> Path:
        """The .npy of "base" or "queries" as an engine gets it.

        float32, except that `keep_integers` leaves integer types as they are stored. Under cosine
        the float rows have unit length: engines that only know the inner product need it, and the
        others lose nothing by it.
        """
        source = self.folder / f"{which}.npy"
        stored = np.load(source, mmap_mode="r")
        if keep_integers and np.issubdtype(stored.dtype, np.integer):
            return source
        if stored.dtype == np.float32 and self.metric != "cosine":
            return source
        name = f"{self.name}-{which}-f32"
        return _cached(name, source, lambda out: _widen(source, out, self.metric)) / source.name

    def load(self, which: str, keep_integers: bool = False) -> np.ndarray:
        """ "base" or "queries", mapped read-only; see `file` for the dtype."""
        return np.load(self.file(which, keep_integers), mmap_mode="r")

    def truth(self, k: int) -> np.ndarray:
        """Row numbers of the k nearest, nearest first, (nq, k); computed where not stored."""
        file = self.folder / "gt_ids.npy"
        if file.exists() and np.load(file, mmap_mode="r").shape[1] >= k:
            return np.load(file, mmap_mode="r")[:, :k]
        base = self.load("base")
        depth = min(max(k, TRUTH_K), len(base))
        folder = _cached(
            f"{self.name}-truth{depth}",
            self.folder / "base.npy",
            lambda out: np.save(
                out / "gt_ids.npy", truth.nearest(base, self.load("queries"), depth, self.metric)
            ),
        )
        return np.load(folder / "gt_ids.npy", mmap_mode="r")[:, :k]


def load(name: str, root: Path | None = None) -> Dataset:
    """A data set by name.

    `name` is a folder under the data root, a path to such a folder, a path to an ann-benchmarks
    .hdf5, or a generator's name such as ``synthetic-1000000x128`` (also ``-cosine``, ``-ip``).
    ``@20000`` behind any of them takes the first 20,000 rows of the base, with a truth of its own.
    """
    stem, _, limit = name.partition("@")
    if stem.startswith("synthetic-"):
        spec = synthetic.parse(stem)
        data = _synthetic(stem, spec)
    elif stem.endswith((".hdf5", ".h5")):
        data = _hdf5(Path(stem))
    else:
        path = Path(stem)
        data = _folder(path if (path / "base.npy").exists() else data_root(root) / stem)
    return _head(data, int(limit)) if limit else data


def data_root(root: Path | None = None) -> Path:
    """`root`, else $STEEP_DATA, else the folder shared/data beside the repository."""
    return root or Path(os.environ.get("STEEP_DATA") or REPOSITORY.parent / "shared" / "data")


def cache_root() -> Path:
    """Where converted and generated sets are kept: $STEEP_BENCH_CACHE, else bench/.cache."""
    return Path(os.environ.get("STEEP_BENCH_CACHE") or Path(__file__).parent / ".cache")


def _folder(path: Path) -> Dataset:
    if not (path / "meta.json").exists():
        raise FileNotFoundError(
            f"no data set at {path}: expected base.npy, queries.npy, meta.json and maybe gt_ids.npy "
            f"(set --data-root or STEEP_DATA)"
        )
    meta = json.loads((path / "meta.json").read_text())
    return Dataset(meta.get("name", path.name), path, meta["metric"], bool(meta.get("synthetic", False)))


def _hdf5(path: Path) -> Dataset:
    def convert(out: Path) -> None:
        import h5py

        with h5py.File(path, "r") as source:
            distance = source.attrs.get("distance", "euclidean")
            if distance not in HDF5_METRICS:
                raise ValueError(f"{path}: distance {distance!r} is none of {list(HDF5_METRICS)}")
            np.save(out / "base.npy", source["train"])
            np.save(out / "queries.npy", source["test"])
            np.save(out / "gt_ids.npy", source["neighbors"][:].astype(np.int32))
        _write_meta(out, path.stem, HDF5_METRICS[distance])

    return _folder(_cached(path.stem, path, convert))


def _synthetic(name: str, spec: synthetic.Spec) -> Dataset:
    def generate(out: Path) -> None:
        synthetic.write(spec, out)
        _write_meta(out, name, spec.metric, synthetic=True)

    return _folder(_cached(name, None, generate))


def _head(data: Dataset, rows: int) -> Dataset:
    """The first `rows` vectors of `data` as a data set, its truth computed afresh."""
    name = f"{data.name}@{rows}"
    source = data.folder / "base.npy"

    def cut(out: Path) -> None:
        np.save(out / "base.npy", np.load(source, mmap_mode="r")[:rows])
        shutil.copyfile(data.folder / "queries.npy", out / "queries.npy")
        _write_meta(out, name, data.metric, data.synthetic)

    return _folder(_cached(name, source, cut))


def _widen(source: Path, out: Path, metric: str) -> None:
    """Copy an array as float32, row chunk by row chunk; unit rows under cosine."""
    stored = np.load(source, mmap_mode="r")
    target = np.lib.format.open_memmap(out / source.name, "w+", np.float32, stored.shape)
    for start in range(0, len(stored), truth.CHUNK_ROWS):
        rows = stored[start : start + truth.CHUNK_ROWS].astype(np.float32)
        if metric == "cosine":
            norms = np.linalg.norm(rows, axis=1, keepdims=True)
            if not norms.all():
                row = start + int(np.argmin(norms))
                raise ValueError(f"{source}: row {row} is zero, it has no direction for cosine")
            rows /= norms
        target[start : start + len(rows)] = rows
    target.flush()


def _write_meta(out: Path, name: str, metric: str, synthetic: bool = False) -> None:
    meta = {"name": name, "metric": metric, "synthetic": synthetic}
    (out / "meta.json").write_text(json.dumps(meta))


def _cached(name: str, source: Path | None, fill: Callable[[Path], None]) -> Path:
    """The cache folder `name`, filled by `fill` when it is new or `source` has changed."""
    key = ""
    if source is not None:
        status = source.stat()
        identity = f"{source.resolve()} {status.st_size} {status.st_mtime_ns}"
        key = "-" + hashlib.sha256(identity.encode()).hexdigest()[:8]
    folder = cache_root() / (re.sub(r"[^\w.@-]", "_", name) + key)
    if not folder.exists():
        # Filled under another name first: an interrupted run must not leave half a data set.
        draft = folder.with_name(f"{folder.name}.draft{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            fill(draft)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder
