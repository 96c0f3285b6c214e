"""What a reader, an editor and a type checker see of the package."""

import doctest
import importlib
import importlib.metadata
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import steep

HERE = Path(__file__).parent
PYTHON = HERE.parent
ROOT = PYTHON.parent


def run(*command):
    # The checkers find the packages of the `python` on the path: it has to be this one.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def modules():
    return [f"steep.{module.name}" for module in pkgutil.iter_modules(steep.__path__)]


@pytest.mark.parametrize("name", ["steep", *modules()])
def test_examples_in_the_docs_are_true(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_every_public_name_says_what_it_does_by_example():
    public = [getattr(steep, name) for name in steep.__all__]
    methods = [value for key, value in vars(steep.Index).items() if not key.startswith("_")]
    for thing in (*public, *methods):
        assert thing.__doc__, thing
        callable_here = callable(thing) and thing is not steep.Info
        assert not callable_here or ">>>" in thing.__doc__, thing


def test_reprs_tell_what_one_holds():
    x = np.zeros((1000, 128), np.uint8)
    index = steep.build(x)
    spec = index.spec
    assert repr(index) == f'Index(n=1000, dim=128, metric="l2", spec="{spec}", dtype="u8", 128.0 kB)'
    empty = steep.Index(dim=3, metric="ip", spec="flat-raw", dtype="bf16")
    assert repr(empty) == 'Index(n=0, dim=3, metric="ip", spec="flat-raw", dtype="bf16", 0 bytes)'
    hits = index.search(x, 10)
    assert repr(hits).startswith("Hits(\n  ids=[[0 1 2 ")
    assert len(repr(hits)) < 2000


def test_bytes_add_up():
    for dtype in (np.float32, np.uint8):
        parts = steep.build(np.random.default_rng(0).integers(0, 99, (9000, 64)).astype(dtype)).bytes
        assert parts.pop("total") == sum(parts.values()) >= 9000 * 64


def test_info_names_what_runs():
    info = steep.info()
    assert info["version"] == steep.__version__ == importlib.metadata.version("steep")
    assert info["isa"] in ("scalar", "avx2", "avx512", "neon")
    assert info["threads"] >= 1
    assert all(isinstance(there, bool) for there in info["features"].values())


def test_numpy_is_the_only_dependency():
    assert importlib.metadata.requires("steep") == ["numpy>=1.25"]


def test_mypy_accepts_the_sample_and_the_package():
    run("mypy", "--strict", "--warn-unused-ignores", "python/tests/typing_sample.py")
    run("mypy", "--strict", "-p", "steep")


def test_stubs_say_what_the_compiled_module_has():
    run("mypy.stubtest", "steep._steep")


def test_pyright_accepts_the_sample_and_finds_every_type():
    run("basedpyright", "python/tests/typing_sample.py", "python/steep")
    run("basedpyright", "--verifytypes", "steep", "--ignoreexternal")


def test_ruff_has_nothing_to_say():
    run("ruff", "check", "python")
    run("ruff", "format", "--check", "python")
