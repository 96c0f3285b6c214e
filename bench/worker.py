"""One engine, one process: the child that builds and answers, and the parent's hold on it.

An engine of its own process cannot fall over another one's OpenMP run time, its peak memory can
be told apart, and when it dies of an illegal instruction the run goes on without it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import tempfile
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from bench import engines, machine
from bench.datasets import Dataset

WARM_UP = 16  # queries before each timing: the engine measured before has emptied the caches
MIN_SECONDS = 0.2  # a batch is repeated until a timing is that long
MAX_SECONDS = 5.0  # of one-by-one calls, then the rest of the queries is left out
MIN_CALLS = 50

PR_SET_PDEATHSIG = 1


class EngineFailed(Exception):
    """The worker crashed, raised or did not answer in time."""


@dataclass(frozen=True)
class Request:
    """One timing: which queries, how, and at which settings."""

    part: str  # "tune" or "report" half of the queries, or "all"
    mode: str  # "batch": all in one call; "single": one query a call
    k: int
    threads: int
    knobs: engines.base.Knobs


@dataclass(frozen=True)
class Timing:
    """`ids` (answered, k); `seconds` a batch call, or of each single call."""

    ids: np.ndarray
    seconds: np.ndarray


def half(part: str) -> slice:
    """The queries of a part. Odd and even rows, so that both halves see the whole file."""
    return {"tune": slice(0, None, 2), "report": slice(1, None, 2), "all": slice(None)}[part]


class Session:
    """What the child does: one method a command of the parent."""

    def __init__(self, engine: str, data: Dataset, queries: int | None) -> None:
        self.data = data
        self.engine = engines.create(engine, data.metric)
        keep = self.engine.keep_integers
        self.queries = np.ascontiguousarray(data.load("queries", keep)[:queries])

    def build(self, threads: int) -> dict:
        """Build the index; seconds, memory (MiB) and the sweep of knobs."""
        base = self.data.load("base", self.engine.keep_integers)
        self.rows = len(base)
        _touch(base)
        before, _ = machine.memory_mib()
        machine.reset_peak()
        start = time.perf_counter()
        self.engine.build(base, threads)
        seconds = time.perf_counter() - start
        after, peak = machine.memory_mib()
        return {
            "build_seconds": seconds,
            "build_threads": threads,
            "dtype": str(base.dtype),
            "raw_mib": base.nbytes / machine.MIB,
            "memory_before_mib": before,
            "memory_after_mib": after,
            "memory_peak_build_mib": peak,
            "knobs": self.engine.knobs(),
            "versions": machine.versions(self.engine.packages),
        }

    def search(self, request: Request) -> Timing:
        """Answer and time the queries of one request."""
        queries = np.ascontiguousarray(self.queries[half(request.part)])
        self.engine.set_threads(request.threads)
        self.engine.set_knobs(request.knobs)
        time_calls = self._batch if request.mode == "batch" else self._single
        return time_calls(queries, request.k)

    def _batch(self, queries: np.ndarray, k: int) -> Timing:
        self.engine.search(queries[:WARM_UP], k)
        seconds: list[float] = []
        while sum(seconds) < MIN_SECONDS:
            start = time.perf_counter()
            ids = self.engine.search(queries, k)
            seconds.append(time.perf_counter() - start)
        return Timing(self._row_numbers(ids), np.array(seconds))

    def _row_numbers(self, ids: np.ndarray) -> np.ndarray:
        """`ids` as int64 with -1 for none: some libraries say 2**32 - 1 or 2**64 - 1 there."""
        rows = np.asarray(ids).astype(np.int64)
        return np.where(rows < self.rows, rows, -1)

    def _single(self, queries: np.ndarray, k: int) -> Timing:
        for query in queries[:WARM_UP]:
            self.engine.search_one(query, k)
        ids, seconds, deadline = [], [], time.perf_counter() + MAX_SECONDS
        for query in queries:
            start = time.perf_counter()
            found = self.engine.search_one(query, k)
            end = time.perf_counter()
            ids.append(np.array(found))
            seconds.append(end - start)
            if end > deadline and len(seconds) >= MIN_CALLS:
                break
        return Timing(self._row_numbers(np.stack(ids)), np.array(seconds))

    def weigh(self) -> dict:
        """Bytes of the index, and the peak (MiB) of build and searches together."""
        _, peak = machine.memory_mib()
        return {"memory_peak_mib": peak, "index_bytes": int(self.engine.index_bytes())}


def _touch(array: np.ndarray) -> None:
    """Read every page, so that the mapped data counts as resident before the build."""
    array.reshape(-1).view(np.uint8)[:: os.sysconf("SC_PAGE_SIZE")].max(initial=0)


def _serve(pipe: Connection, log: str, engine: str, data: Dataset, queries: int | None) -> None:
    """The child's main loop."""
    # A paused child must not outlive a killed parent.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with open(log, "wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        session = Session(engine, data, queries)
        pipe.send(("ok", None))
        while True:
            command, arguments = pipe.recv()
            pipe.send(("ok", getattr(session, command)(*arguments)))
    except EOFError:
        return
    except engines.Unavailable as error:
        pipe.send(("unavailable", str(error)))
    except Exception as error:  # noqa: BLE001 - whatever a library raises ends this engine only
        traceback.print_exc()
        pipe.send(("failed", f"{type(error).__name__}: {error}"))


class Worker:
    """The parent's side: starts the child, asks, and keeps it stopped while others are measured.

    Stopped means SIGSTOP: the threads of some OpenMP run times go on spinning after a search and
    would take the cores from the engine measured next.
    """

    def __init__(
        self,
        engine: str,
        data: Dataset,
        threads: int,
        queries: int | None = None,
        timeout: float = 3600.0,
    ) -> None:
        self.engine, self.timeout = engine, timeout
        descriptor, self.log = tempfile.mkstemp(prefix="bench-", suffix=".log")
        os.close(descriptor)
        self.pipe, childs_end = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")  # a fork would copy the parent's memory
        self.process = context.Process(
            target=_serve, args=(childs_end, self.log, engine, data, queries), daemon=True
        )
        with _environment(OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads):
            self.process.start()
        childs_end.close()
        self._receive()

    def ask(self, command: str, *arguments: object) -> object:
        """Run a `Session` method in the child and return its result."""
        os.kill(self.process.pid, signal.SIGCONT)
        self.pipe.send((command, arguments))
        return self._receive()

    def _receive(self) -> object:
        try:
            if not self.pipe.poll(self.timeout):
                self.close()
                raise EngineFailed(f"no answer within {self.timeout:.0f} s")
            status, result = self.pipe.recv()
        except (EOFError, ConnectionError):
            raise EngineFailed(self._cause_of_death()) from None
        if status == "ok":
            os.kill(self.process.pid, signal.SIGSTOP)
            return result
        self.close()
        raise engines.Unavailable(result) if status == "unavailable" else EngineFailed(result)

    def _cause_of_death(self) -> str:
        self.process.join(5)
        code = self.process.exitcode
        cause = f"killed by {signal.Signals(-code).name}" if code and code < 0 else f"exit {code}"
        with open(self.log, errors="replace") as file:
            lines = file.read().strip().splitlines()
        self.close()
        return f"{cause}: {lines[-1][:300]}" if lines else cause

    def close(self) -> None:
        """End the child, whatever it is doing."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        if os.path.exists(self.log):
            os.unlink(self.log)


class _environment:
    """Environment variables for the child: OpenMP reads them when it is loaded."""

    def __init__(self, **values: int) -> None:
        self.values = {key: str(value) for key, value in values.items()}

    def __enter__(self) -> None:
        self.before = {key: os.environ.get(key) for key in self.values}
        os.environ.update(self.values)

    def __exit__(self, *_: object) -> None:
        for key, value in self.before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
