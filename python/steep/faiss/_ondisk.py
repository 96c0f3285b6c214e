"""Lists with a file of their own, beside that of the index."""

import os
from typing import Any, NamedTuple

import numpy as np

from steep.faiss._base import require
from steep.faiss._lists import Each, InvertedLists


class OnDiskOneList(NamedTuple):
    """Where in the file a list is: its codes, with room for `capacity` of them, and then its ids."""

    size: int
    capacity: int
    offset: int


class OnDiskInvertedLists(InvertedLists):
    """Lists that an index file refers to instead of holding them.

    They are searched in memory, as all lists are here. The file is written whenever the index is, and when
    other lists are merged into it.

    Attributes
    ----------
    filename : str
        The lists' file.
    read_only : bool
        Whether it is left as it is.
    """

    filename: str
    read_only: bool
    prefetch_nthread: int

    def __init__(self, nlist: int = 0, code_size: int = 0, filename: str | os.PathLike[str] = "") -> None:
        super().__init__(nlist, code_size)
        self._begin(filename=os.fspath(filename), read_only=False, prefetch_nthread=32)

    def _layout(self) -> list[OnDiskOneList]:
        sizes = self._core.sizes().astype(np.int64)
        offsets = np.cumsum(sizes) - sizes
        bytes_each = self.code_size + 8
        places = zip(sizes.tolist(), (offsets * bytes_each).tolist(), strict=True)
        return [OnDiskOneList(size, size, offset) for size, offset in places]

    @property
    def lists(self) -> Each:
        """Where each list is."""
        layout = self._layout()
        return Each(self.nlist, layout.__getitem__)

    @property
    def totsize(self) -> int:
        """Bytes of the file."""
        return self.compute_ntotal() * (self.code_size + 8)

    def _write(self) -> None:
        if self.read_only:
            return
        try:
            with open(self.filename, "wb") as file:
                for at in range(self.nlist):
                    self._codes(at).tofile(file)
                    self._ids(at).tofile(file)
        except OSError as error:
            raise RuntimeError(f"could not open {self.filename} for writing: {error.strerror}") from error

    def merge_from_multiple(self, ils: Any, n_il: int, shift_ids: bool = False, verbose: bool = False) -> int:
        """Copy several lists; ids go on from those before where asked for. How many there are."""
        require(self.totsize == 0, "works only on an empty InvertedLists")
        for il in (ils[at] for at in range(n_il)):
            require(il.nlist == self.nlist and il.code_size == self.code_size, "same lists")
            shift = self.compute_ntotal() if shift_ids else 0
            for at in range(self.nlist):
                if il.list_size(at):
                    self._core.append(at, il._ids(at) + shift, il._codes(at))
        self._write()
        return self.compute_ntotal()

    def merge_from_1(self, il: InvertedLists, verbose: bool = False) -> int:
        """Copy other lists."""
        return self.merge_from_multiple([il], 1, False, verbose)

    def to_record(self) -> dict[str, Any]:
        """What the index file says of the lists, which go to their own."""
        self._write()
        return {
            "fourcc": "ilod",
            "nlist": self.nlist,
            "code_size": self.code_size,
            "lists": np.array(self._layout(), np.uint64).reshape(-1),
            "slots": np.empty(0, np.uint64),
            "filename": np.frombuffer(os.fsencode(self.filename), np.uint8),
            "totsize": self.totsize,
        }
