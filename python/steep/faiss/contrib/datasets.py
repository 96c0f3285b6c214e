"""Data sets to try things on: a synthetic one, and those of files that have to be there already."""

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from steep import faiss
from steep.faiss.contrib.vecs_io import bvecs_mmap, fvecs_mmap, fvecs_read, ivecs_read


class Dataset:
    """Queries, training vectors and a base, of `d` coordinates each."""

    d = -1
    metric = "L2"
    nq = nb = nt = -1

    def get_queries(self) -> Any:
        """The queries, of shape (nq, d)."""
        raise NotImplementedError(f"{type(self).__name__}.get_queries")

    def get_train(self, maxtrain: int | None = None) -> Any:
        """Vectors to learn from, all or the first of them."""
        raise NotImplementedError(f"{type(self).__name__}.get_train")

    def get_database(self) -> Any:
        """The base, of shape (nb, d)."""
        raise NotImplementedError(f"{type(self).__name__}.get_database")

    def database_iterator(self, bs: int = 128, split: tuple[int, int] = (1, 0)) -> Iterator[Any]:
        """The base, so many vectors at a time; of (number, which) equal parts one."""
        base, (parts, which) = self.get_database(), split
        end = self.nb * (which + 1) // parts
        for at in range(self.nb * which // parts, end, bs):
            yield base[at : min(at + bs, end)]

    def get_groundtruth(self, k: int | None = None) -> Any:
        """The true neighbours' ids, of shape (nq, k)."""
        raise NotImplementedError(f"{type(self).__name__}.get_groundtruth")

    def get_groundtruth_range(self, thresh: float | None = None) -> Any:
        """What a range search finds."""
        raise NotImplementedError(f"{type(self).__name__}.get_groundtruth_range")

    def __str__(self) -> str:
        sizes = f"size: Q {self.nq} B {self.nb} T {self.nt}"
        return f"dataset in dimension {self.d}, with metric {self.metric}, {sizes}"

    def check_sizes(self) -> None:
        """Raise where arrays have other shapes than they should."""
        assert self.get_queries().shape == (self.nq, self.d)
        if self.nt > 0:
            assert self.get_train(maxtrain=123).shape == (123, self.d)
        assert self.get_database().shape == (self.nb, self.d)
        assert self.get_groundtruth(k=13).shape == (self.nq, 13)


class SyntheticDataset(Dataset):
    """Vectors near a bent surface of ten dimensions: neither easy nor without structure."""

    d: int
    nt: int
    nb: int
    nq: int
    metric: str
    xt: Any
    xb: Any
    xq: Any

    def __init__(self, d: int, nt: int, nb: int, nq: int, metric: str = "L2", seed: int = 1338) -> None:
        self.d, self.nt, self.nb, self.nq, self.metric = d, nt, nb, nq, metric
        random = np.random.RandomState(seed)
        flat = random.normal(size=(nb + nt + nq, 10))
        turned = np.dot(flat, random.rand(10, d))
        # The larger the scale the more a coordinate bends.
        x = np.sin(turned * (random.rand(d) * 4 + 0.1)).astype(np.float32)
        self.xt, self.xb, self.xq = x[:nt], x[nt : nt + nb], x[nt + nb :]

    def get_queries(self) -> Any:
        """The queries, of shape (nq, d)."""
        return self.xq

    def get_train(self, maxtrain: int | None = None) -> Any:
        """Vectors to learn from, all or the first of them."""
        return self.xt[: self.nt if maxtrain is None else maxtrain]

    def get_database(self) -> Any:
        """The base, of shape (nb, d)."""
        return self.xb

    def get_groundtruth(self, k: int | None = 100) -> Any:
        """The true neighbours' ids, of shape (nq, k)."""
        metric = faiss.METRIC_L2 if self.metric == "L2" else faiss.METRIC_INNER_PRODUCT
        return faiss.knn(self.xq, self.xb, 100 if k is None else k, metric)[1]


dataset_basedir: str = "data/"


def set_dataset_basedir(path: str) -> None:
    """Say where the files of data sets are."""
    global dataset_basedir
    dataset_basedir = path


def sanitize(x: Any) -> Any:
    """A C-contiguous float32 array."""
    return np.ascontiguousarray(x, np.float32)


class _FromFiles(Dataset):
    """A data set of files below `dataset_basedir`."""

    _folder = ""
    _queries = _train = _base = _truth = ""

    basedir: str

    def __init__(self) -> None:
        self.basedir = os.path.join(dataset_basedir, self._folder, "")

    def _path(self, name: str) -> str:
        path = self.basedir + name
        if not os.path.exists(path):
            raise FileNotFoundError(
                f"{path} is not there: download the data set, and set_dataset_basedir(path)"
            )
        return path

    def _vectors(self, name: str, most: int | None = None) -> Any:
        path = self._path(name)
        rows = bvecs_mmap(path) if name.endswith(".bvecs") else fvecs_mmap(path)
        return sanitize(rows[:most])

    def get_queries(self) -> Any:
        """The queries, of shape (nq, d)."""
        return self._vectors(self._queries)

    def get_train(self, maxtrain: int | None = None) -> Any:
        """Vectors to learn from, all or the first of them."""
        return self._vectors(self._train, self.nt if maxtrain is None else maxtrain)

    def get_database(self) -> Any:
        """The base, of shape (nb, d)."""
        assert self.nb <= 10**8, "dataset too large, use iterator"
        return self._vectors(self._base, self.nb)

    def database_iterator(self, bs: int = 128, split: tuple[int, int] = (1, 0)) -> Iterator[Any]:
        """The base, so many vectors at a time; of (number, which) equal parts one."""
        path = self._path(self._base)
        rows, (parts, which) = bvecs_mmap(path) if path.endswith(".bvecs") else fvecs_mmap(path), split
        end = self.nb * (which + 1) // parts
        for at in range(self.nb * which // parts, end, bs):
            yield sanitize(rows[at : min(at + bs, end)])

    def get_groundtruth(self, k: int | None = None) -> Any:
        """The true neighbours' ids, of shape (nq, k)."""
        truth = ivecs_read(self._path(self._truth))
        assert k is None or k <= truth.shape[1], f"k = {k}: the file holds {truth.shape[1]} neighbours"
        return truth[:, :k]


class DatasetSIFT1M(_FromFiles):
    """SIFT1M of TexMex."""

    d = 128
    nt = 100_000
    nb = 1_000_000
    nq = 10_000
    _folder = "sift1M"
    _queries = "sift_query.fvecs"
    _train = "sift_learn.fvecs"
    _base = "sift_base.fvecs"
    _truth = "sift_groundtruth.ivecs"


class DatasetGIST1M(_FromFiles):
    """GIST1M of TexMex."""

    d = 960
    nt = 100_000
    nb = 1_000_000
    nq = 10_000
    _folder = "gist1M"
    _queries = "gist_query.fvecs"
    _train = "gist_learn.fvecs"
    _base = "gist_base.fvecs"
    _truth = "gist_groundtruth.ivecs"


class DatasetBigANN(_FromFiles):
    """The first `nb_M` million vectors of TexMex's billion."""

    d = 128
    nt = 10**8
    nq = 10_000
    _folder = "bigann"
    _queries = "bigann_query.bvecs"
    _train = "bigann_learn.bvecs"
    _base = "bigann_base.bvecs"

    def __init__(self, nb_M: int = 1000) -> None:
        super().__init__()
        assert nb_M in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000), f"nb_M = {nb_M} has no ground truth"
        self.nb_M, self.nb, self._truth = nb_M, nb_M * 10**6, f"gnd/idx_{nb_M}M.ivecs"


class DatasetDeep1B(_FromFiles):
    """The first `nb` vectors of Deep1B."""

    d = 96
    nt = 358_480_000
    nq = 10_000
    _folder = "deep1b"
    _queries = "deep1B_queries.fvecs"
    _train = "learn.fvecs"
    _base = "base.fvecs"

    nb: int

    def __init__(self, nb: int = 10**9) -> None:
        super().__init__()
        names = {10**5: "100k", 10**6: "1M", 10**7: "10M", 10**8: "100M", 10**9: "1B"}
        assert nb in names, f"nb = {nb}: expected one of {', '.join(map(str, names))}"
        self.nb, self._truth = nb, f"deep{names[nb]}_groundtruth.ivecs"


class DatasetMusic100(_FromFiles):
    """Music-100, for inner products."""

    d = 100
    nt = 0
    nb = 10**6
    nq = 10_000
    metric = "IP"
    _folder = "music-100"
    _queries = "query_music100.bin"
    _base = "database_music100.bin"

    def _vectors(self, name: str, most: int | None = None) -> Any:
        return np.fromfile(self._path(name), np.float32).reshape(-1, self.d)[:most]

    def get_groundtruth(self, k: int | None = None) -> Any:
        """The true neighbours' ids, of shape (nq, k)."""
        return np.load(self._path("gt.npy"))[:, :k]


class DatasetGlove(Dataset):
    """glove-100-angular of ann-benchmarks; needs h5py."""

    d = 100
    nt = 0
    metric = "IP"

    nb: int
    nq: int

    def __init__(self, loc: str | None = None, download: bool = False) -> None:
        h5py: Any = import_module("h5py")

        assert not download, "not implemented: download the file yourself"
        file: Any = h5py.File(loc or os.path.join(dataset_basedir, "glove", "glove-100-angular.hdf5"), "r")
        self.glove_h5py = file
        self.nb, self.nq = file["train"].shape[0], file["test"].shape[0]

    def _normal(self, name: str) -> Any:
        x = np.array(self.glove_h5py[name], np.float32)
        faiss.normalize_L2(x)
        return x

    def get_queries(self) -> Any:
        """The queries, of shape (nq, d)."""
        return self._normal("test")

    def get_database(self) -> Any:
        """The base, of shape (nb, d)."""
        return self._normal("train")

    def get_groundtruth(self, k: int | None = None) -> Any:
        """The true neighbours' ids, of shape (nq, k)."""
        return np.array(self.glove_h5py["neighbors"])[:, :k]


def dataset_from_name(dataset: str = "deep1M", download: bool = False) -> Dataset:
    """The data set of a name: sift1M, gist1M, bigann1M to bigann1B, deep100k to deep1B, music-100, glove."""
    plain = {"sift1M": DatasetSIFT1M, "gist1M": DatasetGIST1M, "music-100": DatasetMusic100}
    if dataset in plain:
        return plain[dataset]()
    if dataset == "glove":
        return DatasetGlove(download=download)
    for prefix in ("bigann", "deep"):
        size = dataset.removeprefix(prefix)
        if size != dataset and size[:-1].isdigit() and size[-1] in "kMB":
            nb = int(size[:-1]) * {"k": 10**3, "M": 10**6, "B": 10**9}[size[-1]]
            return DatasetBigANN(nb // 10**6) if prefix == "bigann" else DatasetDeep1B(nb)
    raise RuntimeError(
        f"unknown dataset {dataset!r}: there are sift1M, gist1M, bigann…, deep…, music-100 and glove"
    )


__all__ = [
    "Dataset",
    "DatasetBigANN",
    "DatasetDeep1B",
    "DatasetGIST1M",
    "DatasetGlove",
    "DatasetMusic100",
    "DatasetSIFT1M",
    "SyntheticDataset",
    "dataset_from_name",
    "fvecs_read",
    "sanitize",
    "set_dataset_basedir",
]
