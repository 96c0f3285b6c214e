"""Variants of k-means: in two levels, balanced, of sparse vectors, and of whatever can be assigned."""

import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import numpy as np

from steep import faiss
from steep.faiss._kmeans import means


def print_nop(*_args: Any, **_kwargs: Any) -> None:
    """Print nothing."""


def two_level_clustering(
    xt: Any, nc1: int, nc2: int, rebalance: bool = True, clustering_niter: int = 25, **args: Any
) -> tuple[Any, list[Any]]:
    """Put vectors into nc1 groups, and each of those into groups of its own, nc2 in all.

    With `rebalance` larger groups are split into more. Further arguments are those of `Kmeans`.

    Returns
    -------
    centroids : float32 array of shape (nc2, d)
    iteration_stats : list
        Of the first level, and of each of its groups.
    """
    log = print if args.get("verbose", False) else print_nop
    d = xt.shape[1]
    first = faiss.Kmeans(d, nc1, niter=clustering_niter, max_points_per_centroid=2000, **args)
    first.train(xt)
    stats = [first.iteration_stats]
    _, labels = first.assign(xt)
    sizes = np.bincount(labels, minlength=nc1)
    log(f"first level: {nc1} groups of {sizes.min()} to {sizes.max()} vectors")
    # Ends of shares that add up to nc2, whatever the rounding.
    weights = np.cumsum(sizes) if rebalance else np.arange(1, nc1 + 1)
    shares = np.diff(np.concatenate([[0], weights * nc2 // weights[-1]]))
    order, ends = np.argsort(labels, kind="stable"), np.cumsum(sizes)
    parts: list[Any] = []
    for group in range(nc1):
        if not shares[group]:
            continue
        second = faiss.Kmeans(d, int(shares[group]), **args)
        second.train(xt[order[ends[group] - sizes[group] : ends[group]]])
        stats.append(second.iteration_stats)
        parts.append(second.centroids)
    log(f"second level: {nc2} groups")
    return np.vstack(parts), stats


def train_ivf_index_with_2level(index: Any, xt: Any, **args: Any) -> None:
    """Train an inverted file, also one behind transforms, with centroids of `two_level_clustering`."""
    if isinstance(index, faiss.IndexPreTransform):
        for at in range(index.chain.size()):
            transform = index.chain.at(at)
            transform.train(xt)
            xt = transform.apply(xt)
        train_ivf_index_with_2level(index.index, xt, **args)
        index.is_trained = True
        return
    assert isinstance(index, faiss.IndexIVF), f"{type(index).__name__} is no inverted file"
    assert index.metric_type == faiss.METRIC_L2, "two levels are for METRIC_L2"
    centroids, _ = two_level_clustering(xt, int(np.sqrt(index.nlist)), index.nlist, **args)
    index.quantizer.train(centroids)
    index.quantizer.add(centroids)
    index.train(xt)


def balanced_assignment_with_penalties(
    x: Any, centroids: Any, alpha: float = 0.03, num_iter: int = 20, maxk: int = 100
) -> tuple[Any, dict[str, Any]]:
    """Assign vectors to centroids, with a penalty for groups that are too large (Tavenard et al. 2011).

    A group's penalty, which adds its square to squared distances, is multiplied by (its size / the mean
    size)**alpha, `num_iter` times. Only the `maxk` nearest centroids of each vector are looked at.

    Returns
    -------
    labels : int64 array of shape (n,)
    stats : dict
        The imbalance factor ("imf"), the mean squared error ("mse"), extremes of sizes and penalties.
    """
    groups, mean = len(centroids), len(x) / len(centroids)
    far, near = faiss.knn(x, centroids, min(maxk, groups))
    penalties = np.ones(groups, np.float32)
    labels = near[:, 0]
    sizes = np.bincount(labels, minlength=groups)
    for _ in range(num_iter):
        at = (far + np.square(penalties)[near]).argmin(axis=1)
        labels = near[np.arange(len(x)), at]
        sizes = np.bincount(labels, minlength=groups)
        penalties *= (sizes / mean) ** alpha
    stats = {
        "alpha": alpha,
        "imf": imbalance_factor(groups, labels),
        "mse": np.square(x - centroids[labels]).sum(axis=1).mean(),
        "binsize_min": int(sizes.min()),
        "binsize_max": int(sizes.max()),
        "penalty_min": penalties.min(),
        "penalty_max": penalties.max(),
    }
    return labels, stats


class DatasetAssign:
    """Vectors as k-means asks for them: how many, some of them, and their sums by nearest centroid."""

    x: Any

    def __init__(self, x: Any) -> None:
        self.x = np.ascontiguousarray(x, np.float32)

    def count(self) -> int:
        """How many vectors."""
        return int(self.x.shape[0])

    def dim(self) -> int:
        """Of how many coordinates."""
        return int(self.x.shape[1])

    def get_subset(self, indices: Any) -> Any:
        """Some of them."""
        return self.x[indices]

    def perform_search(self, centroids: Any) -> tuple[Any, Any]:
        """The distance of each from its nearest centroid, and which one that is."""
        return faiss.knn(self.x, centroids, 1)

    def assign_to(self, centroids: Any, weights: Any = None) -> tuple[Any, Any, Any]:
        """The nearest centroids, the distances, and the sums of the vectors of each centroid."""
        D, I = (found.ravel() for found in self.perform_search(centroids))
        mean, sizes = means(self.x, I, np.zeros_like(centroids), weights)
        return I, D, (mean * sizes[:, None]).astype(np.float32)


class DatasetAssignGPU(DatasetAssign):
    """Refused: the engine computes on CPUs."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("there are no GPUs here: use DatasetAssign(x)")


def _norms(x: Any) -> Any:
    return np.asarray(x.power(2).sum(axis=1)).ravel()


def sparse_assign_to_dense(xq: Any, xb: Any, xq_norms: Any = None, xb_norms: Any = None) -> tuple[Any, Any]:
    """The nearest dense row of each sparse one: D and I. Squared norms may be passed where they are known."""
    xb_norms = np.square(xb).sum(axis=1) if xb_norms is None else xb_norms
    xq_norms = _norms(xq) if xq_norms is None else np.ravel(xq_norms)
    partial = xb_norms - 2 * (xq @ xb.T)
    nearest = partial.argmin(axis=1)
    return partial[np.arange(len(nearest)), nearest] + xq_norms, nearest


def sparse_assign_to_dense_blocks(
    xq: Any,
    xb: Any,
    xq_norms: Any = None,
    xb_norms: Any = None,
    qbs: int = 16384,
    bbs: int = 16384,
    nt: Any = None,
) -> tuple[Any, Any]:
    """The same, so many of each side at a time, on `nt` threads."""
    nq = xq.shape[0]
    D, I = np.full(nq, np.inf, np.float32), np.full(nq, -1, np.int64)
    xb_norms = np.square(xb).sum(axis=1) if xb_norms is None else xb_norms
    xq_norms = _norms(xq) if xq_norms is None else np.ravel(xq_norms)

    def block(at: int) -> None:
        some = slice(at, at + qbs)
        for from_ in range(0, len(xb), bbs):
            part = slice(from_, from_ + bbs)
            far, near = sparse_assign_to_dense(xq[some], xb[part], xq_norms[some], xb_norms[part])
            better = far < D[some]
            D[some] = np.where(better, far, D[some])
            I[some] = np.where(better, near + from_, I[some])

    with ThreadPoolExecutor(max(nt or 1, 1)) as pool:
        list(pool.map(block, range(0, nq, qbs)))
    return D, I


class DatasetAssignSparse(DatasetAssign):
    """The same of a scipy.sparse.csr_matrix."""

    squared_norms: Any

    def __init__(self, x: Any) -> None:
        assert type(x).__name__ in ("csr_matrix", "csr_array"), f"{type(x).__name__} is no csr_matrix"
        self.x = x
        self.squared_norms = _norms(x)

    def get_subset(self, indices: Any) -> Any:
        """Some of them, dense."""
        return np.asarray(self.x[indices].todense())

    def perform_search(self, centroids: Any) -> tuple[Any, Any]:
        """The distance of each from its nearest centroid, and which one that is."""
        return sparse_assign_to_dense_blocks(self.x, centroids, xq_norms=self.squared_norms)

    def assign_to(self, centroids: Any, weights: Any = None) -> tuple[Any, Any, Any]:
        """The nearest centroids, the distances, and the sums of the vectors of each centroid."""
        sparse: Any = import_module("scipy.sparse")

        D, I = (found.ravel() for found in self.perform_search(centroids))
        n = self.x.shape[0]
        weights = np.ones(n, np.float32) if weights is None else weights
        whose = sparse.csc_matrix((weights, I, np.arange(int(n) + 1)), shape=(len(centroids), n))
        return I, D, np.asarray((whose @ self.x).todense())


def imbalance_factor(k: int, assign: Any) -> float:
    """How unequal the sizes of k groups are: 1 for equal ones, k for a single one."""
    assign = np.ascontiguousarray(assign, np.int64)
    return faiss.imbalance_factor(len(assign), k, assign)


def check_if_torch(x: Any) -> bool:
    """Whether it is a torch tensor, which is refused where it is neither that nor an array."""
    if isinstance(x, np.ndarray):
        return False
    if type(x).__module__.partition(".")[0] == "torch":
        return True
    raise NotImplementedError(f"Unknown tensor type {type(x)}")


def reassign_centroids(hassign: Any, centroids: Any, rs: Any = None) -> int:
    """Give centroids without vectors the half of one that has many, in place; how many there were."""
    rs = np.random if rs is None else rs
    empty, split = np.flatnonzero(hassign == 0), 0
    apart = centroids[0] * 0 + 1
    apart[::2] += 1 / 1024
    apart[1::2] -= 1 / 1024
    while len(empty):
        chances = np.maximum(hassign.astype(np.float64) - 1, 0)
        if not chances.any():
            break
        some = min(int((chances > 0).sum()), len(empty))
        large = rs.choice(len(hassign), size=some, p=chances / chances.sum())
        for to, from_ in zip(empty[:some], large, strict=True):
            centroids[to] = centroids[from_] * apart
            centroids[from_] = centroids[from_] / apart
            hassign[to] = hassign[from_] // 2
            hassign[from_] -= hassign[to]
            split += 1
        empty = empty[some:]
    return split


def kmeans(
    k: int,
    data: Any,
    niter: int = 25,
    seed: int = 1234,
    checkpoint: Any = None,
    verbose: bool = True,
    return_stats: bool = False,
) -> Any:
    """k-means of a `DatasetAssign`, or of anything with its methods.

    Returns
    -------
    centroids, or (centroids, iteration_stats) with `return_stats`
    """
    random, log = np.random.RandomState(seed), print if verbose else print_nop
    log(f"Clustering {data.count()} points in {data.dim()}D to {k} clusters, {niter} iterations seed {seed}")
    centroids = data.get_subset(random.choice(data.count(), size=k, replace=False))
    torch = check_if_torch(centroids)
    stats: list[dict[str, Any]] = []
    began, searching = time.time(), 0.0
    for at in range(niter):
        start = time.time()
        labels, D, sums = data.assign_to(centroids)
        searching += time.time() - start
        obj = D.sum().item()
        sizes = np.bincount(labels, minlength=k)
        weights = np.maximum(sizes, 1).reshape(-1, 1).astype(np.float32)
        centroids = sums / (sums.new_tensor(weights) if torch else weights)
        split = reassign_centroids(sizes, centroids, random)
        stats.append(
            {
                "obj": obj,
                "time": time.time() - began,
                "time_search": searching,
                "imbalance_factor": imbalance_factor(k, labels),
                "nsplit": split,
            }
        )
        unequal = stats[-1]["imbalance_factor"]
        log(f"  Iteration {at}: objective={obj:g} imbalance={unequal:.3f} nsplit={split}")
        if checkpoint is not None:
            np.save(checkpoint, centroids.cpu().numpy() if torch else centroids)
    return (centroids, stats) if return_stats else centroids
