"""How fast is an engine at a given recall? Fronts of (recall, QPS) points, read between points."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

Point = tuple[float, float]  # (recall in 0..1, queries a second)

TARGETS = (0.90, 0.95, 0.99)


def pareto(points: Iterable[Point]) -> list[Point]:
    """The points no other point beats in both recall and QPS, by rising recall, falling QPS."""
    front: list[Point] = []
    for recall, qps in sorted(points, reverse=True):
        if not front or qps > front[-1][1]:
            front.append((recall, qps))
    return front[::-1]


def thin(front: list[Point], most: int = 12) -> list[Point]:
    """At most `most` points of a front, evenly spread, its ends kept; below 0.6 only the last.

    Two knobs swept together give fronts of dozens of points, which cost time and show nothing.
    """
    useful = [p for p in front if p[0] >= 0.6] or front[-1:]
    if len(useful) <= most:
        return useful
    return [useful[round(i * (len(useful) - 1) / (most - 1))] for i in range(most)]


def qps_at(points: Iterable[Point], target: float) -> float | None:
    """QPS at recall `target`, or None where no point reaches it.

    Between two points of the front log(QPS) is taken as linear in the recall, because curves of
    approximate search are close to straight on these axes. Left of the front the leftmost point
    answers: it is the fastest setting measured, and it does meet the target.
    """
    front = pareto(points)
    if not front or front[-1][0] < target:
        return None
    if front[0][0] >= target:
        return front[0][1]
    for (r0, q0), (r1, q1) in pairwise(front):
        if r0 <= target <= r1:
            share = (target - r0) / (r1 - r0)
            return math.exp((1 - share) * math.log(q0) + share * math.log(q1))
    raise AssertionError("a front sorted by recall has a segment around every inner target")
