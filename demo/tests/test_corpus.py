"""The right texts are read, in the same order each time."""

from pathlib import Path

import corpus
import pytest

PYTHON = '''# A licence of many words, first of all.
"""Opens files of every kind.

The second paragraph is
broken over two lines.
"""
import os

def read(path):
    """Read a whole file into memory."""
    text = """not a doc-string, but long enough"""
    return open(path).read().splitlines()
'''
RUST = """//! Finds things in long texts.
//!
//! ```
//! let example = "is left out of the corpus";
//! ```

/// Returns the position of the needle,
/// if there is one in the haystack.
pub fn find(haystack: &str) {
    // An ordinary comment counts as well.
    let url = "// not a comment at all, a string";
}
"""


def nothing(stage: str, done: int, total: int) -> None:
    assert 0 < done <= total, stage


@pytest.fixture
def files(tmp_path: Path) -> list[corpus.File]:
    (tmp_path / "b.py").write_text(PYTHON, "utf-8")
    (tmp_path / "a.rs").write_text(RUST, "utf-8")
    return [corpus.File(tmp_path / name, name) for name in ("b.py", "a.rs")]


def test_doc_strings_come_in_paragraphs_and_before_lines(files: list[corpus.File]) -> None:
    texts = corpus.read(files, nothing)
    assert texts == [
        ("Opens files of every kind.", "b.py:2"),
        ("The second paragraph is broken over two lines.", "b.py:2"),
        ("Read a whole file into memory.", "b.py:10"),
        ("Finds things in long texts.", "a.rs:1"),
        ("Returns the position of the needle, if there is one in the haystack.", "a.rs:7"),
        ("An ordinary comment counts as well.", "a.rs:10"),
        ("A licence of many words, first of all.", "b.py:1"),
        ('text = """not a doc-string, but long enough"""', "b.py:11"),
        ("return open(path).read().splitlines()", "b.py:12"),
    ]
    assert corpus.read(files, nothing, limit=4) == texts[:4]


def test_texts_that_differ_in_punctuation_only_count_once() -> None:
    one, other = "Opens a file, then reads it.", "opens a FILE then reads it"
    texts = [corpus.Text(one, "a"), corpus.Text(other, "b")]
    assert corpus.unique(texts, 10) == texts[:1]


def test_short_texts_and_single_words_are_left_out() -> None:
    texts = [corpus.Text(text, "a") for text in ("def main():", "=" * 40, "a" * 40)]
    assert corpus.unique(texts, 10) == []


def test_the_fingerprint_changes_with_a_file(files: list[corpus.File]) -> None:
    before = corpus.fingerprint(files)
    assert before == corpus.fingerprint(files)
    files[0].path.write_text(PYTHON + "# more", "utf-8")
    assert before != corpus.fingerprint(files)


def test_the_standard_library_is_found_in_the_same_order() -> None:
    files = corpus.find()
    assert files == corpus.find()
    names = [file.name for file in files]
    assert "python/json/decoder.py" in names
    assert not any("site-packages" in name for name in names)


def test_a_missing_registry_leaves_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    assert {file.path.suffix for file in corpus.find()} == {".py"}
