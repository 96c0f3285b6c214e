"""A run: build every engine, sweep on one half of the queries, report on the other, interleaved."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from bench import curve, engines, machine, truth
from bench.datasets import Dataset
from bench.engines.base import Knobs
from bench.results import Record
from bench.worker import EngineFailed, Request, Timing, Worker, half

MODES = ("batch", "single")


@dataclass(frozen=True)
class Plan:
    """What to measure. `queries` limits their number, `repeats` counts the interleaved rounds."""

    engines: list[str]
    threads: list[int]
    k: int = 10
    repeats: int = 5
    queries: int | None = None
    modes: tuple[str, ...] = MODES
    timeout: float = 3600.0


@dataclass
class Contestant:
    """An engine in the race, and what is known of it so far."""

    name: str
    worker: Worker | None = None
    record: Record = field(default_factory=dict)
    knobs: list[Knobs] = field(default_factory=list)

    def ask(self, command: str, *arguments: object) -> Any:
        """The worker's answer, or None without one: a failure ends this engine, not the run."""
        return self.attempt(lambda: self.worker.ask(command, *arguments)) if self.worker else None

    def attempt(self, step: Callable[[], Any]) -> Any:
        """`step()`, or None and out of the race where the engine fails."""
        try:
            return step()
        except engines.Unavailable as reason:
            self._drop("not available", reason)
        except EngineFailed as reason:
            self._drop("failed", reason)
        return None

    def _drop(self, status: str, reason: Exception) -> None:
        self.worker = None
        self.record |= {"status": status, "reason": str(reason)}
        say(f"{self.name}: {status}: {reason}")


def say(text: str) -> None:
    """Progress goes to standard error; standard output is for tables."""
    print(text, file=sys.stderr, flush=True)


def run(data: Dataset, plan: Plan) -> Iterator[Record]:
    """Yield the records of one run (see `bench.results`)."""
    identity = uuid.uuid4().hex[:12]
    yield header("run", identity, data, k=plan.k, repeats=plan.repeats)
    with ExitStack() as stack:
        contestants = [
            enter(stack, name, data, max(plan.threads), plan.queries, plan.timeout) for name in plan.engines
        ]
        scorer = Scorer(data, plan)
        for contestant in contestants:
            _tune(contestant, plan, scorer)
            yield contestant.record | {"run": identity}
        for round_ in range(plan.repeats):
            say(f"round {round_ + 1} of {plan.repeats}")
            for record in _round(contestants, plan, scorer):
                yield record | {"run": identity, "round": round_}
        for contestant in contestants:
            weigh(contestant, len(scorer.base))
            yield contestant.record | {"run": identity}


def header(kind: str, identity: str, data: Dataset, **settings: object) -> Record:
    """The first record of a "run" or of a "gate": where, when, on what."""
    n, d = data.load("base").shape
    return {
        "kind": kind,
        "run": identity,
        "date": machine.now(),
        "machine": machine.describe(),
        "versions": machine.versions(("numpy",)),
        "data": data.name,
        "synthetic": data.synthetic,
        "metric": data.metric,
        "n": n,
        "d": d,
        **settings,
    }


def enter(
    stack: ExitStack,
    name: str,
    data: Dataset,
    threads: int,
    queries: int | None = None,
    timeout: float = 3600.0,
) -> Contestant:
    """Start an engine's process, which ends with `stack`, and build its index."""
    contestant = Contestant(name, record={"kind": "engine", "engine": name, "status": "ok"})
    say(f"{name}: building")
    contestant.worker = contestant.attempt(lambda: Worker(name, data, threads, queries, timeout))
    if contestant.worker:
        stack.callback(contestant.worker.close)
    built = contestant.ask("build", threads)
    if built:
        contestant.knobs = built.pop("knobs")
        contestant.record |= built
        say(f"{name}: built in {built['build_seconds']:.1f} s")
    return contestant


class Scorer:
    """Recall of a timing against the truth of the part of the queries it answered."""

    def __init__(self, data: Dataset, plan: Plan) -> None:
        self.metric, self.k = data.metric, plan.k
        self.base = data.load("base")
        self.queries = data.load("queries")[: plan.queries]
        self.truth = data.truth(plan.k)[: plan.queries]

    def recall(self, timing: Timing, part: str) -> float:
        rows = slice(0, len(timing.ids))  # single calls may stop before the last query
        return truth.recall(
            timing.ids,
            self.truth[half(part)][rows],
            self.base,
            self.queries[half(part)][rows],
            self.metric,
        )


def _tune(contestant: Contestant, plan: Plan, scorer: Scorer) -> None:
    """Keep the knobs on the front of the tuning half; the reporting half never sees the others.

    A sweep that rises in one knob ends once recall no longer grows past 0.999.
    """
    measured: list[tuple[float, float, Knobs]] = []
    for knobs in contestant.knobs:
        request = Request("tune", "batch", plan.k, plan.threads[0], knobs)
        timing = contestant.ask("search", request)
        if timing is None:
            break
        recall = scorer.recall(timing, "tune")
        measured.append((recall, len(timing.ids) / timing.seconds.min(), knobs))
        if len(knobs) == 1 and recall > 0.999:
            break
    front = set(curve.thin(curve.pareto((recall, qps) for recall, qps, _ in measured)))
    contestant.knobs = [knobs for recall, qps, knobs in measured if (recall, qps) in front]
    if measured:
        best = max(recall for recall, _, _ in measured)
        say(f"{contestant.name}: {len(contestant.knobs)} settings kept, recall up to {best:.4f}")


def _round(contestants: list[Contestant], plan: Plan, scorer: Scorer) -> Iterator[Record]:
    """Measure each setting of each engine once, engines taking turns: A B C A B C."""
    longest = max((len(c.knobs) for c in contestants), default=0)
    for threads, mode, turn in product(plan.threads, plan.modes, range(longest)):
        for contestant in contestants:
            if contestant.worker is None or turn >= len(contestant.knobs):
                continue
            request = Request("report", mode, plan.k, threads, contestant.knobs[turn])
            timing = contestant.ask("search", request)
            if timing is not None:
                yield {
                    "kind": "timing",
                    "engine": contestant.name,
                    "threads": threads,
                    "mode": mode,
                    "knobs": request.knobs,
                    "recall": scorer.recall(timing, "report"),
                    **speeds([timing], mode),
                }


def weigh(contestant: Contestant, n: int) -> None:
    """Bytes and peak memory, last: to serialise an index may take memory of its own."""
    weighed = contestant.ask("weigh")
    if weighed:
        # The kernel's count lags by a few pages, so the later peak can read below the earlier one.
        peak = max(weighed["memory_peak_mib"], contestant.record["memory_peak_build_mib"])
        contestant.record |= {
            "index_bytes": weighed["index_bytes"],
            "bytes_per_vector": weighed["index_bytes"] / n,
            "memory_peak_mib": peak,
        }


def speeds(timings: list[Timing], mode: str) -> Record:
    """Best and median QPS over all repetitions; latencies in µs for one query a call."""
    if mode == "batch":
        rates = len(timings[0].ids) / np.concatenate([t.seconds for t in timings])
        return {"qps_best": float(rates.max()), "qps_median": float(np.median(rates))}
    rates = [len(t.seconds) / t.seconds.sum() for t in timings]
    micros = np.concatenate([t.seconds for t in timings]) * 1e6
    return {
        "qps_best": float(max(rates)),
        "qps_median": float(np.median(rates)),
        "mean_us": float(micros.mean()),
        "p50_us": float(np.percentile(micros, 50)),
        "p99_us": float(np.percentile(micros, 99)),
    }
