"""Numbers of any number of bits, one behind the other, the least bit of each first."""

from typing import Any

import numpy as np
import numpy.typing as npt

from steep.faiss._arrays import Owned, pointed
from steep.faiss._base import require


class _Bits(Owned):
    def __init__(self, code: Any, code_size: int) -> None:
        self.code_size: int = int(code_size)
        self._bytes: npt.NDArray[np.uint8] = pointed(code, self.code_size, np.uint8, "code")
        self.i: int = 0

    def _next(self, nbit: int) -> slice:
        """The bytes that the next number touches."""
        require(self.code_size * 8 >= nbit + self.i, "code_size * 8 >= nbit + i")
        return slice(self.i >> 3, (self.i + nbit + 7) >> 3)


class BitstringWriter(_Bits):
    """Writes numbers to bytes, which are 0 at first."""

    i: int

    def __init__(self, code: Any, code_size: int) -> None:
        super().__init__(code, code_size)
        self._bytes[:] = 0

    def write(self, x: int, nbit: int) -> None:
        """Append the lowest bits of a number."""
        at = self._next(nbit)
        if at.stop > at.start:
            there = int.from_bytes(self._bytes[at].tobytes(), "little")
            there |= (x & ((1 << nbit) - 1)) << (self.i & 7)
            self._bytes[at] = np.frombuffer(there.to_bytes(at.stop - at.start, "little"), np.uint8)
        self.i += nbit


class BitstringReader(_Bits):
    """Reads them back."""

    i: int

    def read(self, nbit: int) -> int:
        """The next number."""
        number = int.from_bytes(self._bytes[self._next(nbit)].tobytes(), "little") >> (self.i & 7)
        self.i += nbit
        return number & ((1 << nbit) - 1)
