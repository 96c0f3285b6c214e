"""End to end, with engines of the tests' own in real worker processes."""

import json

from bench import compare_flat, datasets, results, runner, tables

FAKES = "bench.tests.engines"


def measure(root, *names):
    plan = runner.Plan([f"{FAKES}:{name}" for name in names], [1], repeats=2)
    return list(runner.run(datasets.load("tiny", root), plan))


def test_a_run_survives_engines_that_crash_or_refuse(root, tmp_path):
    records = results.write(tmp_path / "r.jsonl", measure(root, "Brute", "Illegal", "Refuses"))
    (run,) = results.read([tmp_path / "r.jsonl"])
    brute, illegal, refuses = run.engines
    assert brute["status"] == "ok"
    assert brute["bytes_per_vector"] == 32.0
    assert brute["build_seconds"] >= 0
    assert illegal["status"] == "failed"
    assert illegal["reason"] == "killed by SIGILL: about to die"
    assert (refuses["status"], refuses["reason"]) == ("not available", "not on this machine")

    assert {p["engine"] for p in run.points} == {f"{FAKES}:Brute"}
    assert run.panels() == [(1, "batch"), (1, "single")]
    exact = run.select(f"{FAKES}:Brute", 1, "single")[-1]
    assert exact["recall"] == 1.0
    assert exact["knobs"] == {"percent": 100}
    assert exact["p50_us"] <= exact["p99_us"]
    rounds = [r for r in records if r["kind"] == "timing" and r["knobs"] == exact["knobs"]]
    assert sorted({r["round"] for r in rounds}) == [0, 1]
    text = "\n".join(table.text() for table in tables.tables(run))
    assert "QPS@0.95" in text
    assert "killed by SIGILL" in text


def test_page_stands_alone(root):
    from bench import page

    html = page.render(results.group(measure(root, "Brute")))
    assert "<svg" in html and "QPS@0.99" in html
    assert "http" not in html and "src=" not in html and "@import" not in html
    raw = html.split('id="results">')[1].split("</script>")[0]
    assert json.loads(raw)[0][0]["data"] == "tiny"


def test_picture_is_written(root, tmp_path):
    from bench import chart

    (run,) = results.group(measure(root, "Brute"))
    chart.save_png(run, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_flat_gate_counts_wrong_neighbours(root):
    plan = compare_flat.Plan([f"{FAKES}:Reversed"], [1], [5], 1, None, 10, {"float32": 100.0})
    records = list(compare_flat.run(datasets.load("tiny", root), plan))
    wrong = [r["wrong"] for r in records if r["kind"] == "flat"]
    assert len(wrong) == 2 and min(wrong) > 0
    assert "Memory" in compare_flat.report(records)


def test_an_interrupted_run_can_be_reported(root):
    records = measure(root, "Brute")
    first_round = [r for r in records if r.get("round", 0) == 0][:-1]
    (run,) = results.group(first_round)
    assert run.points and "–" in tables.tables(run)[0].rows[0]
