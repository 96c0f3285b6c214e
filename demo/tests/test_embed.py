"""Vectors are the same each time, and texts that share words are near."""

import embed
import numpy as np
import pytest

TEXTS = [
    "Open the file and read all of its lines.",
    "Opens files and reads all their lines.",
    "Return the inverse of a square matrix.",
    "Raised when a socket times out.",
] * 3


def nothing(stage: str, done: int, total: int) -> None:
    assert 0 < done <= total, stage


@pytest.fixture(scope="module")
def embedder() -> embed.Embedder:
    return embed.Embedder.fit([*TEXTS, *(f"filler text number {i}" for i in range(50))], nothing)


def test_the_same_text_gives_the_same_vector(embedder: embed.Embedder) -> None:
    again = embed.Embedder(embedder.rarity).embed(TEXTS, nothing)
    np.testing.assert_array_equal(again, embedder.embed(TEXTS))
    np.testing.assert_array_equal(again[2], embedder.embed([TEXTS[2]])[0])


def test_vectors_are_of_length_one(embedder: embed.Embedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embed.DIM)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_similar_texts_are_nearer_than_dissimilar_ones(embedder: embed.Embedder) -> None:
    lines, also_lines, matrix, socket = embedder.embed(TEXTS[:4])
    assert lines @ also_lines > 0.1 + max(lines @ matrix, lines @ socket, matrix @ socket)


def test_case_and_punctuation_do_not_matter(embedder: embed.Embedder) -> None:
    one, other = embedder.embed(["read_all: LINES!", " read all lines "])
    assert one @ other > 0.99


@pytest.mark.parametrize("text", ["", " ", "...", "\n\n"])
def test_a_text_without_letters_is_all_zeros(embedder: embed.Embedder, text: str) -> None:
    assert not embedder.embed([text, "something"])[0].any()
    assert not embedder.embed([text]).any()


def test_line_breaks_do_not_mix_texts(embedder: embed.Embedder) -> None:
    alone = embedder.embed(["open a file"])[0]
    between = embedder.embed(["first\nsecond", "open a file", "third"])[1]
    np.testing.assert_array_equal(alone, between)


def test_chunks_do_not_show(embedder: embed.Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = embedder.embed(TEXTS)
    monkeypatch.setattr(embed, "CHUNK", 5)
    np.testing.assert_array_equal(whole, embedder.embed(TEXTS))
