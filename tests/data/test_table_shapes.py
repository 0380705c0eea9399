"""The shapes in which people and programs write tables: each is read, or refused with what to do."""

import json

import pytest

from headstart.core.errors import SourceError
from headstart.core.options import DataOptions
from headstart.data.objectives.tags import tag_names
from headstart.data.read import read
from headstart.data.read_inputs import read_inputs
from tests.support.sources import write_text

ROWS = [{"text": f"some words of {n}", "label": "ab"[n // 2 % 2]} for n in range(48)]
CSV = "\n".join(f"{r['text']},{r['label']}" for r in ROWS)
by_column = {name: [r[name] for r in ROWS] for name in ("text", "label")}
WRITTEN = {
    "list.json": json.dumps(ROWS, indent=1),
    "list.jsonl": json.dumps(ROWS, indent=1),
    "lines.json": "\n".join(map(json.dumps, ROWS)),
    "one after the other.json": "\n".join(json.dumps(r, indent=1) for r in ROWS),
    "wrapped.json": json.dumps({"version": 1, "data": ROWS}),
    "wrapped lines.json": json.dumps({"info": {"by": "us"}, "examples": ROWS}, indent=2),
    "columns.json": json.dumps(by_column),
    "pandas.json": json.dumps({k: dict(enumerate(v)) for k, v in by_column.items()}),
    "pandas split.json": json.dumps({"columns": list(by_column), "data": [list(r.values()) for r in ROWS]}),
    "by id.json": json.dumps({f"id{n}": r for n, r in enumerate(ROWS)}),
    "nested.json": json.dumps([{"data": {"text": r["text"]}, "annotation": {"label": r["label"]}} for r in ROWS]),
    "excel.csv": "sep=;\n" + f"text,label\n{CSV}".replace(",", ";"),
    "titled.csv": f"A survey of 2024\n\ntext,label\n{CSV}",
    "ends with a comma.csv": f"text,label\n{CSV}\n".replace("\n", ",\n"),
    "rows end with a comma.csv": "text,label\n" + CSV.replace("\n", ",\n") + ",",
    "titled by a spreadsheet.csv": f"A survey of 2024,,\n,,\ntext,label,\n{CSV}".replace(
        CSV, CSV.replace("\n", ",\n") + ","
    ),
    "first is a number.csv": "\n".join([",text,label", *(f"{n},{line}" for n, line in enumerate(CSV.split("\n")))]),
    "spaces.csv": f" text , label \n{CSV}",
    "other names.csv": f"Beschreibung,Kategorie\n{CSV}",
    "empty columns.csv": "v1,v2,,\n" + "\n".join(f"{r['label']},{r['text']},," for r in ROWS),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_the_same_rows_in_many_shapes(tmp_path, name):
    file = write_text(tmp_path / name, WRITTEN[name])
    task = read(file)
    assert {(e.content, e.label) for e in task.examples} == {(r["text"], r["label"]) for r in ROWS}
    assert [i.content for i in read_inputs(file, task.contract)] == [r["text"] for r in ROWS]


REFUSED = {
    "classes.json": (json.dumps({"a": ["x one", "x two"], "b": ["y", "z"]}), "classes or columns"),
    "pairs.json": (json.dumps([[r["text"], r["label"]] for r in ROWS]), "lists without names"),
    "parts.json": (json.dumps({"train": ROWS, "test": ROWS}), "train.json, test.json in one folder"),
    "value.json": ("3", "one JSON value"),
    "half.json": (json.dumps(ROWS)[:-30], "not JSON"),
    "two.csv": ("text,label,label\nq,a,a", "two columns named 'label'"),
    "t.xlsx": ("PK", "Save it as CSV"),
    "t.csv.gz": ("PK", "Unpack it"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_clear_says_what_to_do(tmp_path, name):
    text, words = REFUSED[name]
    with pytest.raises(SourceError, match=words):
        read(write_text(tmp_path / name, text))


def tags_of(tmp_path, header: str, rows: list[str], **options) -> list:
    task = read(write_text(tmp_path / "t.csv", "\n".join([header, *rows])), DataOptions(**options))
    return [e.label for e in sorted(task.examples, key=lambda e: int(e.id.rpartition(":")[2]))]


def test_a_row_a_tag_is_joined_where_tags_are_meant(tmp_path):
    rows = [f"some words of {n},{tag}" for n in range(30) for tag in ("x", "yz"[n % 2])[: 1 + n % 3]]
    with pytest.raises(
        SourceError, match=r"20 of 30 inputs stand in several rows, with another value of 'label'.*--task tags"
    ):
        tags_of(tmp_path, "text,label", rows)
    expected = [("x", "yz"[n % 2])[: 1 + n % 3] for n in range(30)]
    assert list(map(tag_names, tags_of(tmp_path, "text,label", rows, task="tags"))) == expected
    assert len(tags_of(tmp_path, "text,label", rows, task="classes")) == len(rows)


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("yes", "no"), ("TRUE", "FALSE"), ("x", ""), ("1.0", "0.0")])
def test_a_column_a_tag(tmp_path, yes, no):
    has = [(n % 2 == 0, n % 3 == 0) for n in range(36)]
    rows = [f"some words of {n},{yes if a else no},{yes if b else no}" for n, (a, b) in enumerate(has)]
    expected = [tuple(t for t, there in zip("ab", pair, strict=True) if there) for pair in has]
    assert tags_of(tmp_path, "text,a,b", rows, label="a,b") == expected


def test_a_column_a_class_where_each_row_has_one(tmp_path):
    rows = [f"some words of {n},{int(n % 2 == 0)},{int(n % 2 == 1)}" for n in range(24)]
    assert tags_of(tmp_path, "text,a,b", rows, label="a,b") == ["ab"[n % 2] for n in range(24)]
    assert tags_of(tmp_path, "text,a,b", rows, label="a,b", task="tags") == [("ab"[n % 2],) for n in range(24)]


def test_rows_without_a_label_are_left_out_however_many_but_not_most(tmp_path):
    rows = [f"some words of {n},{'' if n % 3 == 0 else 'ab'[n % 2]}" for n in range(60)]
    assert len(tags_of(tmp_path, "text,label", rows)) == 40
    with pytest.raises(Exception, match="cannot be used"):
        tags_of(tmp_path, "text,label", [r if n % 3 == 1 else r.split(",")[0] + "," for n, r in enumerate(rows)])


def test_the_decimal_mark_is_asked_and_said(tmp_path):
    rows = [f"some words of {n};{n % 9 + 1},{100 + n}" for n in range(60)]
    with pytest.raises(SourceError, match=r"--decimal comma, or --decimal point"):
        tags_of(tmp_path, "text;score", rows)
    assert tags_of(tmp_path, "text;score", rows, decimal="comma")[:2] == [1.1, 2.101]
    assert tags_of(tmp_path, "text;score", rows, decimal="point")[:2] == [1100, 2101]
    with pytest.raises(SourceError, match="no decimal 'dot'"):
        tags_of(tmp_path, "text;score", rows, decimal="dot")


def test_columns_are_told_by_what_they_hold(tmp_path):
    """Ids beside a folder of images, long sentences beside flags; a first line that is a row is no line of names."""
    ids = "\n".join(f"{n:04},{'ab'[n % 2]}" for n in range(24))
    file = write_text(tmp_path / "labels.csv", f"id,diagnosis\n{ids}")
    with pytest.raises(SourceError, match="No column is known to be the input"):
        read(file)
    (tmp_path / "pics").mkdir()
    for n in range(24):
        write_text(tmp_path / "pics" / f"{n:04}.png", f"{n}")
    task = read(file)
    assert (task.kind, task.contract.columns, task.contract.base) == ("image", ("id",), "pics")
    flags = [f"{n:08x}ff,some words of {n},{n % 2},{n // 2 % 2}" for n in range(24)]
    with pytest.raises(SourceError, match="--label rude,threat"):
        read(write_text(tmp_path / "flags.csv", "id,comment_text,rude,threat\n" + "\n".join(flags)))
    with pytest.raises(SourceError, match="No column is known to be the input"):
        read(write_text(tmp_path / "bare.csv", CSV))
