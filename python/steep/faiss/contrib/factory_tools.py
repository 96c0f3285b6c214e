"""What does a factory string cost, and which string was it?"""

# The sizes are formulas: lambdas, which take no annotations.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

import re
from collections.abc import Callable
from typing import Any

from steep import faiss


def get_code_size(d: int, indexkey: str) -> int:
    """Bytes of a vector in the index of a factory string; those of graphs roughly."""
    for pattern, size in _SIZES:
        if found := re.fullmatch(pattern, indexkey):
            return int(size(d, *found.groups()))
    raise RuntimeError(f"cannot parse {indexkey}")


def _bits(count: int) -> int:
    return (count + 7) // 8


_SIZES: list[tuple[str, Callable[..., Any]]] = [
    (r"Flat", lambda d: 4 * d),
    (r"(.*),RFlat", lambda d, key: 4 * d + get_code_size(d, key)),
    (r"(.*),Refine\((.*)\)", lambda d, key, fine: get_code_size(d, key) + get_code_size(d, fine)),
    (r"IDMap2?,(.*)", lambda d, key: 8 + get_code_size(d, key)),
    (r"IVF\d+k?(?:_HNSW\d*)?,(.*)", get_code_size),
    (r"IVF\d+k?\(.*\),(.*)", get_code_size),
    (r"IMI\d+x\d+,(.*)", get_code_size),
    (r"PQ(\d+)x(\d+)(?:np|fs|fsr)?", lambda d, m, bits: _bits(int(m) * int(bits))),
    (r"PQ(\d+)\+(\d+)", lambda d, a, b: int(a) + int(b)),
    (r"PQ(\d+)(?:np)?", lambda d, m: int(m)),
    (r"HNSW(\d*)(?:,Flat)?", lambda d, m: 4 * d + 8 * int(m or 32)),
    (r"HNSW(\d*)[,_](.*)", lambda d, m, key: get_code_size(d, key) + 8 * int(m or 32)),
    (r"SQ8", lambda d: d),
    (r"SQ4", lambda d: _bits(4 * d)),
    (r"SQ6", lambda d: _bits(6 * d)),
    (r"SQ(?:fp|bf)16", lambda d: 2 * d),
    (r"RaBitQ(?:fs)?", lambda d: _bits(d) + 8),
    (r"PCAW?R?(\d+),(.*)", lambda d, out, key: get_code_size(int(out), key)),
    (r"OPQ\d+_(\d+),(.*)", lambda d, out, key: get_code_size(int(out), key)),
    (r"OPQ\d+,(.*)", get_code_size),
    (r"RR(\d+),(.*)", lambda d, out, key: get_code_size(int(out), key)),
    (r"(?:L2norm|RR|ITQ),(.*)", get_code_size),
]

_SQ = {
    "QT_8bit": "SQ8",
    "QT_4bit": "SQ4",
    "QT_8bit_uniform": "SQ8u",
    "QT_4bit_uniform": "SQ4u",
    "QT_6bit": "SQ6",
    "QT_fp16": "SQfp16",
    "QT_bf16": "SQbf16",
    "QT_8bit_direct": "SQ8_direct",
    "QT_8bit_direct_signed": "SQ8_direct_signed",
    "QT_0bit": "SQ0",
    **{f"QT_{n}bit_tqmse": f"SQtqmse{n}" for n in (1, 2, 3, 4, 8)},
    **{f"QT_{n}bit_tq": f"SQtq{n}" for n in (2, 3, 4, 5)},
}


def _scalar(qtype: int) -> str:
    for name, text in _SQ.items():
        if getattr(faiss.ScalarQuantizer, name, None) == qtype:
            return text
    raise NotImplementedError(f"scalar quantizer type {qtype} has no factory string")


def _rabitq(index: Any) -> str:
    bits = getattr(index.rabitq, "nb_bits", 1)
    return "RaBitQ" if bits == 1 else f"RaBitQ{bits}"


def get_hnsw_M(index: Any) -> int:
    """Links of a node above the lowest level."""
    return int(index.hnsw.cum_nneighbor_per_level.at(1)) // 2


def _product(index: Any) -> str:
    return f"PQ{index.pq.M}x{index.pq.nbits}"


def _signs(index: Any) -> str:
    return f"LSH{'r' * index.rotate_data}{'t' * index.train_thresholds}"


#: What follows the lists of an inverted file, and what a plain index is called: special classes first.
_CODES: list[tuple[str, Callable[..., Any]]] = [
    ("Flat", lambda index: "Flat"),
    ("PQFastScan", lambda index: _product(index) + "fs"),
    ("RaBitQFastScan", lambda index: _rabitq(index) + "fs"),
    ("PQR", lambda index: f"PQ{index.pq.M}+{index.refine_pq.M}"),
    ("PQ", _product),
    ("ScalarQuantizer", lambda index: _scalar(index.sq.qtype)),
    ("RaBitQ", _rabitq),
    ("LSH", _signs),
]


def _coded(index: Any, family: str) -> str | None:
    names = {cls.__name__ for cls in type(index).__mro__}
    return next((text(index) for code, text in _CODES if family + code in names), None)


def reverse_index_factory(index: Any) -> str:
    """The factory string of an index, where it has one."""
    names = {cls.__name__ for cls in type(index).__mro__}
    if "IndexIVF" in names:
        code = _coded(index, "IndexIVF")
        if code is not None:
            return f"{_lists(index)},{code}"
    elif "IndexPreTransform" in names:
        if index.chain.size() == 1:
            return f"{_transform(index.chain.at(0))},{reverse_index_factory(index.index)}"
    elif "IndexHNSW" in names:
        storage = index.storage
        plain = storage is None or isinstance(storage, faiss.IndexFlat)
        inner = "" if plain else "," + reverse_index_factory(storage)
        return f"HNSW{get_hnsw_M(index)}{inner}"
    elif "IndexRefine" in names:
        return (
            f"{reverse_index_factory(index.base_index)},Refine({reverse_index_factory(index.refine_index)})"
        )
    elif "IndexIDMap" in names:
        return f"IDMap{2 if 'IndexIDMap2' in names else ''},{reverse_index_factory(index.index)}"
    elif (code := _coded(index, "Index")) is not None:
        return code
    raise NotImplementedError(f"{type(index).__name__} has no factory string that is known")


def _lists(index: Any) -> str:
    quantizer = index.quantizer
    if isinstance(quantizer, faiss.IndexFlat):
        return f"IVF{index.nlist}"
    if any(cls.__name__ == "IndexHNSW" for cls in type(quantizer).__mro__):
        return f"IVF{index.nlist}_HNSW{get_hnsw_M(quantizer)}"
    return f"IVF{index.nlist}({reverse_index_factory(quantizer)})"


def _transform(vt: Any) -> str:
    if isinstance(vt, faiss.OPQMatrix):
        return f"OPQ{vt.M}_{vt.d_out}"
    if isinstance(vt, faiss.ITQTransform):
        return f"ITQ{vt.itq.d_out}"
    if isinstance(vt, faiss.PCAMatrix):
        assert vt.eigen_power in (0, -0.5), f"eigen_power = {vt.eigen_power} has no factory string"
        return f"PCA{'W' if vt.eigen_power else ''}{'R' if vt.random_rotation else ''}{vt.d_out}"
    if isinstance(vt, faiss.RandomRotationMatrix):
        return f"RR{vt.d_out}"
    if isinstance(vt, faiss.NormalizationTransform):
        return "L2norm"
    raise NotImplementedError(f"{type(vt).__name__} has no factory string that is known")
