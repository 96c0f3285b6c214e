"""A program that uses every public name, for the type checkers to judge."""

from pathlib import Path
from typing import assert_type

import numpy as np
import numpy.typing as npt
import steep


def report(stage: str, done: int, total: int) -> None:
    print(f"{stage}: {done} of {total}")


def main(folder: Path) -> None:
    x: npt.NDArray[np.float32] = np.ones((10, 4), np.float32)
    index = steep.build(x, metric="cosine", spec="flat", ids=range(10), threads=2, seed=1, progress=report)
    assert_type(index, steep.Index)
    index.add([[1.0, 2.0, 3.0, 4.0]], ids=np.array([99]))
    empty = steep.Index(dim=4, metric="ip", spec="auto", dtype="bf16")
    empty.add(x.astype(np.float16), progress=lambda stage, done, total: None)

    hits = index.search(x[0], k=3, threads=1, progress=report)
    assert_type(hits.ids, npt.NDArray[np.int64])
    assert_type(hits.distances, npt.NDArray[np.float32])
    assert_type(hits.scores, npt.NDArray[np.float32])
    ids, distances = hits
    assert_type(ids, npt.NDArray[np.int64])
    assert_type(distances, npt.NDArray[np.float32])

    walked = steep.build(x, spec="graph64").search(x, k=3, ef_search=50, rerank=10, stats=True)
    assert_type(walked.stats, steep.Stats | None)
    if walked.stats is not None:
        assert_type(walked.stats.hops, npt.NDArray[np.uint64])
        assert_type(walked.stats.estimates, npt.NDArray[np.uint64])
        assert_type(walked.stats.reranked, npt.NDArray[np.uint64])

    within = index.range_search(x, 0.5)
    assert_type(within.offsets, npt.NDArray[np.int64])
    row_ids, row_distances = within[0]
    assert_type(row_ids, npt.NDArray[np.int64])
    assert_type(row_distances, npt.NDArray[np.float32])

    index.save(folder / "x.steep")
    opened = steep.open(str(folder / "x.steep"), mmap=True)
    print(len(opened), opened.dim, opened.spec, opened.bytes["total"], opened)
    again = steep.Index(opened.dim, opened.metric, opened.spec, opened.dtype)
    again.add(steep.read_vectors(folder / "x.npy", mmap=True))
    steep.write_vectors(folder / "y.npy", x)

    truth = steep.ground_truth(x, x[:2], 3, metric="l2")
    assert_type(truth, steep.Hits)
    assert_type(steep.recall(index.search(x[:2], 3).ids, truth.ids), float)
    assert_type(steep.info()["threads"], int)


def mistakes(index: steep.Index) -> None:
    """Each of these is an error; the checkers complain where one is not."""
    index.search([1.0], kk=3)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    index.metric = "l2"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
    index.nprobe = 3  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    steep.build([[1.0]], metric=2)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
