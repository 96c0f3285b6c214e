"""The index: what users build, search, change, save and open."""

import warnings
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from steep import _steep
from steep._hits import Hits, RangeHits, Stats
from steep._types import Array, Distances, Dtype, Ids, Metric, Path, Progress

# Makes what `Hits` makes without another call, which a query by itself would notice.
_pair = cast("type[tuple[Ids, Distances]]", tuple).__new__


class Index:
    """Vectors that can be searched. Make one with `steep.build`, open one with `steep.open`, or start empty.

    Threads may share an index: searches run at once, and a change waits until it is alone. It may be
    pickled, copied with `copy.deepcopy`, and used after a fork.

    Parameters
    ----------
    dim : int
        Coordinates of a vector, 1 to 65536.
    metric : str
        What is near: "l2", squared Euclidean distance; "ip", inner product; "cosine".

        For exact search there are also "l1"; "linf"; "lp3", "lp0.5" …, without the root; "canberra";
        "braycurtis"; "jensenshannon", squared, of weights that are not negative; "jaccard", the negative of
        min over max of such weights; "nan-euclidean", squared, where NaN stands for what is missing; "gower",
        of numbers from 0 to 1, and negative integers that name categories; and "hamming", of bits. Vectors
        that have no distance, for it would be 0/0, are not found.
    spec : str
        How to search: "flat" compares every vector, exactly, with small codes that spare most of the work;
        "flat-raw" does so without the codes, in less memory; "graph" walks a graph of near vectors, which
        is approximate and faster the more vectors there are: it takes minutes rather than seconds to build,
        and `search` trades speed for recall by ef_search. "graph64" gives each vector 64 neighbours, a
        multiple of 32 up to 256, rather than 32: more memory, and a higher recall at equal ef_search.
        "graph,sq8" is the small one: a byte a direction and 4 bytes a neighbour, no vectors, distances as
        codes tell them; ",rerank", ",rerank-f16" and ",rerank-bf16" store vectors with it, for exact ones.
        "auto" is exact for few vectors, or where neighbours are hard to tell apart, and a graph where that
        answers sooner: some ten thousand embeddings and more.

        Codes make vectors small, at the cost of exact distances: "rabitq4", "lvq8" and "sq8" are 1 to 8 bits
        a direction, scaled to each vector's direction, to its reach, or alike for all; "pq64x4" and "pq16x8"
        are so many codes of 4 or 8 bits a vector. "ivf4096,rabitq4" puts them into 4096 lists, of which a
        search looks at the nprobe nearest; "ivf,rabitq4" chooses their number, and
        "ivf4096x2,rabitq4" puts each vector into two, for queries unlike the vectors. With ",rerank" the
        vectors are stored too, and rank the best by their codes exactly; ",rerank-f16" and "-bf16" store them
        rounded; "rabitq1" and "pq64x4" can have ",rerank-i8", eight bits a direction. "ivf" by itself is
        "ivf,rabitq4,rerank", "f16" is "rabitq4,rerank-f16". What codes are made for is learned from the
        first vectors that are added: add many at first.

        Transforms may come first, of vectors and queries alike: "norm" makes their length 1, "rotate" turns
        them at random, "pca64" keeps the 64 directions of the largest variance, "pcaw64" makes these vary
        alike, "opq16_64" deals them out to 16 groups of equal worth: "norm,pca64,graph". Distances are then
        those of what comes out, of type float32.
    dtype : {"f32", "f16", "bf16", "i8", "u8", "b1"}
        How a coordinate is kept. Under "hamming" it is "b1", one bit: dim counts bits, a multiple of 8, and
        vectors are uint8 of shape (n, dim / 8), as `numpy.packbits` makes them, in any order of bits.

    Raises
    ------
    ValueError
        For an argument out of range, with its value and what would do.

    Examples
    --------
    >>> import numpy as np, steep
    >>> index = steep.Index(dim=2, metric="l2", spec="flat")
    >>> index.add(np.array([[0, 0], [3, 4]], np.float32), ids=[7, 8])
    >>> index
    Index(n=2, dim=2, metric="l2", spec="flat", dtype="f32", ...)
    >>> index.search([0, 0], k=3)
    Hits(
      ids=[ 7  8 -1],
      distances=[ 0. 25. inf],
    )
    """

    __slots__ = ("__weakref__", "_core")  # an attribute misspelt is an error, not a wish unheard
    _core: _steep.Index

    def __init__(self, dim: int, metric: Metric = "l2", spec: str = "auto", dtype: Dtype = "f32") -> None:
        self._core = _steep.Index(dim, metric, spec, dtype)

    @classmethod
    def _of(cls, core: _steep.Index) -> Self:
        index = cls.__new__(cls)
        index._core = core
        return index

    def add(
        self,
        x: Array,
        ids: npt.ArrayLike | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Add vectors. Where it fails, nothing is added.

        Parameters
        ----------
        x : array of shape (n, dim)
            The vectors.
        ids : integers of shape (n,), optional
            Their ids: unique, from 0 to 2**64 - 2. By default they are numbered from the largest id of
            the index plus one.
        threads : int, optional
            Cores to use, at least 1; all of them by default, and never more than there are.
        progress : callable, optional
            Called as ``progress(stage, done, total)``, about ten times a second. What it raises ends
            the call and is raised by it.

        Warns
        -----
        UserWarning
            Once, where the vectors are too few for the lists that the spec asks for, and there are fewer.

        Raises
        ------
        ValueError
            For a wrong shape, a NaN or infinity, a zero vector under "cosine", a value that the index's
            dtype does not hold exactly, or an id that is taken or negative; the message names the row.
        TypeError
            For values or ids of a type that cannot be converted.

        Examples
        --------
        >>> import numpy as np, steep
        >>> index = steep.Index(dim=3)
        >>> index.add(np.eye(3, dtype=np.float32))
        >>> index.add(np.ones((1, 3), np.float32), ids=[100])
        >>> len(index)
        4
        """
        before = self._core.fewer_lists()
        self._core.add(x, ids, threads, progress)
        _warn_of_fewer_lists(self._core, before)

    def search(
        self,
        q: Array,
        k: int = 10,
        *,
        ef_search: int | None = None,
        nprobe: int | None = None,
        max_codes: int | None = None,
        rerank: int | None = None,
        threads: int | None = None,
        stats: bool = False,
        progress: Progress | None = None,
    ) -> Hits:
        """Find the k nearest vectors of each query: all of them, or most of them in a graph or by codes.

        Parameters
        ----------
        q : array of shape (nq, dim), or (dim,) for a single query
            The queries, of any of the element types, also another one than the index's.
        k : int
            How many to find, at least 1. It may exceed ``len(index)``: results are then filled up with
            id -1 at distance inf.
        ef_search : int, optional
            Under a graph: how many vectors a search keeps in view, at least 1; a hard query keeps up to twice
            as many. By default 2 * k + 32, more where the vectors are hard to tell apart. The knob between
            speed and recall: double it until `recall` is what you need. Fewer than k find k all the same:
            the quickest search, with the lowest recall.
        nprobe : int, optional
            Under "ivf": how many lists a search looks at, at least 1. By default the square root of how many
            there are, at least 8. The knob between speed and recall: double it until `recall` is what you
            need.
        max_codes : int, optional
            Under "ivf": how many codes a search looks at before it begins no further list. By default all.
        rerank : int, optional
            Under a graph, and for codes with ",rerank": how many of the vectors found get their distance by
            the vectors that are stored, at least 1; fewer than k count as k. By default as many as could be
            among the k nearest by the errors of their codes. The distances returned are then always those;
            without stored vectors they are what the codes tell.
        threads, progress : optional
            As in `add`. A single query runs on the calling thread.
        stats : bool
            Under a graph and by codes: also count what each query cost, in ``hits.stats``.

        Returns
        -------
        Hits
            ids and distances of shape (nq, k), or (k,) for a single query, nearest first.

        Raises
        ------
        ValueError
            For a wrong shape, a NaN or infinity, a zero vector under "cosine", a count of 0, or a knob that
            the index's spec has not.
        TypeError
            For values of a type that cannot be converted.

        Examples
        --------
        >>> import numpy as np, steep
        >>> x = np.array([[1, 0], [1, 1], [0, 1]], np.float32)
        >>> ids, distances = steep.build(x).search([[1, 0.25], [0.25, 1]], k=2)
        >>> ids
        array([[0, 1],
               [2, 1]])
        >>> distances
        array([[0.0625, 0.5625],
               [0.0625, 0.5625]], dtype=float32)

        More of what a graph finds, for more work:

        >>> x = np.random.default_rng(0).standard_normal((2000, 32), dtype=np.float32)
        >>> index, truth = steep.build(x, spec="graph"), steep.ground_truth(x, x[:100], k=10)
        >>> found = [index.search(x[:100], ef_search=ef).ids for ef in (10, 300)]
        >>> steep.recall(found[0], truth.ids) < steep.recall(found[1], truth.ids)
        True
        """
        core = self._core
        ids, distances, costs = core.search(
            q, k, ef_search, nprobe, max_codes, rerank, threads, stats, progress
        )
        hits = _pair(Hits, (ids, distances))
        hits.metric, hits.stats = core.metric, None if costs is None else Stats(*costs)
        return hits

    def range_search(
        self,
        q: Array,
        radius: float,
        *,
        nprobe: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> RangeHits:
        """Find all vectors within a distance of each query.

        Parameters
        ----------
        q : array of shape (nq, dim), or (dim,) for a single query
            The queries.
        radius : float
            The largest distance, itself included, in the metric's own unit: squared for "l2",
            ``-score`` for "ip", ``1 - score`` for "cosine", bits for "hamming".
        nprobe : int, optional
            Under "ivf": how many lists a search looks at; what is in others is not found.
        threads, progress : optional
            As in `search`.

        Returns
        -------
        RangeHits
            As many ids and distances as there are, query after query, with the offsets of each.

        Raises
        ------
        ValueError, TypeError
            As `search`; also for a radius that is NaN.

        Examples
        --------
        >>> import numpy as np, steep
        >>> index = steep.build(np.array([[0], [1], [2], [3]], np.float32))
        >>> index.range_search(np.array([[1]], np.float32), radius=1.0)[0]
        (array([1, 0, 2]), array([0., 1., 1.], dtype=float32))
        """
        return RangeHits(*self._core.range_search(q, radius, nprobe, threads, progress))

    def save(self, path: Path) -> None:
        """Write the index to a file, whole or not at all: what was there before stays until then.

        Ctrl-C ends it within a second and leaves what was there before.

        Parameters
        ----------
        path : str or os.PathLike
            The file, by custom with the ending ".steep".

        Raises
        ------
        OSError
            Where the system refuses, with ``errno`` and ``filename``.

        Examples
        --------
        >>> import os, tempfile, numpy as np, steep
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "docs.steep")
        ...     steep.build(np.eye(3, dtype=np.float32)).save(path)
        ...     len(steep.open(path))
        3
        """
        self._core.save(path)

    def __len__(self) -> int:
        return len(self._core)

    @property
    def dim(self) -> int:
        """Coordinates of a vector."""
        return self._core.dim

    @property
    def metric(self) -> Metric:
        """What is near: "l2", "ip", "cosine" …"""
        return self._core.metric

    @property
    def spec(self) -> str:
        """How it searches, in the canonical form of the text it was made with."""
        return self._core.spec

    @property
    def dtype(self) -> Dtype:
        """How a coordinate is kept: "f32", "f16", "bf16", "i8", "u8" or "b1"."""
        return self._core.dtype

    @property
    def bytes(self) -> dict[str, int]:
        """Memory by part, and the "total" that the parts add up to, in bytes.

        Examples
        --------
        >>> import numpy as np, steep
        >>> parts = steep.build(np.eye(4, dtype=np.float32)).bytes
        >>> parts["total"] == sum(parts.values()) - parts["total"]
        True
        """
        return self._core.bytes

    def __repr__(self) -> str:
        where = " mapped" if self._core.mapped else ""
        return (
            f'Index(n={len(self)}, dim={self.dim}, metric="{self.metric}", spec="{self.spec}", '
            f'dtype="{self.dtype}", {_megabytes(self.bytes["total"])}{where})'
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # An array is pickled out of band where the protocol can, without another copy.
        return _from_bytes, (self._core.to_bytes(),)


def build(
    x: Array,
    metric: Metric = "l2",
    spec: str = "auto",
    ids: npt.ArrayLike | None = None,
    threads: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Index:
    """Build an index of vectors.

    Parameters
    ----------
    x : array of shape (n, dim)
        The vectors. Their type becomes the index's: float32, float16, bfloat16, int8 and uint8 are kept as
        they are, other numbers as float32.
    metric : str
        What is near: "l2", squared Euclidean distance; "ip", inner product; "cosine"; or another one for
        exact search, see `Index`: "hamming" takes each byte for eight bits.
    spec : str
        How to search: "auto", "flat", "flat-raw", "graph" with or without a degree ("graph64") and ",sq8",
        "ivf" with or without a number of lists and a code ("ivf4096,rabitq4"), or a code; transforms before
        it ("pca64,"); see `Index`.
    ids : integers of shape (n,), optional
        Unique ids from 0 to 2**64 - 2; 0 to n - 1 by default.
    threads : int, optional
        Cores to use, at least 1; all of them by default, and never more than there are.
    seed : int
        For what is drawn at random. The same seed, data and instruction set give the same index, at any
        number of threads.
    progress : callable, optional
        Called as ``progress(stage, done, total)``, about ten times a second. What it raises ends the
        call and is raised by it.

    Returns
    -------
    Index

    Warns
    -----
    UserWarning
        Where the vectors are too few for the lists that the spec asks for, and there are fewer.

    Raises
    ------
    ValueError
        For a wrong shape, a NaN or infinity, a zero vector under "cosine", an id that is taken or negative,
        or an argument out of range; the message holds the value and its row.
    TypeError
        For values or ids of a type that cannot be converted.

    Examples
    --------
    >>> import numpy as np, steep
    >>> x = np.random.default_rng(0).integers(0, 256, (1000, 128), dtype=np.uint8)
    >>> index = steep.build(x, ids=np.arange(1000) + 5000)
    >>> index.search(x[3], k=1).ids
    array([5003])
    """
    core = _steep.Index.build(x, metric, spec, ids, threads, seed, progress)
    _warn_of_fewer_lists(core, None)
    return Index._of(core)


def open(path: Path, mmap: bool = False) -> Index:
    """Open a saved index, or one that Faiss wrote.

    Parameters
    ----------
    path : str or os.PathLike
        The file. One of Faiss's becomes an index of `steep.faiss`, which finds what it found there.
    mmap : bool
        Map the file rather than read it: it opens at once, only what searches touch is read, and processes
        that map it share its memory. Do not change the file in place while it is mapped; saving over it is
        safe.

    Returns
    -------
    Index

    Raises
    ------
    OSError
        Where the system refuses, such as FileNotFoundError.
    ValueError
        Where the file is not a whole index; the message says what is wrong and where.

    Examples
    --------
    >>> import os, tempfile, numpy as np, steep
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "docs.steep")
    ...     steep.build(np.eye(3, dtype=np.float32)).save(path)
    ...     steep.open(path, mmap=True).search([0, 1, 0], k=1).ids
    array([1])
    """
    if _steep.faiss_known(path):
        from steep.faiss._io import open_file

        index: Index = open_file(path)
        return index
    return Index._of(_steep.Index.open(path, mmap))


def _from_bytes(data: npt.NDArray[np.uint8]) -> Index:
    return Index._of(_steep.Index.from_bytes(data))


def _warn_of_fewer_lists(core: _steep.Index, before: tuple[int, int] | None) -> None:
    fewer = core.fewer_lists()
    if fewer and fewer != before:
        asked, made = fewer
        message = f"{made} lists, not {asked}: a list is made of eight vectors at least"
        warnings.warn(message, UserWarning, stacklevel=3)


def _megabytes(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
