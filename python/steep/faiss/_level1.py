"""Which list is a vector in? The first level of indexes with lists, and how its answer is written."""

from typing import Any

import numpy as np

from steep.faiss._arrays import pointed
from steep.faiss._base import METRIC_INNER_PRODUCT, Codes, Floats, Labels, Sealed, require
from steep.faiss._flat import IndexFlatIP, IndexFlatL2, coarse
from steep.faiss._kmeans import Clustering, ClusteringParameters


class Level1Quantizer(Sealed):
    """An index of centroids, one for each list.

    Attributes
    ----------
    quantizer : Index
        Which lists are near.
    nlist : int
        How many lists there are.
    quantizer_trains_alone : int
        0: it assigns in k-means; 1: it is trained by itself; 2: a flat index assigns, and it is given the
        centroids.
    clustering_index : Index
        What assigns in k-means in its place.
    cp : ClusteringParameters
        How centroids are found.
    """

    quantizer: Any
    nlist: int
    quantizer_trains_alone: int
    own_fields: bool
    clustering_index: Any
    cp: ClusteringParameters

    def __init__(self, quantizer: Any, nlist: int) -> None:
        self._begin_level1(quantizer, nlist)

    def _begin_level1(self, quantizer: Any, nlist: int) -> None:
        cp = ClusteringParameters()
        cp.niter = 10
        self._begin(quantizer=quantizer, nlist=int(nlist), cp=cp)
        self._begin(quantizer_trains_alone=0, own_fields=False, clustering_index=None)

    def train_q1(self, n: int, x: Any, verbose: bool, metric_type: int) -> None:
        """Train the coarse quantizer, where it has not as many entries as there are lists."""
        quantizer = self.quantizer
        if quantizer.is_trained and quantizer.ntotal == self.nlist:
            return
        d = quantizer.d
        x = pointed(x, n * d, np.float32, "x").reshape(n, d)
        if self.quantizer_trains_alone == 1:
            quantizer.train(x)
            require(quantizer.ntotal == self.nlist, "nlist not consistent with quantizer size")
            return
        clustering = Clustering(d, self.nlist, self.cp)
        quantizer.reset()
        if self.quantizer_trains_alone == 2 or self.clustering_index is not None:
            flat = IndexFlatIP if metric_type == METRIC_INNER_PRODUCT else IndexFlatL2
            clustering.train(x, self.clustering_index or flat(d))
            centroids = np.asarray(clustering.centroids, np.float32).reshape(self.nlist, d)
            if not quantizer.is_trained or self.quantizer_trains_alone == 2:
                quantizer.train(centroids)
            quantizer.add(centroids)
        else:
            clustering.train(x, quantizer)
        quantizer.is_trained = True

    def _center_rows(self) -> Floats:
        return np.ascontiguousarray(self.quantizer.reconstruct_n(0, self.nlist))

    def _coarse(self, x: Floats, nprobe: int, params: Any = None) -> tuple[Floats, Labels]:
        """The lists nearest to vectors, and how near."""
        return coarse(self.quantizer, x, nprobe, params)

    # The number of a list before a code: as few bytes as all of them need, lowest first.

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

    def _encode_listnos(self, numbers: Labels) -> Codes:
        wide = np.ascontiguousarray(numbers, "<i8").view(np.uint8).reshape(-1, 8)
        return wide[:, : self.coarse_code_size()]

    def _decode_listnos(self, codes: Codes) -> Labels:
        width = self.coarse_code_size()
        wide = np.zeros((len(codes), 8), np.uint8)
        wide[:, :width] = codes[:, :width]
        numbers = wide.view("<i8")[:, 0]
        require((numbers < self.nlist).all(), "list_no < nlist")
        return numbers.astype(np.int64)
