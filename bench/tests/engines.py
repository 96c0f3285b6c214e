"""Engines for the tests: NumPy brute force with a knob, and the ways an engine can end badly."""

from __future__ import annotations

import os
import signal

import numpy as np

from bench import truth
from bench.engines.base import Engine, Unavailable


class Brute(Engine):
    """Exact search over a share of the rows: the knob trades recall for work, as an index does."""

    packages = ("numpy",)

    def build(self, x, threads):
        self.x = x

    def knobs(self):
        return [{"percent": percent} for percent in (25, 50, 75, 100)]

    def set_knobs(self, knobs):
        self.rows = len(self.x) * knobs["percent"] // 100

    def set_threads(self, threads):
        pass

    def search(self, queries, k):
        dots = queries @ self.x[: self.rows].T
        keys = np.square(self.x[: self.rows]).sum(1) - 2 * dots
        return np.argsort(keys, axis=1)[:, :k]

    def index_bytes(self):
        return self.x.nbytes


class Illegal(Brute):
    """Dies in its searches as a wheel built for another CPU would."""

    def search(self, queries, k):
        os.write(2, b"about to die\n")
        os.kill(os.getpid(), signal.SIGILL)


class Refuses(Brute):
    """Says at the build why it cannot run."""

    def build(self, x, threads):
        raise Unavailable("not on this machine")


class Reversed(Brute):
    """Wrong answers: the farthest rows."""

    def knobs(self):
        return [{}]

    def set_knobs(self, knobs):
        pass

    def search(self, queries, k):
        return truth.nearest(self.x, -queries, k, "ip")
