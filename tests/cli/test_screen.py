"""What a terminal and a spreadsheet are given: names from elsewhere steer neither."""

import csv
import io
import json
import re

import pytest

from headstart.cli import summaries
from headstart.cli.progress import TerminalProgress
from headstart.cli.screen import show, show_error
from headstart.core.errors import SourceError
from headstart.core.messages import printable, printable_facts, printable_lines
from tests.support.command_line import run_command

ESCAPES = "\x1b]0;owned\x07 \x9b31m \u202egnp.exe \u2066 \x7f \u061c \u2028 \ud800 \r\t\n \U000e0041 \u200f"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0041]")


def test_what_a_terminal_would_obey_is_shown_as_an_escape():
    shown = printable(ESCAPES)
    assert not RAW.search(shown) and "\n" not in shown
    assert r"\x1b]0;owned\x07 \x9b31m \u202egnp.exe" in shown
    harmless = "grün 日本語 العربية 🙂 👩‍👩‍👧 \\x1b"
    assert printable(harmless) == harmless
    assert printable_lines("one\nError: two") == "one\n  Error: two", "no line of a name passes for one of ours"
    assert printable_facts({ESCAPES: [1, (ESCAPES,), None]}) == {shown: [1, [shown], None]}


@pytest.mark.parametrize("as_json", [True, False])
def test_everything_printed_goes_through_one_place(as_json, capsys):
    show({"predictions": [ESCAPES]}, lambda facts: "\n".join(facts["predictions"]), as_json)
    show_error("Error", SourceError(f"{ESCAPES} cannot be read."), {"error": ESCAPES} if as_json else None)
    out, err = capsys.readouterr()
    assert not RAW.search(out + err) and "owned" in out and "owned" in err
    if as_json:
        assert [json.loads(line) for line in out.splitlines()] == [{"predictions": [ESCAPES]}, {"error": ESCAPES}]


def test_progress_too():
    out = io.StringIO()
    screen = TerminalProgress(out)
    screen.event({"event": "start", "source": ESCAPES})
    screen.event({"event": "finding", "level": "warn", "message": ESCAPES, "fix": ESCAPES})
    screen.event({"event": "refused", "method": "x", "reason": ESCAPES})
    assert not RAW.search(out.getvalue()) and out.getvalue().count("owned") == 4


def test_a_table_of_predictions_has_a_line_an_input():
    row = {"id": "a\nb", "label": "x", "confidence": 0.5, "error": "", "probabilities": {}}
    assert len(summaries.prediction_table(printable_facts([row])).splitlines()) == 2


def test_a_fit_on_hostile_names(tmp_path):
    """Classes, file names and texts that a terminal would obey or a spreadsheet would run, from data to answers."""
    classes = ["=cmd|'/c calc'!A1", "red\x1b[31m\x07\u202e"]
    rows = [
        (f"{'@SUM(1)' if i % 3 else '=1+1'} words {i} {'left' if i % 2 else 'right'}", classes[i % 2])
        for i in range(120)
    ]
    with open(tmp_path / "t.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    run = tmp_path / "run\x1b[2J"
    said = run_command("fit", "t.csv", "--into", str(run), cwd=tmp_path)
    assert not RAW.search(said.stdout + said.stderr) and r"\x1b[2J" in said.stdout
    with open(run / "predictions.csv", newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell]
    answered = run_command("predict", str(run), "=1+1 left", "@SUM(1)\x1b[2J right", "--csv", cwd=tmp_path).stdout
    _, *lines = csv.reader(io.StringIO(answered))
    assert [line[0] for line in lines] == ["'=1+1 left", "'@SUM(1)\x1b[2J right"]
    assert {line[1] for line in lines} <= {"'" + classes[0], classes[1]}
    assert not RAW.search(run_command("predict", str(run), "a\x1b[2J", cwd=tmp_path).stdout)
    missing = run_command("predict", "no\x1b[2J\u202e", "x", code=2, cwd=tmp_path)
    assert not RAW.search(missing.stderr) and r"\x1b[2J" in missing.stderr
