"""Selectors and search parameters take and refuse what Faiss's do; parameter strings set what they say."""

import faiss
import numpy as np
import pytest
from steep import faiss as ours
from steep.faiss._selectors import spec

IDS = np.array([5, 3, 3, 900, 17], np.int64)


def pairs() -> list[tuple[object, object]]:
    def made(f: object) -> list[object]:
        some, other = f.IDSelectorBatch(IDS), f.IDSelectorRange(3, 20)  # type: ignore[attr-defined]
        bits = np.array([0b101000, 0, 2], np.uint8)
        keep = [some, other, f.IDSelectorArray(IDS), f.IDSelectorBitmap(bits), f.IDSelectorAll()]  # type: ignore[attr-defined]
        names = ("IDSelectorAnd", "IDSelectorOr", "IDSelectorXOr")
        keep += [getattr(f, name)(some, other) for name in names]
        return [*keep, f.IDSelectorNot(keep[5])]  # type: ignore[attr-defined]

    return list(zip(made(faiss), made(ours), strict=True))


def test_members_are_faisss() -> None:
    every = [-9, -1, 0, 3, 4, 5, 17, 19, 20, 24, 900, 1 << 40]
    for theirs, mine in pairs():
        told = [theirs.is_member(i) for i in every]  # type: ignore[attr-defined]
        assert [mine.is_member(i) for i in every] == told, type(mine).__name__  # type: ignore[attr-defined]
        assert mine._mask(np.array(every)).tolist() == told  # type: ignore[attr-defined]


def test_the_core_gets_nested_tuples() -> None:
    some = ours.IDSelectorNot(ours.IDSelectorAnd(ours.IDSelectorBatch(IDS), ours.IDSelectorRange(3, 20)))
    word, (inner, batch, within) = spec(some)
    assert (word, inner, within) == ("not", "and", ("range", 3, 20))
    assert batch[0] == "batch" and batch[1].tolist() == [3, 5, 17, 900]
    odd = ours.PyCallbackIDSelector(lambda i: i % 2 == 1)
    assert spec(odd, lambda: np.arange(6))[1].tolist() == [1, 3, 5]
    with pytest.raises(TypeError, match="id by id"):
        spec(odd)


def test_numbers_and_pointers_make_selectors_too() -> None:
    for library in (faiss, ours):
        assert library.IDSelectorBatch(IDS.size, library.swig_ptr(IDS)).is_member(900)
        bits = np.array([2], np.uint8)
        assert library.IDSelectorBitmap(1, library.swig_ptr(bits)).is_member(1)


def test_fields_are_faisss_and_of_their_type() -> None:
    names = (
        "SearchParameters SearchParametersIVF SearchParametersHNSW SearchParametersPQ IVFPQSearchParameters "
        "SearchParametersPreTransform IndexRefineSearchParameters RaBitQSearchParameters "
        "IVFRaBitQSearchParameters"
    )
    for name in names.split():
        theirs, mine = getattr(faiss, name)(), getattr(ours, name)()
        for field in mine._known():
            assert getattr(theirs, field) == getattr(mine, field), (name, field)
    calls = [
        (AssertionError, lambda f: f.SearchParametersIVF(nprobe=3, foo=4)),
        (AssertionError, lambda f: f.SearchParameters(nprobe=3)),
        (TypeError, lambda f: f.SearchParametersIVF(3)),
        (TypeError, lambda f: f.SearchParametersIVF(nprobe="a")),
        (TypeError, lambda f: f.SearchParametersIVF(nprobe=3.5)),
        (OverflowError, lambda f: f.SearchParametersIVF(nprobe=-1)),
        (TypeError, lambda f: f.SearchParametersIVF(sel=3)),
        (TypeError, lambda f: f.SearchParametersHNSW(bounded_queue=0)),
        (TypeError, lambda f: f.SearchParametersPreTransform(index_params=4)),
        (TypeError, lambda f: f.IDSelectorNot(3)),
        (TypeError, lambda f: f.IDSelectorBitmap(np.zeros(3, np.int64))),
        (AttributeError, lambda f: f.IDSelector()),
    ]
    for error, call in calls:
        for library in (faiss, ours):
            with pytest.raises(error):
                call(library)


FACTORY = [
    "Flat",
    "IVF64,Flat",
    "IVF64,PQ4",
    "PQ4",
    "HNSW16",
    "IVF64_HNSW16,SQ8",
    "PCA16,IVF64,Flat",
    "IVF64,PQ4,RFlat",
]


@pytest.mark.parametrize("key", FACTORY)
def test_combinations_are_faisss(key: str) -> None:
    spaces = []
    for library in (faiss, ours):
        index, space = library.index_factory(32, key), library.ParameterSpace()
        space.initialize(index)
        count = space.n_combinations()
        pairs = [(i, j) for i in range(min(count, 12)) for j in range(min(count, 12))]
        spaces.append(
            (
                [space.combination_name(c) for c in range(min(count, 200))],
                [space.combination_ge(*pair) for pair in pairs],
            )
        )
    assert spaces[0] == spaces[1]


def test_strings_set_what_they_say_wherever_it_lies() -> None:
    space = ours.ParameterSpace()
    index = ours.index_factory(32, "PCA16,IVF64_HNSW16,PQ4,RFlat")
    space.set_index_parameters(index, "nprobe=5,ht=12 quantizer_efSearch=33,k_factor_rf=3,max_codes=100")
    ivf = index.base_index.index
    assert (ivf.nprobe, ivf.polysemous_ht, ivf.quantizer.hnsw.efSearch) == (5, 12, 33)
    assert (index.k_factor, ivf.max_codes) == (3, 100)
    for wrong in ("foo=3", "nprobe", "nprobe=a", "=3"):
        with pytest.raises(RuntimeError, match="could not"):
            space.set_index_parameters(index, wrong)
    with pytest.raises(TypeError):
        space.set_index_parameter(index, "nprobe", "a")


def test_operating_points_are_kept_as_faiss_does() -> None:
    told = []
    for library in (faiss, ours):
        points, more = library.OperatingPoints(), library.OperatingPoints()
        added = [
            points.add(*point)
            for point in [
                (0.5, 1.0, "a", 1),
                (0.4, 2.0, "b", 2),
                (0.9, 3.0, "c"),
                (0.9, 2.5, "d"),
                (0.9, 2.5, "e"),
            ]
        ]
        more.add(0.95, 9.0, "z")
        merged = more.merge_with(points, "pre_")
        best = [more.optimal_pts.at(i) for i in range(more.optimal_pts.size())]
        times = points.t_for_perf(0.6), points.t_for_perf(0.95)
        told.append((added, merged, [(p.key, p.perf, p.t) for p in best], times))
    assert told[0] == told[1]


def test_criteria_are_faisss() -> None:
    xb, xq = faiss.rand((300, 8), 1), faiss.rand((20, 8), 2)
    true, found = faiss.knn(xq, xb, 10)[1], faiss.knn(xq, xb[:200], 10)
    for name in ("OneRecallAtRCriterion", "IntersectionCriterion"):
        theirs, mine = getattr(faiss, name)(20, 10), getattr(ours, name)(20, 10)
        theirs.set_groundtruth(None, true)
        mine.set_groundtruth(None, true)
        assert mine.evaluate(*found) == pytest.approx(theirs.evaluate(*map(faiss.swig_ptr, found)), abs=1e-6)


def test_an_exploration_ends_with_the_best_that_there_is() -> None:
    xb, xq = faiss.rand((2000, 8), 1), faiss.rand((50, 8), 2)
    index = ours.index_factory(8, "IVF32,Flat")
    index.train(xb)
    index.add(xb)
    criterion, space = ours.OneRecallAtRCriterion(50, 1), ours.ParameterSpace()
    criterion.set_groundtruth(None, ours.knn(xq, xb, 1)[1])
    space.verbose = 0
    space.initialize(index)
    points = space.explore(index, xq, criterion)
    assert max(p.perf for p in points.optimal_pts) > 0.9
    with pytest.raises(AssertionError):
        space.explore(index, xq[:3], criterion)


def test_levels_and_threads_are_told() -> None:
    level = ours.SIMDConfig.get_level()
    assert ours.SIMDConfig.is_simd_level_available(level)
    ours.SIMDConfig.set_level(ours.SIMDLevel_NONE)
    assert ours.SIMDConfig.get_level_name() == "NONE"
    ours.SIMDConfig.set_level(level)
    # Faiss's own refuses it on one processor and takes it on another.
    with pytest.raises(RuntimeError):
        ours.SIMDConfig.set_level(99)
    for library in (faiss, ours):
        before = library.omp_get_max_threads()
        library.omp_set_num_threads(3)
        assert library.omp_get_max_threads() == 3
        library.omp_set_num_threads(before)
    assert ours.get_num_gpus() == 0 and "DD" in ours.get_compile_options()
