import numpy as np
import pytest

from bench import datasets, results, runner, synthetic, truth


def test_folder_gives_floats_or_the_stored_integers(root):
    data = datasets.load("tiny", root)
    assert data.load("base").dtype == np.float32
    assert data.load("base", keep_integers=True).dtype == np.uint8
    assert (data.load("base") == data.load("base", keep_integers=True)).all()
    assert data.truth(10).shape == (40, 10)


def test_cosine_rows_have_unit_length_and_halves_are_always_widened(root):
    base = datasets.load("unit", root).load("base", keep_integers=True)
    assert base.dtype == np.float32
    assert np.allclose(np.linalg.norm(base, axis=1), 1.0, atol=1e-6)


def test_a_zero_row_under_cosine_is_named(root):
    file = root / "unit" / "base.npy"
    base = np.load(file)
    base[7] = 0
    np.save(file, base)
    with pytest.raises(ValueError, match="row 7 is zero"):
        datasets.load("unit", root).load("base")


def test_head_of_a_set_has_a_truth_of_its_own(root):
    head = datasets.load("tiny@100", root)
    assert head.load("base").shape == (100, 8)
    right = truth.oracle(head.load("base"), head.load("queries"), 10, "l2")
    found = truth.recall(right, head.truth(10), head.load("base"), head.load("queries"), "l2")
    assert found == 1.0


def test_truth_deeper_than_stored_is_computed(root):
    data = datasets.load("tiny", root)
    assert data.truth(50).shape == (40, 50)
    assert (data.truth(50)[:, :5] == data.truth(5)).all()


def test_missing_folder_says_what_it_looked_for(root):
    with pytest.raises(FileNotFoundError, match=r"base\.npy"):
        datasets.load("nowhere", root)


def test_hdf5_of_ann_benchmarks(tmp_path):
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(3)
    base = rng.standard_normal((50, 4)).astype(np.float32)
    with h5py.File(tmp_path / "toy-4-angular.hdf5", "w") as file:
        file.attrs["distance"] = "angular"
        file["train"], file["test"] = base, base[:5]
        file["neighbors"] = truth.oracle(base, base[:5], 10, "cosine")
        file["distances"] = np.zeros((5, 10), np.float32)
    data = datasets.load(str(tmp_path / "toy-4-angular.hdf5"))
    assert (data.metric, data.synthetic, data.truth(1).tolist()) == (
        *("cosine", False),
        [[0], [1], [2], [3], [4]],
    )
    assert np.allclose(np.linalg.norm(data.load("base"), axis=1), 1.0)


def test_hdf5_with_a_distance_of_sets_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "sets.hdf5", "w") as file:
        file.attrs["distance"] = "jaccard"
    with pytest.raises(ValueError, match="jaccard"):
        datasets.load(str(tmp_path / "sets.hdf5"))


def test_generator_is_deterministic_and_a_small_set_heads_a_large_one(monkeypatch, tmp_path):
    monkeypatch.setattr(synthetic, "CHUNK_ROWS", 64)
    bases = []
    for run, n in enumerate((200, 200, 100)):
        folder = tmp_path / str(run)
        folder.mkdir()
        synthetic.write(synthetic.Spec(n, 96), folder)
        bases.append(np.load(folder / "base.npy"))
    assert (bases[0] == bases[1]).all()
    assert (bases[0][:100] == bases[2]).all()


def test_generated_spectrum_falls_off():
    rows = synthetic.Mixture(synthetic.Spec(1, 32)).draw(20_000, (0, 0))
    variances = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
    assert variances[0] > 4 * variances[7] > 8 * variances[31]


def test_synthetic_sets_say_so(monkeypatch):
    monkeypatch.setattr(synthetic, "QUERIES", 20)
    data = datasets.load("synthetic-500x16-ip")
    assert data.synthetic and data.metric == "ip"
    assert results.label(runner.header("run", "id", data)) == "synthetic-500x16-ip (synthetic)"
    assert data.load("base").shape == (500, 16)


def test_generator_names_are_checked():
    for name in ("synthetic-0x96", "synthetic-10", "synthetic-10x96-hamming"):
        with pytest.raises(ValueError, match="synthetic"):
            synthetic.parse(name)
