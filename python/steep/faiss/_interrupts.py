"""May a call go on? Not beyond the time that a `TimeoutGuard` gives it."""

import time
from collections.abc import Callable
from typing import Any

from steep.faiss._arrays import Owned

#: When calls are to end, by the monotonic clock.
_deadline: float | None = None


class InterruptCallback(Owned):
    """What calls of the layer ask whenever they turn to the core."""

    @staticmethod
    def is_interrupted() -> bool:
        """Whether the time is over. It is so once: calls after that have all the time."""
        global _deadline
        if _deadline is None or time.monotonic() <= _deadline:
            return False
        _deadline = None
        return True

    @staticmethod
    def check() -> None:
        """Raise where the time is over."""
        if InterruptCallback.is_interrupted():
            raise RuntimeError("computation interrupted")

    @staticmethod
    def clear_instance() -> None:
        """Give calls all the time."""
        global _deadline
        _deadline = None


class TimeoutCallback(InterruptCallback):
    """Ends calls after a time."""

    @staticmethod
    def reset(timeout_in_seconds: float) -> None:
        """Let all calls end so many seconds from now."""
        global _deadline
        _deadline = time.monotonic() + timeout_in_seconds


class PythonInterruptCallback(InterruptCallback):
    """Ends calls on Ctrl-C only, which all of them hear."""

    @staticmethod
    def reset() -> None:
        """Give calls all the time."""
        InterruptCallback.clear_instance()


class TimeoutGuard:
    """Within it, calls that go on for longer than some seconds raise RuntimeError.

    >>> import steep.faiss as faiss
    >>> with faiss.TimeoutGuard(60.0):
    ...     faiss.IndexFlatL2(8).add(faiss.rand((100, 8)))
    """

    def __init__(self, timeout_in_seconds: float) -> None:
        self.timeout = timeout_in_seconds

    def __enter__(self) -> None:
        TimeoutCallback.reset(self.timeout)

    def __exit__(self, *_: object) -> None:
        PythonInterruptCallback.reset()


def watch() -> Callable[..., Any] | None:
    """What watches a call of the core that reports its progress; nothing while there is all the time."""
    return None if _deadline is None else lambda *_: InterruptCallback.check()
