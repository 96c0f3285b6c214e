"""How good is a result? Exact neighbours, and the share of them that were found."""

import numpy.typing as npt

from steep import _steep
from steep._arrays import id_table
from steep._hits import Hits
from steep._types import Array, Metric, Progress


def ground_truth(
    x: Array,
    q: Array,
    k: int,
    metric: Metric = "l2",
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Hits:
    """Find the exact k nearest vectors of each query, without an index.

    Parameters
    ----------
    x : array of shape (n, dim)
        The vectors; their ids are their rows, 0 to n - 1.
    q : array of shape (nq, dim), or (dim,) for a single query
        The queries.
    k : int
        How many to find, at least 1.
    metric : str
        What is near, as in `Index`.
    threads, progress : optional
        As in `Index.search`.

    Returns
    -------
    Hits
        ids and distances of shape (nq, k), or (k,) for a single query. Each distance is summed in float64
        and rounded once to float32; equal ones are ordered by id.

    Raises
    ------
    ValueError, TypeError
        As `Index.search`.

    Examples
    --------
    >>> import numpy as np, steep
    >>> x = np.array([[0, 0], [0, 2], [9, 9]], np.float32)
    >>> steep.ground_truth(x, [[0, 3]], k=2)
    Hits(
      ids=[[1 0]],
      distances=[[1. 9.]],
    )
    """
    return Hits(*_steep.ground_truth(x, q, k, metric, threads, progress), metric)


def recall(found_ids: npt.ArrayLike, true_ids: npt.ArrayLike) -> float:
    """Share of the true neighbours that were found, from 0 to 1.

    Rows are compared as sets, over as many columns as the narrower of the two has; -1 is nobody's id.

    Parameters
    ----------
    found_ids, true_ids : integers of shape (nq, k), or (k,)
        Ids as a search and as `ground_truth` return them.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Where the two have not the same number of rows.
    TypeError
        Where they are not integers.

    Examples
    --------
    >>> import steep
    >>> steep.recall([[1, 2, 3]], [[3, 1, 9]])
    0.6666666666666666
    """
    return _steep.recall(id_table(found_ids, "found ids"), id_table(true_ids, "true ids"))
