"""The example beside docs/coming-from-faiss.md runs as it stands."""

import runpy
from pathlib import Path


def test_the_example_of_the_guide_runs(capsys):
    runpy.run_path(str(Path(__file__).parents[2] / "docs" / "coming_from_faiss.py"))
    assert "recall of the graph" in capsys.readouterr().out
