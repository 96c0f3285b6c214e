"""From a string to an index: Faiss's grammar, each part read by one rule.

``[Refine | IDMap] transform, … , coarse, code``: parts are between commas outside parentheses. What Faiss's
grammar has and this package has not is refused by the part's name.
"""

# What callers pass is checked at run time too.
# pyright: reportUnnecessaryIsInstance=false

import re
from collections.abc import Callable
from typing import Any

from steep.faiss._base import METRIC_INNER_PRODUCT, METRIC_L2, Index, require
from steep.faiss._codes import (
    IndexPQ,
    IndexPQFastScan,
    IndexRaBitQ,
    IndexRaBitQFastScan,
    IndexScalarQuantizer,
)
from steep.faiss._dedup import IndexIVFFlatDedup
from steep.faiss._flat import IndexFlat, IndexFlatIP, IndexFlatL2
from steep.faiss._graphs import IndexHNSWFlat, IndexHNSWPQ, IndexHNSWSQ, IndexNSGFlat, IndexNSGPQ, IndexNSGSQ
from steep.faiss._hnsw_rabitq import IndexHNSWRaBitQ
from steep.faiss._idmap import IndexIDMap, IndexIDMap2
from steep.faiss._ivf import IndexIVF
from steep.faiss._ivf_kinds import (
    IndexIVFFlat,
    IndexIVFPQ,
    IndexIVFPQFastScan,
    IndexIVFRaBitQ,
    IndexIVFRaBitQFastScan,
    IndexIVFScalarQuantizer,
)
from steep.faiss._lsh import IndexLSH
from steep.faiss._pretransform import IndexPreTransform
from steep.faiss._quantizers import ScalarQuantizer
from steep.faiss._refine import IndexRefine, IndexRefineFlat
from steep.faiss._refined import IndexIVFPQR
from steep.faiss._rowwise import IndexRowwiseMinMax, IndexRowwiseMinMaxFP16
from steep.faiss._spectral import IndexIVFSpectralHash
from steep.faiss._transforms import (
    HadamardRotation,
    ITQTransform,
    NormalizationTransform,
    OPQMatrix,
    PCAMatrix,
    RandomRotationMatrix,
    RemapDimensionsTransform,
)
from steep.faiss._two_layers import Index2Layer

#: What a part becomes: a function of its match and of the dimension and metric.
Rule = tuple[re.Pattern[str], Callable[..., Any]]

_SQ = {
    "4": ScalarQuantizer.QT_4bit,
    "6": ScalarQuantizer.QT_6bit,
    "8": ScalarQuantizer.QT_8bit,
    "fp16": ScalarQuantizer.QT_fp16,
    "bf16": ScalarQuantizer.QT_bf16,
    "8_direct": ScalarQuantizer.QT_8bit_direct,
    "8_direct_signed": ScalarQuantizer.QT_8bit_direct_signed,
}

#: Parts of Faiss's grammar that are not here, and what to take in their place.
_REFUSED = [
    (r"P?RQ\d.*|P?LSQ\d.*|PRQ.*|PLSQ.*", "additive codes", "PQMxN or RaBitQ1 … RaBitQ9"),
    (r"ZnLattice.*", "lattice codes", "PQMxN"),
    (r"EDEN\d*.*|SQtq\d.*|TQ.*", "EDEN and TurboQuant codes", "RaBitQ1 … RaBitQ9 or SQ4, SQ8"),
    (r".*Panorama.*", "Panorama layouts", "the same string without it"),
    (r"SVS.*", "SVS indexes", "HNSW32"),
    (r"IMI\d+x\d+", "inverted multi-indexes", "IVFn_HNSW32"),
    (r"Residual.*|RCQ.*", "residual coarse quantizers", "IVFn,PQM"),
    (r"PQ\d+\+\d+(np)?", "refined product codes", "PQM, and Refine(PQN) at the end"),
]


def index_factory(d: int, description: str, metric: int = METRIC_L2, own_invlists: bool = True) -> Any:
    """Make an index from its description.

    Parameters
    ----------
    d : int
        Coordinates of a vector.
    description : str
        ``"Flat"``, ``"IVF1024,PQ32x4fs,RFlat"``, ``"OPQ16_64,IVF4096_HNSW32,PQ16"`` …
    metric : int
        ``METRIC_L2``, ``METRIC_INNER_PRODUCT`` …

    Raises
    ------
    RuntimeError
        For a description that Faiss could not read either, and for a part that is not supported, by its name.

    Examples
    --------
    >>> import steep.faiss as faiss
    >>> type(faiss.index_factory(64, "IVF256,Flat")).__name__
    'IndexIVFFlat'
    """
    if not isinstance(description, str):
        raise TypeError(f"description of type {type(description).__name__}: expected a string")
    return _index(int(d), description, int(metric), description)


def _parts(text: str) -> list[str]:
    """What is between commas that are in no parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            raise _unreadable(text, "a closing parenthesis without an opening one")
        if depth > 16:
            raise _unreadable(text, "parentheses more than 16 deep")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        raise _unreadable(text, "a parenthesis that is not closed")
    return parts


def _unreadable(text: str, why: str) -> RuntimeError:
    return RuntimeError(f"could not parse index string {text}: {why}")


def _refuse(part: str, whole: str) -> RuntimeError:
    for pattern, what, instead in _REFUSED:
        if re.fullmatch(pattern, part):
            return RuntimeError(
                f"index_factory: {part!r} in {whole!r} ({what}) is not supported: take {instead}"
            )
    return _unreadable(whole, f"{part!r} is no part that is known here")


def _index(d: int, text: str, metric: int, whole: str) -> Any:
    parts = _parts(text)
    # Ids are outermost: what is refined, and is refined by, has them in common.
    for at, rest in ((0, parts[1:]), (-1, parts[:-1])):
        if parts[at] in ("IDMap", "IDMap2") and rest:
            kind = IndexIDMap if parts[at] == "IDMap" else IndexIDMap2
            return kind(_index(d, ",".join(rest), metric, whole))
    if len(parts) > 1 and parts[-1] == "RFlat":
        return IndexRefineFlat(_index(d, ",".join(parts[:-1]), metric, whole))
    if len(parts) > 1 and (refine := re.fullmatch(r"Refine\((.+)\)", parts[-1])):
        base = _index(d, ",".join(parts[:-1]), metric, whole)
        return IndexRefine(base, _index(d, refine[1], metric, whole))
    links: list[Any] = []
    at, width = 0, d
    while at < len(parts) - 1 and (link := _transform(parts[at], width)) is not None:
        links.append(link)
        at, width = at + 1, link.d_out
    rest = parts[at:]
    if links:
        return IndexPreTransform(*links, _index(width, ",".join(rest), metric, whole))
    if parts[0] in ("MinMax", "MinMaxFP16") and len(parts) > 1:
        codec = IndexRowwiseMinMax if parts[0] == "MinMax" else IndexRowwiseMinMaxFP16
        return codec(_index(d, ",".join(rest[1:]), metric, whole))
    return _core(d, rest, metric, whole)


def _transform(part: str, d: int) -> Any:
    if m := re.fullmatch(r"PCA(W?)(R?)(\d+)", part):
        return PCAMatrix(d, int(m[3]), -0.5 if m[1] else 0, bool(m[2]))
    if m := re.fullmatch(r"OPQ(\d+)(?:_(\d+))?", part):
        return OPQMatrix(d, int(m[1]), int(m[2]) if m[2] else d)
    if m := re.fullmatch(r"RR(\d+)?", part):
        return RandomRotationMatrix(d, int(m[1]) if m[1] else d)
    if re.fullmatch(r"HR\d*", part):
        return HadamardRotation(d)
    if m := re.fullmatch(r"ITQ(\d+)?", part):
        return ITQTransform(d, int(m[1]) if m[1] else d, bool(m[1]))
    if m := re.fullmatch(r"Pad(\d+)", part):
        return RemapDimensionsTransform(d, max(d, int(m[1])), False)
    if part in ("L2norm", "L2Norm"):
        return NormalizationTransform(d, 2.0)
    return None


def _core(d: int, parts: list[str], metric: int, whole: str) -> Any:
    first = parts[0]
    if m := re.fullmatch(r"IVF(\d+)([kM]?)(?:_(HNSW|NSG)(\d*)(?:,Flat)?|\((.+)\))?", first):
        nlist = int(m[1]) << {"": 0, "k": 10, "M": 20}[m[2]]
        if len(parts) == 3 and (hashed := re.fullmatch(r"SH([-\d.e]+)?([gcm])?", parts[2])):
            return _signs(d, nlist, _coarse(d, m, metric, whole), parts[1], hashed, whole)
        if len(parts) != 2:
            raise _unreadable(whole, f"one code after {first!r}")
        return _ivf(d, nlist, _coarse(d, m, metric, whole), parts[1], metric, whole)
    if m := re.fullmatch(r"(HNSW|NSG)(\d*)(?:_(.+))?", first):
        if len(parts) > 2 or (len(parts) == 2 and m[3]):
            raise _unreadable(whole, f"at most one code after {first!r}")
        return _graph(
            d, m[1], int(m[2] or 32), m[3] or (parts[1] if len(parts) == 2 else "Flat"), metric, whole
        )
    if metric == METRIC_L2 and (m := re.fullmatch(r"Residual(\d+),PQ(\d+)(?:x(\d+))?", ",".join(parts))):
        return Index2Layer(IndexFlatL2(d), int(m[1]), int(m[2]), int(m[3] or 8))
    if len(parts) == 1:
        return _codes(d, first, metric, whole)
    raise _refuse(first, whole)


def _coarse(d: int, m: re.Match[str], metric: int, whole: str) -> tuple[Any, int]:
    """A coarse quantizer, and how it is trained."""
    if m[3] == "HNSW":
        return IndexHNSWFlat(d, int(m[4] or 32), metric), 2
    if m[3] == "NSG":
        return IndexNSGFlat(d, int(m[4] or 32), metric), 2
    if m[5]:
        return _index(d, m[5], metric, whole), 2
    return (IndexFlatIP(d) if metric == METRIC_INNER_PRODUCT else IndexFlatL2(d)), 0


def _ivf(d: int, nlist: int, coarse: tuple[Any, int], code: str, metric: int, whole: str) -> IndexIVF:
    quantizer, alone = coarse
    index: Any
    if code == "Flat":
        index = IndexIVFFlat(quantizer, d, nlist, metric)
    elif code == "FlatDedup":
        index = IndexIVFFlatDedup(quantizer, d, nlist, metric)
    elif m := re.fullmatch(r"PQ(\d+)x4fs(r?)(?:_(\d+))?", code):
        index = IndexIVFPQFastScan(quantizer, d, nlist, int(m[1]), 4, metric, int(m[3] or 32))
        index.by_residual = bool(m[2])
    elif metric == METRIC_L2 and (m := re.fullmatch(r"PQ(\d+)\+(\d+)(np)?", code)):
        index = IndexIVFPQR(quantizer, d, nlist, int(m[1]), 8, int(m[2]), 8)
        index.do_polysemous_training = not m[3]
    elif m := re.fullmatch(r"PQ(\d+)(?:x(\d+))?(np)?", code):
        index = IndexIVFPQ(quantizer, d, nlist, int(m[1]), int(m[2] or 8), metric)
        index.do_polysemous_training = not m[3]
    elif (m := re.fullmatch(r"SQ(\w+)", code)) and m[1] in _SQ:
        index = IndexIVFScalarQuantizer(quantizer, d, nlist, _SQ[m[1]], metric)
    elif m := re.fullmatch(r"RaBitQfs([1-9])?(?:_(\d+))?", code):
        index = IndexIVFRaBitQFastScan(quantizer, d, nlist, metric, int(m[2] or 32), True, int(m[1] or 1))
    elif m := re.fullmatch(r"RaBitQ([1-9])?", code):
        index = IndexIVFRaBitQ(quantizer, d, nlist, metric, True, int(m[1] or 1))
    else:
        raise _refuse(code, whole)
    index.quantizer_trains_alone = alone
    index.own_fields = True
    made: IndexIVF = index
    return made


def _signs(
    d: int, nlist: int, coarse: tuple[Any, int], transform: str, m: re.Match[str], whole: str
) -> IndexIVFSpectralHash:
    if (vt := _transform(transform, d)) is None:
        raise _unreadable(whole, f"{transform!r} before {m[0]!r} is no transform that is known here")
    quantizer, alone = coarse
    # Half of so long a wave is the sign.
    period = float(m[1] or -1e10)
    index = IndexIVFSpectralHash(quantizer, d, nlist, vt.d_out, period)
    index.replace_vt(vt, True)
    index.threshold_type = {"c": index.Thresh_centroid, "m": index.Thresh_median}.get(m[2], 0)
    index.quantizer_trains_alone = alone
    return index


def _graph(d: int, kind: str, degree: int, code: str, metric: int, whole: str) -> Any:
    if code == "Flat":
        return IndexHNSWFlat(d, degree, metric) if kind == "HNSW" else IndexNSGFlat(d, degree, metric)
    if kind == "HNSW":
        if m := re.fullmatch(r"PQ(\d+)(?:x(\d+))?(np)?", code):
            return IndexHNSWPQ(d, int(m[1]), degree, int(m[2] or 8), metric)
        if (m := re.fullmatch(r"SQ(\w+)", code)) and m[1] in _SQ:
            return IndexHNSWSQ(d, _SQ[m[1]], degree, metric)
        if m := re.fullmatch(r"RaBitQ([1-9])?", code):
            return IndexHNSWRaBitQ(d, degree, int(m[1] or 1), metric)
    else:
        if m := re.fullmatch(r"PQ(\d+)(?:x(\d+))?(np)?", code):
            index = IndexNSGPQ(d, int(m[1]), degree, int(m[2] or 8))
            index.storage.do_polysemous_training = not m[3]
            return index
        if (m := re.fullmatch(r"SQ(\w+)", code)) and m[1] in _SQ:
            return IndexNSGSQ(d, _SQ[m[1]], degree, metric)
    text = f"index_factory: {kind} over {code!r} in {whole!r} is not supported: take {kind}{degree},Flat"
    raise RuntimeError(f"{text}, SQ8 or PQM")


def _codes(d: int, code: str, metric: int, whole: str) -> Index:
    if code in ("Flat", "FlatL2", "FlatIP"):
        return IndexFlat(d, metric)
    if m := re.fullmatch(r"PQ(\d+)x4fs(?:_(\d+))?", code):
        return IndexPQFastScan(d, int(m[1]), 4, metric, int(m[2] or 32))
    if m := re.fullmatch(r"PQ(\d+)(?:x(\d+))?(np)?", code):
        index = IndexPQ(d, int(m[1]), int(m[2] or 8), metric)
        index.do_polysemous_training = not m[3]
        return index
    if (m := re.fullmatch(r"SQ(\w+)", code)) and m[1] in _SQ:
        return IndexScalarQuantizer(d, _SQ[m[1]], metric)
    if m := re.fullmatch(r"RaBitQfs([1-9])?(?:_(\d+))?", code):
        return IndexRaBitQFastScan(d, metric, int(m[2] or 32), int(m[1] or 1))
    if m := re.fullmatch(r"RaBitQ([1-9])?", code):
        return IndexRaBitQ(d, metric, int(m[1] or 1))
    if m := re.fullmatch(r"LSH(\d*)(r?)(t?)", code):
        require(metric == METRIC_L2, "metric == METRIC_L2")
        return IndexLSH(d, int(m[1] or d), bool(m[2]), bool(m[3]))
    raise _refuse(code, whole)


def index_binary_factory(d: int, description: str, own_invlists: bool = True) -> Any:
    """Make an index of binary vectors from its description: BFlat, BIVFn, BHNSWm, BHashb, IDMap2,BFlat …"""
    from steep.faiss._binary import (
        IndexBinaryFlat,
        IndexBinaryHash,
        IndexBinaryHNSW,
        IndexBinaryIDMap,
        IndexBinaryIDMap2,
        IndexBinaryIVF,
        IndexBinaryMultiHash,
    )

    parts = _parts(description)
    for at, rest in ((0, parts[1:]), (-1, parts[:-1])):
        if parts[at] in ("IDMap", "IDMap2") and rest:
            kind = IndexBinaryIDMap if parts[at] == "IDMap" else IndexBinaryIDMap2
            return kind(index_binary_factory(d, ",".join(rest)))
    if description == "BFlat":
        return IndexBinaryFlat(d)
    if m := re.fullmatch(r"BIVF(\d+)(?:_B?(HNSW|Flat)(\d*))?", description):
        coarse = IndexBinaryHNSW(d, int(m[3] or 32)) if m[2] == "HNSW" else IndexBinaryFlat(d)
        index = IndexBinaryIVF(coarse, d, int(m[1]))
        index.own_fields = True
        return index
    if m := re.fullmatch(r"BHNSW(\d*)", description):
        return IndexBinaryHNSW(d, int(m[1] or 16))
    if m := re.fullmatch(r"BHash(\d+)(?:x(\d+))?", description):
        return IndexBinaryMultiHash(d, int(m[1]), int(m[2])) if m[2] else IndexBinaryHash(d, int(m[1]))
    raise _unreadable(description, "no description of an index of binary vectors")
