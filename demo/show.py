"""How is it shown? Headings, progress and tables; colour on a terminal only, not with NO_COLOR."""

import os
import sys
import time
from collections.abc import Sequence

TERMINAL = sys.stdout.isatty()
COLOUR = TERMINAL and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, code: str) -> str:
    """Wrap the text in a terminal's code for a style."""
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


def bold(text: str) -> str:
    """Make the text stand out."""
    return styled(text, "1")


def faint(text: str) -> str:
    """Make the text stand back."""
    return styled(text, "2")


def good(text: str) -> str:
    """Mark the text as good news."""
    return styled(text, "32")


def heading(number: int, text: str) -> None:
    """Begin a chapter."""
    print(f"\n{styled(f'{number}. {text}', '1;36')}")


def say(text: str = "") -> None:
    """Print a line of the story, at once."""
    print(f"   {text}" if text else "", flush=True)


class Progress:
    """Shows how far a piece of work is: a bar on a terminal, nothing elsewhere.

    What is over in half a second shows none either.
    """

    def __init__(self) -> None:
        self.stage = ""
        self.began = self.drawn = 0.0

    def __call__(self, stage: str, done: int, total: int) -> bool:
        """Take a note of the progress; true, for it never asks to stop."""
        now = time.perf_counter()
        if stage != self.stage:
            self.stage, self.began, self.drawn = stage, now, now + 0.4
        if TERMINAL and done and now - self.drawn > 0.1:
            self.drawn = now
            part = done / max(total, 1)
            left = (now - self.began) * (1 - part) / part
            bar = "━" * round(30 * part)
            line = f"\r   {stage} {bar:┈<30} {part:4.0%}, {left:.0f} s left"
            print(line, end="\x1b[K", flush=True)
        if done >= total:
            self.clear()
        return True

    def clear(self) -> None:
        """Take the bar away."""
        if TERMINAL:
            print("\r\x1b[K", end="", flush=True)
        self.stage = ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], marked: str = "") -> None:
    """Print columns that line up; rows whose first cell begins with `marked` stand out."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])

    say(faint(line(heads)))
    for row in rows:
        say(good(line(row)) if marked and row[0].startswith(marked) else line(row))


def figures(value: float) -> str:
    """Write a number with about three figures, its thousands grouped."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def megabytes(count: float) -> str:
    """Write a number of bytes."""
    return f"{count / 1e6:,.0f} MB"
