"""Faiss runs beside Steep here: on one thread of its own, or its team waits for cores that ours uses."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
