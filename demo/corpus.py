"""Which texts does every fresh machine have? Python's standard library and the crates compiled.

From Python come doc-strings, cut into paragraphs, and lines of code; from Rust the paragraphs of
comments. Files are read in the order of their names and texts kept in the order of the files, so
that the same files give the same texts. Texts that differ only in case and punctuation count once.
"""

import hashlib
import os
import re
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

LIMIT = 200_000
SHORTEST, LONGEST = 24, 300  # characters; longer texts are cut

SKIPPED = {
    *("site-packages", "dist-packages", "test", "tests", "idle_test"),  # not the library itself
    *("encodings", "pydoc_data"),  # tables of code points; manuals in quoted pieces
}

# A doc-string opens a file, or the line after one that ends in a colon.
DOC_STRING = re.compile(
    r"(?:\A(?:[ \t]*(?:#[^\n]*)?\n)*|:[ \t]*(?:#[^\n]*)?\n)\s*[rRuU]?(\"\"\"|''')(?P<text>.*?)\1",
    re.DOTALL,
)
COMMENT = re.compile(r"(?:^[ \t]*//[^\n]*\n)+", re.MULTILINE)
COMMENT_MARK = re.compile(r"^[ \t]*//+!?[ \t]?", re.MULTILINE)
CODE_BLOCK = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
BLANK_LINE = re.compile(r"\n[ \t]*\n")
NOT_A_WORD = re.compile(r"\W+")

Progress = Callable[[str, int, int], object]


class Text(NamedTuple):
    """A text and the file and line where it stands."""

    text: str
    where: str


class File(NamedTuple):
    """A file of the corpus and the short name it is shown by."""

    path: Path
    name: str


def find() -> list[File]:
    """Find the files: the standard library's first, then those of each crate, by name."""
    library = Path(sysconfig.get_paths()["stdlib"])
    cargo = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    files = [File(path, f"python/{name}") for path, name in walk(library, ".py")]
    for registry in sorted((cargo / "registry" / "src").glob("*")):
        files += [File(path, name) for path, name in walk(registry, ".rs")]
    return files


def walk(root: Path, suffix: str) -> list[tuple[Path, str]]:
    """List the files below `root`, with their names relative to it, without the skipped folders."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED]
        found += [Path(folder, name) for name in names if name.endswith(suffix)]
    return sorted((path, path.relative_to(root).as_posix()) for path in found)


def fingerprint(files: list[File], *code: Path) -> str:
    """Name the corpus by its files' names and sizes, and by the code that works on it."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file.path.stat().st_size}\n".encode())
    for path in code:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def read(files: list[File], progress: Progress, limit: int = LIMIT) -> list[Text]:
    """Read the texts: all doc-strings and comments first, then lines of code up to `limit`."""
    docs: list[Text] = []
    lines: list[Text] = []
    for done, file in enumerate(files):
        content = file.path.read_text(encoding="utf-8", errors="replace")
        if file.path.suffix == ".rs":
            docs += rust_comments(content, file.name)
        else:
            docs += python_docs(content, file.name)
            lines += python_lines(content, file.name)
        progress("reading", done + 1, len(files))
    return unique([*docs, *lines], limit)


def python_docs(content: str, name: str) -> Iterator[Text]:
    """Cut each doc-string into its paragraphs."""
    for found in DOC_STRING.finditer(content):
        yield from paragraphs(found["text"], f"{name}:{line_of(content, found.start('text'))}")


def python_lines(content: str, name: str) -> Iterator[Text]:
    """Take the lines that are not in a doc-string."""

    def blank(found: re.Match[str]) -> str:
        before = found.start("text") - found.start() - len('"""')
        return found[0][:before] + "\n" * found[0].count("\n", before)

    code = DOC_STRING.sub(blank, content)
    for number, line in enumerate(code.split("\n"), start=1):
        yield Text(line.strip().removeprefix("# ")[:LONGEST], f"{name}:{number}")


def rust_comments(content: str, name: str) -> Iterator[Text]:
    """Cut each comment into its paragraphs, leaving out its examples."""
    if "//" not in content:  # quicker told than by a pattern, and true of large tables
        return
    for found in COMMENT.finditer(content):
        text = CODE_BLOCK.sub("\n\n", COMMENT_MARK.sub("", found[0]))
        yield from paragraphs(text, f"{name}:{line_of(content, found.start())}")


def paragraphs(text: str, where: str) -> Iterator[Text]:
    """Cut a text at its blank lines; each paragraph becomes one line."""
    for paragraph in BLANK_LINE.split(text):
        yield Text(" ".join(paragraph.split())[:LONGEST], where)


def line_of(content: str, position: int) -> int:
    """Count the lines up to `position`, from 1."""
    return content.count("\n", 0, position) + 1


def unique(texts: list[Text], limit: int) -> list[Text]:
    """Keep the first of each text that has a few words, `limit` at most."""
    seen = set()
    kept = []
    for text in texts:
        key = NOT_A_WORD.sub(" ", text.text).strip().lower()
        if len(text.text) >= SHORTEST and key.count(" ") >= 2 and key not in seen:
            seen.add(key)
            kept.append(text)
            if len(kept) == limit:
                break
    return kept
