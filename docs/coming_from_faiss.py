"""A Faiss script over Steep, cell by cell: run it as it is, or open it as a notebook (``# %%``)."""

# %% The import is all that changes.
import tempfile
from pathlib import Path

import numpy as np
import steep
import steep.faiss as faiss

rng = np.random.default_rng(0)
centers = rng.standard_normal((50, 32)) * 3
x = (centers[rng.integers(50, size=5000)] + rng.standard_normal((5000, 32))).astype(np.float32)
q = (centers[rng.integers(50, size=20)] + rng.standard_normal((20, 32))).astype(np.float32)

# %% Exact search.
flat = faiss.IndexFlatL2(32)
flat.add(x)
D, I = flat.search(q, 5)  # noqa: E741 - as in Faiss
assert D.shape == I.shape == (20, 5) and (np.diff(D) >= 0).all()

# %% An index from a string, its knobs, a selector.
index = faiss.index_factory(32, "IVF64,PQ16x4fs,RFlat")
index.train(x)
index.add(x)
faiss.ParameterSpace().set_index_parameters(index, "nprobe=16,k_factor_rf=8")
found = index.search(q, 5)[1]
assert np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, I, strict=True)]) > 4
even = faiss.SearchParameters(sel=faiss.IDSelectorBatch(np.arange(0, 5000, 2)))
assert (flat.search(q, 5, params=even)[1] % 2 == 0).all()

# %% Files: what Faiss wrote is read, and the other way round.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "x.faiss"
    faiss.write_index(index, str(path))
    again = steep.open(path)
    assert type(again).__name__ == "IndexRefineFlat" and again.ntotal == 5000

    # %% A native index of the same vectors: faster, checked when it is opened, mapped if wanted.
    native = steep.convert(again, "graph")
    native.save(Path(folder) / "x.steep")
    hits = steep.open(Path(folder) / "x.steep", mmap=True).search(q, k=5)
assert steep.recall(hits.ids, I) > 0.9
print(f"recall of the graph beside exact search: {steep.recall(hits.ids, I):.3f}")
