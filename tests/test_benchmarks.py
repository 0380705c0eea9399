"""The benchmarks' page is rendered from documents as the parts print them, and every script starts."""

import ast
import importlib
import json
import sys
from importlib.util import find_spec

import pytest

from benchmarks.speed import bench, harness, tables
from tests.support.paths import ROOT

# Those in peers/ run in environments of other libraries.
SCRIPTS = sorted(
    f"benchmarks.{file.parent.name}.{file.stem}"
    for file in (ROOT / "benchmarks").glob("*/*.py")
    if file.parent.name != "peers" and "def main(" in file.read_text(encoding="utf-8")
)


def document(part: str, rows: list[dict], **more) -> dict:
    machine = {"processor": "A | B", "cores": 2, "memory_gib": 4, "system": "Linux", "amx": False, "bfloat16": True}
    machine |= {"load": 0.5, "load_at_end": 0.7, "versions": {"python": "3.11", "torch": "2.15"}}
    return {"part": part, "quick": False, "machine": machine, "rows": rows, **more}


def test_a_page_tells_ratios_spread_goals_and_what_is_missing(tmp_path):
    fast = harness.row(
        "cold", [2.0, 4.0, 3.0], [12.0, 16.0, 12.0], against="sk", least=5.0, n=397, beside="accuracy 1 / 1"
    )
    slow = harness.row("rate", [90.0], [30.0], unit="images/s", least=4.0, n=64, against="torch")
    share = harness.row("whole", [45.0], [50.0], unit="images/s", least=0.9, share=True, against="engine")
    (gone,) = harness.tried("flowers", lambda: harness.data("no such set") and [])
    curve = {"name": "seconds", "title": "Seconds", "x": "photos", "y": "seconds", "points": [[10, 1.0], [20, 2.0]]}
    page = bench.write(
        [document("fit", [fast, gone]), document("rates", [slow]), document("scaling", [share], curves=[curve])],
        tmp_path,
    )
    lines = page.read_text(encoding="utf-8").splitlines()
    (cold,) = (line for line in lines if line.startswith("| cold"))
    assert cold.split(" | ")[1:6] == ["≥ 5 ×", "4.00 × (4.00 – 6.00)", "**missed**", "2.00 / 3.00 / 4.00 s",
                                      "sk: 12.0 / 12.0 / 16.0 s"]  # fmt: skip
    assert any("3.00 ×" in line and "**missed**" in line for line in lines if line.startswith("| rate"))
    assert any("90%" in line and "| met |" in line for line in lines if line.startswith("| whole"))
    assert any("not measured" in line and "HEADSTART_SHARED" in line for line in lines if line.startswith("| flowers"))
    assert not any("busy" in line for line in lines)
    assert {p.name for p in tmp_path.glob("*.svg")} == {"fit.svg", "rates.svg", "scaling.svg", "scaling-seconds.svg"}
    assert all(f"({p.name})" in page.read_text(encoding="utf-8") for p in tmp_path.glob("*.svg"))


def test_a_part_that_is_there_is_kept_and_a_quick_one_does_not_stand_for_a_whole_one(tmp_path, monkeypatch):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "head.json").write_text(json.dumps({**document("head", []), "quick": True}))
    monkeypatch.setattr(bench, "PACKAGE", "no_package")  # what is not kept cannot be measured
    assert bench.measured("head", tmp_path, True, False, [])["quick"]
    (lost,) = bench.measured("head", tmp_path, False, False, [])["rows"]
    assert "gave no document" in lost["missing"]
    assert "not measured" in bench.write([{"part": "head", "quick": False, "rows": [lost]}], tmp_path).read_text()


def test_every_part_is_a_script():
    assert {f"benchmarks.speed.{part}" for part in bench.PARTS} <= set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_answers_help(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(script).main()
    assert end.value.code == 0
    usage = capsys.readouterr().out
    assert f"python -m {script}" in usage
    assert "--quick" in usage or script.rpartition(".")[2] not in (*bench.PARTS, "bench")


def test_what_scripts_import_within_functions_exists():
    """Most import Headstart where they need it: a moved name would show hours into a run."""
    missing = []
    for file in sorted((ROOT / "benchmarks").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("headstart", "benchmarks"):
                for alias in node.names:
                    if not hasattr(importlib.import_module(str(node.module)), alias.name):
                        missing += [] if find_spec(f"{node.module}.{alias.name}") else [f"{file.name}: {alias.name}"]
    assert not missing, missing


def test_a_busy_machine_is_told():
    busy = document("head", [])
    busy["machine"]["load_at_end"] = 5.9
    assert "busy" in tables.page([busy], {})
