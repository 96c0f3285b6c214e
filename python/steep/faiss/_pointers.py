"""An index by Faiss's C signatures: calls that end in ``_c`` take sizes and pointers, and write to these."""

from typing import Any

import numpy as np

from steep.faiss._arrays import pointed


def rows(x: Any, n: int, d: int) -> Any:
    """The n vectors behind a pointer."""
    return np.ascontiguousarray(pointed(x, n * d, np.float32, "x").reshape(n, d))


def _ids(x: Any, n: int) -> Any:
    return np.array(pointed(x, n, np.int64, "ids"))


def put(x: Any, values: Any) -> None:
    """Write values behind a pointer."""
    pointed(x, values.size, values.dtype, "result")[:] = values.reshape(-1)


class Pointers:
    """The calls themselves."""

    d: int

    def train_c(self: Any, n: int, x: Any) -> None:
        """`train` with n vectors behind a pointer."""
        self.train(rows(x, n, self.d))

    def add_c(self: Any, n: int, x: Any) -> None:
        """`add` of n vectors behind a pointer."""
        self.add(rows(x, n, self.d))

    def add_with_ids_c(self: Any, n: int, x: Any, xids: Any) -> None:
        """`add_with_ids` of n vectors and ids behind pointers."""
        self.add_with_ids(rows(x, n, self.d), _ids(xids, n))

    def search_c(self: Any, n: int, x: Any, k: int, distances: Any, labels: Any, params: Any = None) -> None:
        """`search` for n queries, whose results are written behind pointers."""
        found = self.search(rows(x, n, self.d), k, params=params)
        put(distances, found[0])
        put(labels, found[1])

    def assign_c(self: Any, n: int, x: Any, labels: Any, k: int = 1) -> None:
        """`assign` of n vectors, whose labels are written behind a pointer."""
        put(labels, self.assign(rows(x, n, self.d), k))

    def reconstruct_c(self: Any, key: int, recons: Any) -> None:
        """`reconstruct`, written behind a pointer."""
        put(recons, self.reconstruct(key))

    def reconstruct_n_c(self: Any, i0: int, ni: int, recons: Any) -> None:
        """`reconstruct_n`, written behind a pointer."""
        put(recons, self.reconstruct_n(i0, ni))

    def reconstruct_batch_c(self: Any, n: int, keys: Any, recons: Any) -> None:
        """`reconstruct_batch` of n ids, written behind a pointer."""
        put(recons, self.reconstruct_batch(_ids(keys, n)))

    def remove_ids_c(self: Any, sel: Any) -> int:
        """`remove_ids` of what a selector has."""
        removed: int = self._remove(sel)
        return removed

    def sa_encode_c(self: Any, n: int, x: Any, bytes: Any) -> None:
        """`sa_encode` of n vectors, written behind a pointer."""
        put(bytes, self.sa_encode(rows(x, n, self.d)))

    def sa_decode_c(self: Any, n: int, bytes: Any, x: Any) -> None:
        """`sa_decode` of n codes, written behind a pointer."""
        size = self.sa_code_size()
        put(x, self.sa_decode(np.array(pointed(bytes, n * size, np.uint8, "bytes")).reshape(n, size)))

    def add_sa_codes_c(self: Any, n: int, codes: Any, xids: Any = None) -> None:
        """`add_sa_codes` of n codes behind a pointer."""
        size = self.sa_code_size()
        given = np.array(pointed(codes, n * size, np.uint8, "codes")).reshape(n, size)
        self.add_sa_codes(given, None if xids is None else _ids(xids, n))
