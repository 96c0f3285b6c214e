"""How is the number of a list written before a code? In as few bytes as all of them need, lowest first."""

from typing import Any

import numpy as np

from steep.faiss._arrays import pointed
from steep.faiss._base import Codes, Labels, require


class ListNumbers:
    """What indexes with lists know of it."""

    nlist: int

    def coarse_code_size(self) -> int:
        """Bytes of a list's number before a code."""
        return (max(self.nlist - 1, 0).bit_length() + 7) // 8

    def encode_listno(self, list_no: int, code: Any) -> None:
        """Write the number of a list."""
        width = self.coarse_code_size()
        pointed(code, width, np.uint8, "code")[:] = np.frombuffer(list_no.to_bytes(width, "little"), np.uint8)

    def decode_listno(self, code: Any) -> int:
        """Read the number of a list."""
        number = int.from_bytes(pointed(code, self.coarse_code_size(), np.uint8, "code").tobytes(), "little")
        require(number < self.nlist, "list_no < nlist")
        return number

    def _decode_listnos(self, codes: Codes) -> Labels:
        width = self.coarse_code_size()
        wide = np.zeros((len(codes), 8), np.uint8)
        wide[:, :width] = codes[:, :width]
        numbers = wide.view("<i8")[:, 0]
        require((numbers < self.nlist).all(), "list_no < nlist")
        return numbers.astype(np.int64)
