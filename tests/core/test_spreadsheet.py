"""CSV: no cell is a formula, numbers stay numbers, and reading gives back what was written."""

import csv
import random

import numpy as np
import pytest

from headstart.core.errors import ArtifactError
from headstart.core.spreadsheet import csv_cell, csv_text, original_cell, read_csv

FORMULAS = [
    "=1+1",
    "+cmd|'/c calc'!A1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    '"=1',
    "'=1",
    "\uff1d1",
    "\uff20x",
    "\ufeff=1",
    "\u200b=1",
    "\x00=1",
    "--help",
]
NASTY = "=+-@'\" ;\t\n\r|,a1.e\ufeff\uff1d\u2212"


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_run_is_text(text):
    assert csv_cell(text) == f"'{text}" or csv_cell(text).startswith("'")
    assert original_cell(csv_cell(text)) == text
    assert ";'=" in csv_cell(f"a;{'=' + text}"), "some begin a new cell at a semicolon"


@pytest.mark.parametrize("value", ["plain", "a-b", "3 = 4", "-5", "+1.5e-3", "-.5", "x@y", "", "ü", "🙂"])
def test_what_is_harmless_stays_as_it_is(value):
    assert csv_cell(value) == value


def test_numbers_lists_and_nothing():
    assert [csv_cell(v) for v in (-1.5, -3, np.float32(-0.5), None, ("a", "=b"), True)] == [
        "-1.5", "-3", "-0.5", "", "a;'=b", "True"
    ]  # fmt: skip


def test_any_text_comes_back(tmp_path):
    draw = random.Random(0)
    rows = [["".join(draw.choices(NASTY, k=draw.randint(0, 8))) for _ in "ab"] for _ in range(3000)]
    (tmp_path / "t.csv").write_bytes(csv_text([("a", "b"), *rows]).encode())
    assert [list(row.values()) for row in read_csv(tmp_path / "t.csv", ("a", "b"), "")] == rows


def test_halves_of_surrogate_pairs_can_be_written():
    assert list(csv.reader([csv_text([("a\ud800b",)])])) == [["a\\ud800b"]]


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"x,y\n1,2\n", b"id,label\n1\n", b'id,label\n"1,2\n', b"\0" * 9])
def test_a_damaged_file_is_refused_in_words(raw, tmp_path):
    (tmp_path / "t.csv").write_bytes(raw)
    with pytest.raises(ArtifactError, match=r"t\.csv is damaged.*Mend it"):
        read_csv(tmp_path / "t.csv", ("id", "label"), "Mend it.")
