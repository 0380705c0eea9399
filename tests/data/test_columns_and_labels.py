"""Which columns of a table are input, label, split and group, and what its labels mean; or a question."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from headstart.core.errors import NameNotFound, SourceError
from headstart.core.options import DataOptions
from headstart.data.read import read
from tests.support.sources import has_note, part_sizes, write_text


def test_a_split_column_and_a_group_column_are_found(tmp_path):
    lines = [
        json.dumps(
            {"text": f"t {i}", "label": "ab"[i % 2], "split": "Test" if i % 5 == 0 else "train", "group_id": i // 4}
        )
        for i in range(100)
    ]
    task = read(write_text(tmp_path / "r.jsonl", "\n".join(lines)))
    assert part_sizes(task) == {"train": 80 - len(task.parts["val"]), "val": len(task.parts["val"]), "test": 20}
    assert has_note(task, "Parts: column 'split'")
    assert has_note(task, "Groups: column 'group_id'")
    sides = [{task.examples[i].group for i in task.parts[p]} for p in ("train", "val")]
    assert not sides[0] & sides[1]


COLUMNS = [
    ({"text": "x", "label": "a", "category": "c"}, {}, ("text", "label")),
    ({"text": "x", "label": 0, "label_text": "a"}, {}, ("text", "label_text")),
    ({"text": "x", "label": 0, "label_name": "same"}, {}, ("text", "label")),
    ({"sentence": "x", "intent": "a"}, {}, ("sentence", "intent")),
    ({"text": "x", "Anzahl Sterne": "a"}, {}, ("text", "Anzahl Sterne")),
    ({"Frage": "x", "label": "a"}, {}, ("Frage", "label")),
    ({"text": "x", "title": "y", "label": "a"}, {"input": "title"}, ("title", "label")),
    ({"text": "x", "stars": "a", "product": "b"}, {"label": "product"}, ("text", "product")),
]


@pytest.mark.parametrize(("row", "asked", "expected"), COLUMNS)
def test_columns_are_found_by_name(tmp_path, row, asked, expected):
    from headstart.data.column_roles import infer_roles
    from headstart.data.tabular import open_sheet

    def value(name, v, i):
        if v in ("same", "x", "y"):
            return v if v == "same" else f"{v} {i}"
        return i % 2 if v == 0 else f"{v}{i % 2}"

    lines = [json.dumps({name: value(name, v, i) for name, v in row.items()}) for i in range(20)]
    sheet = open_sheet(write_text(tmp_path / "r.jsonl", "\n".join(lines)))
    found = infer_roles(sheet, label=asked.get("label"), input=asked.get("input"), group=None)
    assert (found.input, found.label) == expected


UNCLEAR = [
    (
        "text,stars,topic,intent\nx,1,a,b\n",
        {},
        r"(?s)More than one column could be the label: 'topic', 'intent'.*--label.*\n  stars: 1",
    ),
    ("title,body,question,label\nx,y,z,a\n", {}, "could be the input: 'body', 'question'.*--input"),
    ("a,b,c\n1,2,3\n", {}, r"No column is known to be the input.*\n  a: 1"),
    ("text,p,q\nx,1,2\n", {}, r"No column is known to be the label: 'p', 'q'"),
    ("text,label\nx,a\n", {"label": "lable"}, "no column 'lable'. Did you mean --label label"),
    ("text\nx\n", {}, "no column left that could be the label"),
    ("text,label\n", {}, "has no rows"),
    ("", {}, "is empty"),
    ("text,text\nx,y\n", {}, "two columns named 'text'"),
    ("file,label\nabc,a\n", {}, "do not end like images"),
]


@pytest.mark.parametrize(("text", "asked", "message"), UNCLEAR)
def test_unclear_columns_are_a_question(tmp_path, text, asked, message):
    with pytest.raises(SourceError, match=message):
        read(write_text(tmp_path / "r.csv", text), DataOptions(**asked))


def numbered(tmp_path: Path, values: list, column: str = "score") -> Path:
    return write_text(tmp_path / "n.csv", f"text,{column}\n" + "".join(f"text {i},{v}\n" for i, v in enumerate(values)))


def test_numbers_are_classes_or_quantities_or_a_question(tmp_path):
    assert read(numbered(tmp_path, [0, 1, 2] * 30)).objective.names == ("0", "1", "2")
    assert read(numbered(tmp_path, [f"{i / 7:.3f}" for i in range(120)])).objective.link == "identity"
    assert read(numbered(tmp_path, ["007", "008"] * 30)).objective.names == ("007", "008")
    assert read(numbered(tmp_path, [i % 70 for i in range(280)], "label")).objective.width == 70
    stars = numbered(tmp_path, [1, 2, 3, 4, 5] * 30)
    with pytest.raises(SourceError, match="--task classes or --task number"):
        read(stars)
    assert read(stars, DataOptions(task="number")).objective.mean == pytest.approx(3, abs=0.3)
    assert read(stars, DataOptions(task="classes")).objective.names == ("1", "2", "3", "4", "5")
    with pytest.raises(NameNotFound, match="Did you mean 'classes'"):
        read(stars, DataOptions(task="clases"))
    with pytest.raises(SourceError, match="'a' is not a number"):
        read(numbered(tmp_path, ["a", "b"] * 30), DataOptions(task="number"))


def test_missing_numbers_are_no_label(tmp_path):
    task = read(numbered(tmp_path, ["nan", "", *(f"{i / 7:.3f}" for i in range(120))]))
    assert [a.reason for a in task.aside] == ["no label", "no label"]
    assert part_sizes(task)["test"] == pytest.approx(18, abs=2)


def test_the_scale_of_numbers_is_that_of_the_training_part(tmp_path):
    task = read(numbered(tmp_path, [f"{i / 7:.3f}" for i in range(120)]))
    train = np.array([e.label for e in task.part("train")])
    assert task.objective.mean == pytest.approx(train.mean())


def test_tags_in_a_column_and_in_json(tmp_path):
    some = [("red", "round"), ("red",), ("blue", "square")]
    task = read(
        write_text(tmp_path / "t.csv", "text,tags\n" + "".join(f"t {i},{';'.join(some[i % 3])}\n" for i in range(120)))
    )
    assert task.objective.names == ("blue", "red", "round", "square")
    assert task.examples[0].label == some[int(task.examples[0].id.split(":")[1]) % 3]
    lines = [json.dumps({"text": f"t {i}", "label": [] if i % 10 == 0 else some[i % 3]}) for i in range(120)]
    task = read(write_text(tmp_path / "t.jsonl", "\n".join(lines)))
    assert Counter(e.label for e in task.examples)[()] == 12
    assert task.objective.link == "sigmoid"
