"""Inverted files put together out of several files."""

import logging
from typing import Any

from steep import faiss

LOG = logging.getLogger(__name__)


def merge_ondisk(
    trained_index: Any, shard_fnames: list[str], ivfdata_fname: str, shift_ids: bool = False
) -> None:
    """Put the vectors of the indexes in files into a trained, empty one.

    Faiss leaves them in the file `ivfdata_fname`. Here they are in memory, and `ivfdata_fname` is not
    written: `write_index` writes a single file that holds everything. With `shift_ids` ids of each file
    follow those before.
    """
    assert trained_index.ntotal == 0, "works only on empty index"
    into = faiss.extract_index_ivf(trained_index)
    total = 0
    for name in shard_fnames:
        LOG.info("read %s", name)
        part = faiss.extract_index_ivf(faiss.read_index(name))
        count = part.ntotal
        into.invlists.merge_from(part.invlists, total if shift_ids else 0)
        total += count
    into.ntotal = total
    if trained_index is not into:
        trained_index.ntotal = total
