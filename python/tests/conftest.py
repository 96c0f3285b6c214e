"""Faiss runs beside Steep in these tests: with one thread, or its team waits for cores that ours uses."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
