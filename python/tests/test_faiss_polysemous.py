"""Polysemous codes beside Faiss: bits that tell distances, and searches among codes of few other bits."""

import faiss as theirs
import numpy as np
import oracle
import pytest
import steep.faiss as ours

D = 16


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(11)
    centers = rng.standard_normal((25, D)) * 2
    return (centers[rng.integers(25, size=1500)] + rng.standard_normal((1500, D))).astype(np.float32)


def agreement(module, pq):
    """How far the bits of centroids' numbers go with their distances, part by part."""
    books = module.vector_to_array(pq.centroids).reshape(pq.M, pq.ksub, pq.dsub)
    numbers = np.arange(pq.ksub, dtype=np.uint8)
    bits = oracle.ones(numbers[:, None] ^ numbers)
    far = ((books[:, :, None] - books[:, None]) ** 2).sum(-1)
    return np.mean([np.corrcoef(bits.ravel(), one.ravel())[0, 1] for one in far])


def annealed(module, x, kind="IndexPQ"):
    index = (
        module.IndexPQ(D, 4, 6) if kind == "IndexPQ" else module.IndexIVFPQ(module.IndexFlat(D), D, 8, 4, 6)
    )
    index.do_polysemous_training = True
    if kind == "IndexPQ":
        index.polysemous_training.n_iter = 100_000
    index.train(x)
    index.add(x)
    return index


@pytest.mark.parametrize("kind", ["IndexPQ", "IndexIVFPQ"])
def test_training_numbers_centroids_so_that_bits_go_with_distances(x, kind):
    plain = ours.ProductQuantizer(D, 4, 6)
    plain.train(x)
    mine = agreement(ours, annealed(ours, x, kind).pq)
    assert mine > agreement(ours, plain) + 0.2
    assert mine > agreement(theirs, annealed(theirs, x, kind).pq) - 0.05


def test_an_order_changes_numbers_and_no_distances(x):
    plain, ordered = ours.IndexPQ(D, 4, 6), annealed(ours, x)
    plain.train(x)
    plain.add(x)
    assert not np.array_equal(plain.pq.centroids.array, ordered.pq.centroids.array)
    np.testing.assert_allclose(ordered.search(x[:20], 5)[0], plain.search(x[:20], 5)[0], atol=1e-5)


def test_no_order_is_looked_for_where_none_is_asked_for(x):
    pq = ours.ProductQuantizer(D, 4, 6)
    pq.train(x)
    before = pq.centroids.array.copy()
    training = ours.PolysemousTraining()
    training.optimization_type = training.OT_None
    training.optimize_pq_for_hamming(pq)
    np.testing.assert_array_equal(pq.centroids.array, before)


@pytest.mark.parametrize("kind", ["OT_None", "OT_ReproduceDistances_affine", "OT_Ranking_weighted_diff"])
def test_training_tells_the_memory_that_faiss_tells(kind):
    there, here = theirs.PolysemousTraining(), ours.PolysemousTraining()
    for module, one in ((theirs, there), (ours, here)):
        one.optimization_type = getattr(module.PolysemousTraining, kind)
    used = here.memory_usage_per_thread(ours.ProductQuantizer(8, 2, 7))
    assert used == there.memory_usage_per_thread(theirs.ProductQuantizer(8, 2, 7))


def test_training_in_too_little_memory_is_refused(x):
    index = ours.IndexPQ(D, 4, 6)
    index.do_polysemous_training = True
    index.polysemous_training.max_memory = 24 * 64**2
    with pytest.raises(RuntimeError, match="Polysemous training will use 98304 bytes"):
        index.train(x)


@pytest.mark.parametrize("kind", ["ST_polysemous", "ST_polysemous_generalize"])
def test_a_search_among_codes_of_few_other_bits_finds_what_faiss_finds(x, kind):
    index = theirs.IndexPQ(D, 8, 8)
    index.train(x)
    index.add(x)
    index.search_type = getattr(theirs.IndexPQ, kind)
    index.polysemous_ht = 20 if kind == "ST_polysemous" else 7
    mine = ours.deserialize_index(theirs.serialize_index(index))
    for module in (theirs, ours):
        module.cvar.indexPQ_stats.reset()
    (far, labels), (true_far, true_labels) = (one.search(x[:40] + 0.1, 6) for one in (mine, index))
    np.testing.assert_array_equal(labels < 0, true_labels < 0)
    found = labels >= 0
    np.testing.assert_allclose(far[found], true_far[found], rtol=1e-4, atol=1e-4)
    assert (labels == true_labels).mean() > 0.98
    for name in ("nq", "ncode", "n_hamming_pass"):
        counts = [getattr(module.cvar.indexPQ_stats, name) for module in (theirs, ours)]
        assert counts[0] == counts[1] > 0


def test_parameters_ask_for_a_search_among_few_and_go_without_a_selector(x):
    index = annealed(ours, x)
    few = ours.SearchParametersPQ(search_type=ours.IndexPQ.ST_polysemous, polysemous_ht=1)
    codes = index.sa_encode(x)
    labels = index.search(x[:30], 4, params=few)[1]
    for at, row in enumerate(labels):
        assert (codes[row[row >= 0]] == codes[at]).all()
    assert (index.search(x[:30], 4)[1] >= 0).all()
    few.sel = ours.IDSelectorRange(0, 9)
    with pytest.raises(RuntimeError, match="selector not supported"):
        index.search(x[:1], 4, params=few)
