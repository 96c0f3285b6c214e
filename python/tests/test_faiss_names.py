"""The names of steep.faiss, said for type checkers and at run time: both agree, and all are Faiss's."""

import ast
import subprocess
import sys
from pathlib import Path

import faiss
import pytest
from steep import faiss as ours
from steep.faiss._homes import HOMES

STUB = Path(ours.__file__).with_suffix(".pyi")
NAMES = sorted(ours.__all__)
#: Faiss's wiki calls it so; its module has only `IVFPQSearchParameters`.
WIKI = {"SearchParametersIVFPQ"}


def test_the_stub_has_the_names_of_the_homes():
    said = {
        (node.module, alias.name)
        for node in ast.parse(STUB.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    homes = [(f"steep.faiss.{home}", name) for home, names in HOMES.items() for name in names.split()]
    assert said == set(homes)
    assert len({name for _, name in homes}) == len(homes)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_leads_somewhere_here_and_in_faiss(name):
    assert getattr(ours, name) is not None
    assert name in dir(ours)
    assert hasattr(faiss, name) or name in WIKI


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("IndexEDEN", "take IndexRaBitQ"),
        ("IndexLattice", "take IndexPQ"),
        ("GpuIndexFlatL2", "no GPU here"),
        ("IndexFlatL", "did you mean IndexFlat"),
        ("index_factry", "did you mean index_factory"),
        ("xyzzy", "coming-from-faiss"),
    ],
)
def test_a_name_that_is_not_there_says_what_is(name, instead):
    with pytest.raises(AttributeError, match=instead):
        getattr(ours, name)


def test_names_of_protocols_are_plainly_absent():
    assert not hasattr(ours, "__wrapped__")


def test_importing_loads_little():
    program = (
        "import sys, numpy, steep\n"
        "before = set(sys.modules)\n"
        "import steep.faiss\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert not [name for name in loaded if ".contrib" in name]
    assert len(loaded) <= 4, loaded
