"""How do codes lie in blocks, and how does one get at a single one? Faiss's `CodePacker`."""

from typing import Any

import numpy as np

from steep.faiss._arrays import pointed
from steep.faiss._base import Codes, Sealed


class CodePacker(Sealed):
    """Blocks of codes, written and read code by code.

    Attributes
    ----------
    code_size, nvec, block_size : int
        Bytes of a code, codes of a block, bytes of a block.
    """

    code_size: int
    nvec: int
    block_size: int

    def __init__(self, *arguments: Any) -> None:
        raise AttributeError("No constructor defined - class is abstract: ask an index for get_CodePacker()")

    def _begin_packer(self, code_size: int, nvec: int, block_size: int) -> None:
        self._begin(code_size=int(code_size), nvec=int(nvec), block_size=int(block_size))

    def _rows(self, block: Codes) -> Codes:
        """The codes of a block, (nvec, code_size)."""
        raise NotImplementedError

    def _block(self, rows: Codes) -> Codes:
        """The block of so many codes."""
        raise NotImplementedError

    def _place(self, block: Codes, offset: int) -> tuple[int, int]:
        nblock, size = block.shape
        assert size == self.block_size
        assert 0 <= offset < nblock * self.nvec
        return divmod(int(offset), self.nvec)

    def pack_1(self, x: Any, offset: int, block: Any) -> None:
        """Write one code into blocks of shape (nblock, block_size)."""
        assert x.shape == (self.code_size,)
        at, within = self._place(block, offset)
        rows = self._rows(block[at]).copy()
        rows[within] = x
        block[at] = self._block(rows)

    def unpack_1(self, block: Any, offset: int) -> Codes:
        """Read one code out of blocks of shape (nblock, block_size)."""
        at, within = self._place(block, offset)
        code: Codes = self._rows(block[at])[within].copy()
        return code

    def pack_1_c(self, flat_code: Any, offset: int, block: Any) -> None:
        """`pack_1` by pointers."""
        code = pointed(flat_code, self.code_size, np.uint8, "flat_code")
        self.pack_1(code, offset, self._pointed(block, offset))

    def unpack_1_c(self, block: Any, offset: int, flat_code: Any) -> None:
        """`unpack_1` by pointers."""
        code = pointed(flat_code, self.code_size, np.uint8, "flat_code")
        code[:] = self.unpack_1(self._pointed(block, offset), offset)

    def pack_all(self, flat_codes: Any, block: Any) -> None:
        """Write all codes of a block, by pointers."""
        rows = pointed(flat_codes, self.nvec * self.code_size, np.uint8, "flat_codes")
        self._pointed(block, 0)[0] = self._block(rows.reshape(self.nvec, self.code_size))

    def unpack_all(self, block: Any, flat_codes: Any) -> None:
        """Read all codes of a block, by pointers."""
        rows = pointed(flat_codes, self.nvec * self.code_size, np.uint8, "flat_codes")
        rows[:] = self._rows(self._pointed(block, 0)[0]).reshape(-1)

    def _pointed(self, block: Any, offset: int) -> Codes:
        """The blocks behind a pointer up to the one that holds a code."""
        count = offset // self.nvec + 1
        blocks: Codes = pointed(block, count * self.block_size, np.uint8, "block")
        return blocks.reshape(count, self.block_size)


class CodePackerFlat(CodePacker):
    """One code after the other."""

    def __init__(self, code_size: int) -> None:
        self._begin_packer(code_size, 1, code_size)

    def _rows(self, block: Codes) -> Codes:
        return block.reshape(1, -1)

    def _block(self, rows: Codes) -> Codes:
        return rows.reshape(-1)


class FastScanPacker(CodePacker):
    """Blocks as a fast-scan index has them."""

    _index: Any

    def __init__(self, index: Any) -> None:
        self._begin(_index=index)
        self._begin_packer(index.code_size, index.bbs, index.get_block_stride())

    def _rows(self, block: Codes) -> Codes:
        rows: Codes = self._index._unpack(np.ascontiguousarray(block), self.nvec)
        return rows.reshape(self.nvec, self.code_size)

    def _block(self, rows: Codes) -> Codes:
        block: Codes = self._index._pack(np.ascontiguousarray(rows))
        return block
