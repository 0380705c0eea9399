"""Data in: every source a user may have, odd ones included, gives a task or a message that says what to type."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.core import digest
from headstart.core.errors import HeadstartError, MissingExtra, NameNotFound, SourceError, Stopped, Unreadable
from headstart.core.task import Example, Row
from headstart.data import contents
from headstart.data.contents import content, stream
from headstart.data.read import read, reading
from headstart.data.readers.arrays import png


def picture(n: int) -> bytes:
    return png(np.full((4, 5, 3), n % 251, np.uint8) + np.arange(60, dtype=np.uint8).reshape(4, 5, 3) * (1 + n // 251))


def photos(root: Path, counts: dict[str, int], suffix: str = ".png", start: int = 0) -> Path:
    n = start
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i:03}{suffix}").write_bytes(picture(n))
            n += 1
    return root


def written(file: Path, text: str, encoding: str = "utf-8") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode(encoding))
    return file


def parquet(file: Path, columns: dict, features: dict | None = None, **settings) -> Path:
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    table = pa.table(columns)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, file, **settings)
    return file


def layout(images: list[bytes | None], paths: list[str | None] | None = None):
    """A column as Hugging Face lays images out."""
    pa = pytest.importorskip("pyarrow")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": b, "path": p} for b, p in zip(images, paths or [None] * len(images), strict=True)], kind)


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("a")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=2)),
    max_leaves=4,
)


def sizes(task) -> dict[str, int]:
    return {name: len(rows) for name, rows in task.parts.items()}


def says(task, words: str) -> bool:
    return any(words in note for note in task.notes)


# Folders


def test_a_folder_of_class_folders_is_split(tmp_path):
    task = read(photos(tmp_path / "d", {"cat": 40, "dog": 60}))
    assert task.kind == "image"
    assert task.objective.names == ("cat", "dog")
    assert sizes(task) == {"train": 70, "val": 15, "test": 15}
    one = task.examples[0]
    assert one.id == "cat/000.png"
    assert one.digest == digest.of_bytes(content(one))
    assert says(task, "70% to learn")


def test_parts_by_any_name_and_a_sole_held_out_part_is_the_test(tmp_path):
    photos(tmp_path / "d" / "Training", {"cat": 20, "dog": 20})
    photos(tmp_path / "d" / "DEV", {"cat": 4, "dog": 5}, start=100)
    task = read(tmp_path / "d")
    assert sizes(task) == {"train": 34, "val": 6, "test": 9}
    assert all(e.id.startswith("DEV/") for e in task.part("test"))
    assert says(task, "'DEV' is the only held-out part")
    photos(tmp_path / "d" / "testing", {"cat": 3, "dog": 3}, start=200)
    assert sizes(read(tmp_path / "d")) == {"train": 40, "val": 9, "test": 6}


def test_strange_things_in_a_folder(tmp_path):
    root = photos(tmp_path / "d", {"cat": 30, "dog": 30})
    for name in (
        "cat/.hidden.png",
        "cat/Thumbs.db",
        "README.txt",
        "cat/notes.json",
        ".git/x.png",
        "__MACOSX/cat/a.png",
    ):
        written(root / name, "x")
    (root / "loose.png").write_bytes(picture(500))
    (root / "cat" / "empty.JPG").write_bytes(b"")
    (root / "cat" / "more").mkdir()
    (root / "cat" / "more" / "deep.tiff").write_bytes(picture(501))
    (root / "cat" / "broken.png").symlink_to(root / "nowhere.png")
    (root / "cat" / "circle").symlink_to(root / "cat")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.png").write_bytes(picture(502))
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(root / "dog" / "pipe.png")
    found = reading(root)
    ids = {e.id: e.label for e in found.examples[""]}
    assert len(ids) == 63
    assert ids["cat/empty.JPG"] == "cat", "what it holds is for the decoder to say"
    assert ids["cat/more/deep.tiff"] == "cat"
    assert ids["linked/far.png"] == "linked"
    assert {(a.id, a.reason) for a in found.aside} == {
        ("cat/broken.png", "there is no such file"),
        ("dog/pipe.png", "is not a file"),
    }
    assert any("1 loose files" in n for n in found.notes)
    assert any("1 files skipped" in n and ".json" in n for n in found.notes)


def test_folders_of_texts(tmp_path):
    for i in range(25):
        written(tmp_path / "d" / "good" / f"{i}.txt", f"fine thing {i} é", "cp1252" if i == 3 else "utf-8")
        written(tmp_path / "d" / "bad" / f"{i}.txt", f"poor thing {i}")
    written(tmp_path / "d" / "bad" / "blank.txt", " \n")
    task = read(tmp_path / "d")
    assert task.kind == "text"
    assert {e.content for e in task.examples} >= {"fine thing 3 é", "poor thing 4"}
    assert [(a.id, a.reason) for a in task.aside] == [("bad/blank.txt", "empty text")]
    assert says(task, "1 texts are not UTF-8")


def test_captions_beside_images_are_skipped_but_an_even_mixture_is_asked_about(tmp_path):
    root = photos(tmp_path / "d", {"cat": 20, "dog": 20})
    for file in list(root.glob("*/*.png")):
        written(file.with_suffix(".txt"), "a caption")
    assert reading(root).kind == "image"
    for i in range(20):
        written(root / "cat" / f"story{i}.txt", f"once upon {i}")
    with pytest.raises(SourceError, match="--kind image or --kind text"):
        reading(root)
    assert reading(root, kind="text").kind == "text"


def test_one_wrapping_folder_is_looked_through(tmp_path):
    photos(tmp_path / "d" / "archive", {"cat": 20, "dog": 20})
    task = read(tmp_path / "d")
    assert task.objective.names == ("cat", "dog")
    assert says(task, "archive/")


FOLDERS = [
    ({}, "is empty.*no class folders"),
    ({"a.png": b"x"}, "1 loose files but no class folders.*cat/1.jpg"),
    ({"cat/a.png": b"x"}, "one class folder only, 'cat'"),
    ({"train/a.png": b"x", "test/b.png": b"y"}, "holds files but no class folders"),
    ({"train/cat/a.png": b"x", "train/dog/a.png": b"y", "bus/c.png": b"z"}, "beside them bus"),
    ({"cat/a.png": b"x", "dog/b.png": b"y", "labels.csv": b"file,label\n"}, "Which has the labels"),
    ({"test/cat/a.png": b"x", "test/dog/a.png": b"y"}, "One training part"),
    ({"cat/a.xyz": b"x", "dog/b.xyz": b"x"}, "holds cat, dog: no class folders"),
]


@pytest.mark.parametrize(("files", "message"), FOLDERS, ids=lambda v: v if isinstance(v, str) else "")
def test_folders_that_cannot_be_read_say_why(tmp_path, files, message):
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=message):
        read(tmp_path)


def test_a_stray_table_beside_class_folders_is_noted(tmp_path):
    root = photos(tmp_path / "d", {"cat": 20, "dog": 20})
    written(root / "statistics.csv", "a,b\n1,2\n")
    assert says(read(root), "statistics.csv beside the class folders was not read")


# Tables


def reviews(n: int = 60) -> list[tuple[str, str]]:
    return [(f'He said "no, {i}"\nand left; ünïcode', "good" if i % 3 else "bad") for i in range(n)]


def csv_text(delimiter: str, rows) -> str:
    quoted = [[f'"{field.replace(chr(34), chr(34) * 2)}"' for field in row] for row in rows]
    return "".join(delimiter.join(row) + "\r\n" for row in [["text", "label"], *quoted])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_csv_of_any_delimiter_and_encoding(tmp_path, delimiter, encoding):
    file = written(tmp_path / "r.csv", csv_text(delimiter, reviews()), encoding)
    task = read(file)
    assert {(e.content, e.label) for e in task.examples} == {(t.replace("\r\n", "\n"), v) for t, v in reviews()}
    assert task.examples[4].id == "r.csv:4"
    assert says(task, "Windows-1252") == (encoding == "cp1252")
    assert says(task, "Label: column 'label' (2 values)")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_the_same_rows_in_every_format_are_the_same_examples(tmp_path, suffix):
    rows = reviews()
    file = tmp_path / f"r{suffix}"
    if suffix == ".parquet":
        parquet(file, {"text": [t for t, _ in rows], "label": [v for _, v in rows]})
    elif suffix == ".json":
        written(file, json.dumps([{"text": t, "label": v} for t, v in rows]))
    elif suffix == ".jsonl":
        written(file, "\n\n".join(json.dumps({"text": t, "label": v}) for t, v in rows))
    else:
        written(file, csv_text("\t" if suffix == ".tsv" else ",", rows))
    found = reading(file).examples[""]
    assert [(e.content, e.label) for e in found] == rows
    assert [e.digest for e in found] == [digest.of_bytes(t.encode()) for t, _ in rows]
    assert [e.id for e in found] == [f"r{suffix}:{i}" for i in range(len(rows))]


def test_rows_that_cannot_be_used_are_set_aside_by_name(tmp_path):
    lines = [json.dumps({"text": f"text {i}", "label": "ab"[i % 2]}) for i in range(100)]
    lines[3], lines[5] = '{"text": "cut', json.dumps({"text": "  ", "label": "a"})
    lines[8], lines[9] = json.dumps({"text": "no label", "label": None}), json.dumps([1, 2])
    task = read(written(tmp_path / "r.jsonl", "\n".join(lines)))
    assert len(task.examples) == 96
    reasons = {a.id: a.reason for a in task.aside}
    assert reasons["r.jsonl:3"].startswith("line 4: not JSON")
    assert reasons["r.jsonl:5"] == "empty text"
    assert reasons["r.jsonl:8"] == "no label"
    assert reasons["r.jsonl:9"] == "line 10: not a JSON object"


def test_many_unusable_rows_stop(tmp_path):
    rows = [(f"text {i}", "" if i < 10 else "ab"[i % 2]) for i in range(100)]
    with pytest.raises(Stopped, match=r"10 of 100 examples cannot be used.*\n  r.csv:0: no label"):
        read(written(tmp_path / "r.csv", csv_text(",", rows)))


def test_ragged_rows_and_zero_bytes_in_csv(tmp_path):
    rows = "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(60))
    task = read(written(tmp_path / "r.csv", f"text,label\nze\0ro,a\n{rows}one,two,three\n\n"))
    assert [(a.id, a.reason) for a in task.aside] == [("r.csv:61", "has 3 fields, the header has 2")]
    assert task.examples[0].content in {e.content for e in task.examples}
    assert "zero" in {e.content for e in task.examples}
    assert says(task, "1 zero bytes were left out")


def test_a_stray_quotation_mark_never_swallows_rows(tmp_path):
    rows = "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(60))
    with pytest.raises(SourceError, match=r"line .*: .*must be doubled"):
        read(written(tmp_path / "r.csv", f'text,label\n"never closed,a\n{rows}'))
    tabbed = rows.replace(",", "\t")
    task = read(written(tmp_path / "r.tsv", f'text\tlabel\n"never closed\ta\n{tabbed}'))
    assert len(task.examples) == 61
    assert says(task, "ordinary characters")


def test_long_fields_and_the_limit_of_the_csv_module_stays(tmp_path):
    import csv

    before = csv.field_size_limit()
    rows = [("x" * 200_000 + str(i), "ab"[i % 2]) for i in range(8)]
    assert len(read(written(tmp_path / "r.csv", csv_text(",", rows))).examples) == 8
    assert csv.field_size_limit() == before


def test_paths_in_a_table(tmp_path):
    photos(tmp_path / "images", {"a": 30, "b": 30})
    rows = [(f"images/{c}/{i:03}.png", c) for c in "ab" for i in range(30)]
    rows[2] = ("images\\a\\002.png", "a")
    table = written(
        tmp_path / "list.csv", csv_text(",", [*rows, ("images/a/none.png", "a")]).replace("text", "file", 1)
    )
    task = read(table)
    assert task.kind == "image"
    assert content(task.examples[0]) == (tmp_path / "images" / "a" / "000.png").read_bytes()
    assert task.examples[0].id == "images/a/000.png"
    assert [(a.id, a.reason) for a in task.aside] == [("images/a/none.png", "there is no such file")]
    gone = written(tmp_path / "far" / "list.csv", csv_text(",", rows).replace("text", "file", 1))
    with pytest.raises(SourceError, match=rf"none of the 60 images.*{tmp_path}/far/images/a/000.png.*relative to"):
        read(gone)
    web = written(tmp_path / "web.csv", "image,label\nhttps://x.org/1.jpg,a\nhttps://x.org/2.jpg,b\n")
    with pytest.raises(SourceError, match="web addresses"):
        read(web)


def test_paths_relative_to_a_folder_named_like_the_table(tmp_path):
    photos(tmp_path / "train", {"x": 40})
    rows = [(f"x/{i:03}.png", "ab"[i % 2]) for i in range(40)]
    task = read(written(tmp_path / "train.csv", csv_text(",", rows).replace("text", "path", 1)))
    assert len(task.examples) == 40
    assert says(task, f"relative to {tmp_path / 'train'}")


def test_images_in_parquet_are_streamed_in_order(tmp_path):
    images = [picture(i) for i in range(100)]
    labels = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    columns = {"img": layout(images), "label": [i % 2 for i in range(100)]}
    file = parquet(tmp_path / "t.parquet", columns, {"label": labels}, row_group_size=30)
    task = read(file)
    assert task.objective.names == ("cat", "dog")
    assert says(task, "class names")
    some = [e for e in task.examples if e.content.index % 7 == 0]
    assert [c for _, c in stream(some)] == [images[e.content.index] for e in some]
    assert [c for _, c in stream(some[::-1])] == [images[e.content.index] for e in some[::-1]]
    plain = parquet(tmp_path / "p.parquet", {"photo": images, "class": ["a", "b"] * 50})
    assert content(read(plain).examples[99]) == images[99]


def test_empty_cells_and_paths_beside_bytes_in_parquet(tmp_path):
    (tmp_path / "side.png").write_bytes(picture(7))
    images = [picture(i) for i in range(60)]
    images[4] = images[5] = None
    file = parquet(
        tmp_path / "t.parquet",
        {"image": layout(images, ["side.png" if i == 4 else None for i in range(60)]), "label": ["a", "b"] * 30},
    )
    task = read(file)
    assert content(next(e for e in task.examples if e.id == "t.parquet:4")) == picture(7)
    assert [(a.id, a.reason) for a in task.aside] == [("t.parquet:5", "no image")]


def test_what_vanishes_after_reading_is_a_reason_not_a_crash(tmp_path):
    root = photos(tmp_path / "d", {"a": 3, "b": 3})
    examples = reading(root).examples[""]
    (root / "a" / "001.png").unlink()
    (root / "b" / "000.png").write_bytes(b"other")
    found = [c for _, c in stream(examples)]
    assert [isinstance(c, Unreadable) for c in found] == [False, True, False, True, False, False]
    assert "changed" in str(found[3])
    with pytest.raises(Unreadable, match="no such file"):
        content(examples[1])
    file = parquet(
        tmp_path / "t.parquet", {"image": layout([picture(i) for i in range(9)]), "label": ["a", "b", "c"] * 3}
    )
    rows = reading(file).examples[""]
    parquet(file, {"image": layout([picture(i) for i in range(4)]), "label": ["a"] * 4})
    found = [c for _, c in stream(rows)]
    assert [isinstance(c, bytes) for c in found] == [True] * 4 + [False] * 5
    file.write_bytes(b"PAR1 nonsense")
    assert all("can no longer be read" in str(c) for _, c in stream(rows))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux's /proc")
def test_memory_does_not_grow_with_the_table(tmp_path):
    """160 MB of images in one row group: without bounds, reading them takes that much and more."""
    rng = np.random.default_rng(0)
    code = """
import sys
from pathlib import Path
import pyarrow.parquet
from headstart.data.contents import stream
from headstart.core.task import Example; from headstart.core.task import Row
def peak():
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
rows = [Example("", Row(Path(sys.argv[1]), i, "image"), "", 0) for i in range(16000)]
before = peak()
print(sum(len(data) for _, data in stream(rows)), peak() - before)
"""
    images = layout([rng.bytes(10_000) for _ in range(16000)])
    file = parquet(tmp_path / "t.parquet", {"image": images}, row_group_size=16000)
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    total, grown = map(int, done.stdout.split())
    assert total == 160_000_000
    assert grown < 120, f"{grown} MB"


def test_a_split_column_and_a_group_column_are_found(tmp_path):
    lines = [
        json.dumps(
            {"text": f"t {i}", "label": "ab"[i % 2], "split": "Test" if i % 5 == 0 else "train", "group_id": i // 4}
        )
        for i in range(100)
    ]
    task = read(written(tmp_path / "r.jsonl", "\n".join(lines)))
    assert sizes(task) == {"train": 80 - len(task.parts["val"]), "val": len(task.parts["val"]), "test": 20}
    assert says(task, "Parts: column 'split'")
    assert says(task, "Groups: column 'group_id'")
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
    from headstart.data.column_roles import roles
    from headstart.data.tabular import open_sheet

    def value(name, v, i):
        if v in ("same", "x", "y"):
            return v if v == "same" else f"{v} {i}"
        return i % 2 if v == 0 else f"{v}{i % 2}"

    lines = [json.dumps({name: value(name, v, i) for name, v in row.items()}) for i in range(20)]
    sheet = open_sheet(written(tmp_path / "r.jsonl", "\n".join(lines)))
    found = roles(sheet, label=asked.get("label"), input=asked.get("input"), group=None)
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
        read(written(tmp_path / "r.csv", text), **asked)


def numbered(tmp_path: Path, values: list, column: str = "score") -> Path:
    return written(tmp_path / "n.csv", f"text,{column}\n" + "".join(f"text {i},{v}\n" for i, v in enumerate(values)))


def test_numbers_are_classes_or_quantities_or_a_question(tmp_path):
    assert read(numbered(tmp_path, [0, 1, 2] * 30)).objective.names == ("0", "1", "2")
    assert read(numbered(tmp_path, [f"{i / 7:.3f}" for i in range(120)])).objective.link == "identity"
    assert read(numbered(tmp_path, ["007", "008"] * 30)).objective.names == ("007", "008")
    assert read(numbered(tmp_path, [i % 70 for i in range(280)], "label")).objective.width == 70
    stars = numbered(tmp_path, [1, 2, 3, 4, 5] * 30)
    with pytest.raises(SourceError, match="--task classes or --task number"):
        read(stars)
    assert read(stars, task="number").objective.mean == pytest.approx(3, abs=0.3)
    assert read(stars, task="classes").objective.names == ("1", "2", "3", "4", "5")
    with pytest.raises(NameNotFound, match="Did you mean 'classes'"):
        read(stars, task="clases")
    with pytest.raises(SourceError, match="'a' is not a number"):
        read(numbered(tmp_path, ["a", "b"] * 30), task="number")


def test_missing_numbers_are_no_label(tmp_path):
    task = read(numbered(tmp_path, ["nan", "", *(f"{i / 7:.3f}" for i in range(120))]))
    assert [a.reason for a in task.aside] == ["no label", "no label"]
    assert sizes(task)["test"] == pytest.approx(18, abs=2)


def test_the_scale_of_numbers_is_that_of_the_training_part(tmp_path):
    task = read(numbered(tmp_path, [f"{i / 7:.3f}" for i in range(120)]))
    train = np.array([e.label for e in task.part("train")])
    assert task.objective.mean == pytest.approx(train.mean())


def test_tags_in_a_column_and_in_json(tmp_path):
    some = [("red", "round"), ("red",), ("blue", "square")]
    task = read(
        written(tmp_path / "t.csv", "text,tags\n" + "".join(f"t {i},{';'.join(some[i % 3])}\n" for i in range(120)))
    )
    assert task.objective.names == ("blue", "red", "round", "square")
    assert task.examples[0].label == some[int(task.examples[0].id.split(":")[1]) % 3]
    lines = [json.dumps({"text": f"t {i}", "label": [] if i % 10 == 0 else some[i % 3]}) for i in range(120)]
    task = read(written(tmp_path / "t.jsonl", "\n".join(lines)))
    assert Counter(e.label for e in task.examples)[()] == 12
    assert task.objective.link == "sigmoid"


def test_a_folder_of_tables_in_the_hugging_face_way(tmp_path):
    rows = [{"text": f"t {i}", "label": "ab"[i % 2]} for i in range(90)]
    shards = {
        "train-00000-of-00002": rows[:30],
        "train-00001-of-00002": rows[30:60],
        "validation-00000-of-00001": rows[60:75],
    }
    for name, some in shards.items():
        written(tmp_path / "d" / "data" / f"{name}.jsonl", "\n".join(map(json.dumps, some)))
    written(tmp_path / "d" / "README.md", "# a data set")
    written(tmp_path / "d" / "dataset_infos.json", "{}")
    task = read(tmp_path / "d")
    assert sizes(task) == {"train": 50, "val": 10, "test": 15}
    assert task.part("test")[0].id == "data/validation-00000-of-00001.jsonl:0"
    written(tmp_path / "d" / "data" / "test.jsonl", "\n".join(json.dumps({**r, "label": None}) for r in rows[75:]))
    task = read(tmp_path / "d")
    assert sizes(task)["test"] == 15, "a test part without labels leaves validation as the held-out part"
    assert says(task, "Part 'test' is left out: none of its 15 rows has a label")


def test_tables_whose_names_say_no_part_are_a_question_that_can_be_typed(tmp_path):
    for name in ("mnist_train", "mnist_test", "usps_train", "usps_test"):
        written(tmp_path / f"{name}.csv", "text,label\nx,a\ny,b\n")
    with pytest.raises(SourceError, match=r"headstart fit .*mnist_train.csv --test .*mnist_test.csv"):
        read(tmp_path)
    for name in ("usps_train", "usps_test"):
        (tmp_path / f"{name}.csv").unlink()
    assert reading(tmp_path).examples.keys() == {"train", "test"}


def test_a_test_source_is_judged_on_and_strange_classes_are_set_aside(tmp_path):
    main = photos(tmp_path / "a", {"cat": 30, "dog": 30})
    other = photos(tmp_path / "b", {"cat": 30, "dog": 29, "emu": 1}, start=100)
    task = read(main, test=other)
    assert sizes(task) == {"train": 50, "val": 10, "test": 59}
    assert [(a.id, a.reason) for a in task.aside] == [("test:emu/000.png", "'emu' has no training example")]
    assert len({e.id for e in task.examples}) == 119
    table = written(tmp_path / "t.csv", csv_text(",", reviews()))
    with pytest.raises(SourceError, match="data are images, but the test data are texts"):
        read(main, test=table)
    with pytest.raises(SourceError, match=r"No label of the test part.*'emu'.*'cat', 'dog'"):
        read(main, test=photos(tmp_path / "c", {"emu": 3, "gnu": 3}))


def test_validation_stays_when_other_data_are_judged_on(tmp_path):
    photos(tmp_path / "a" / "train", {"cat": 20, "dog": 20})
    photos(tmp_path / "a" / "val", {"cat": 4, "dog": 5}, start=100)
    task = read(tmp_path / "a", test=photos(tmp_path / "b", {"cat": 3, "dog": 3}, start=200))
    assert sizes(task) == {"train": 40, "val": 9, "test": 6}


def test_a_test_table_without_the_label_column_is_named(tmp_path):
    written(tmp_path / "train.csv", csv_text(",", reviews()))
    written(tmp_path / "test.csv", "text\nx\n")
    with pytest.raises(SourceError, match=r"test\.csv has no column 'label'.*headstart fit .*train\.csv"):
        read(tmp_path)


def test_names_and_texts_that_are_no_unicode_are_made_writable(tmp_path):
    root = photos(tmp_path / "d", {"cat": 20, "dog": 20})
    os.rename(os.fsencode(root / "dog"), os.fsencode(root) + b"/d\xf6g")
    task = read(root)
    assert task.objective.names == ("cat", "d?g")
    assert len([c for _, c in stream(task.examples) if isinstance(c, bytes)]) == 40
    lines = [f'{{"text": "half \\ud83d {i}", "label": "{"ab"[i % 2]}"}}' for i in range(40)]
    task = read(written(tmp_path / "r.jsonl", "\n".join(lines)))
    task.examples[0].content.encode()


def test_few_examples_are_cross_validated_and_single_ones_refused(tmp_path):
    task = read(photos(tmp_path / "a", {"cat": 12, "dog": 30}))
    assert sizes(task) == {"train": 42, "val": 0, "test": 0}
    assert (
        Counter(task.folds[:12].tolist()) == {0: 3, 1: 3, 2: 2, 3: 2, 4: 2} or len(set(task.folds[:12].tolist())) == 5
    )
    assert says(task, "5-fold cross-validation")
    with pytest.raises(SourceError, match="fewer than 2 examples: 'cat'"):
        read(photos(tmp_path / "b", {"cat": 1, "dog": 30}))


def test_equal_files_are_counted_and_kept_together(tmp_path):
    root = photos(tmp_path / "d", {"cat": 30, "dog": 30})
    for i in range(10):
        (root / "cat" / f"copy{i}.png").write_bytes((root / "cat" / f"{i:03}.png").read_bytes())
    task = read(root)
    assert says(task, "10 training examples have the bytes of another")
    sides = [{e.digest for e in task.part(p)} for p in ("train", "val", "test")]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]


# Memory


def test_vectors_texts_and_pictures_in_memory():
    x = np.random.default_rng(0).standard_normal((60, 5))
    task = read((x, ["a", "b"] * 30))
    assert task.kind == "vector"
    assert np.frombuffer(content(task.examples[7]), "<f4") == pytest.approx(x[7], rel=1e-6)
    task = read({"train": (x[:40], [0, 1] * 20), "test": (x[40:], [0, 1] * 10)})
    assert sizes(task)["test"] == 20
    assert read(([f"t {i}" for i in range(60)], ["a", "b"] * 30)).kind == "text"
    groups = [str(i // 6) for i in range(60)]
    task = read((x, ["a", "b"] * 30, groups))
    assert not {e.group for e in task.part("train")} & {e.group for e in task.part("test")}
    hot = np.random.default_rng(0).integers(0, 2, (120, 3))
    assert read((np.ones((120, 2)), hot)).examples[5].label == tuple(str(i) for i in np.flatnonzero(hot[5]))


@pytest.mark.parametrize("shape", [(60, 6, 5), (60, 6, 5, 3), (60, 6, 5, 4)])
def test_uint8_pictures_keep_their_pixels(shape):
    pil = pytest.importorskip("PIL.Image")
    import io

    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    task = read((x, [0, 1] * 30))
    for i in (0, 59):
        example = next(e for e in task.examples if e.id == str(i))
        assert np.array_equal(np.asarray(pil.open(io.BytesIO(content(example)))), x[i])


def test_pil_pictures_keep_their_pixels_and_orientation():
    pil = pytest.importorskip("PIL.Image")
    import io

    pictures = [pil.fromarray(np.full((4, 6, 3), i, np.uint8)) for i in range(40)]
    pictures[0].getexif()[0x0112] = 6
    pictures[1] = pictures[1].convert("CMYK")
    found = reading((pictures, [0, 1] * 20)).examples[""]
    turned = pil.open(io.BytesIO(content(found[0])))
    assert turned.getexif()[0x0112] == 6
    assert pil.open(io.BytesIO(content(found[1]))).mode == "CMYK"
    assert np.asarray(pil.open(io.BytesIO(content(found[9]))))[0, 0].tolist() == [9, 9, 9]


def test_paths_in_memory(tmp_path):
    files = sorted(photos(tmp_path, {"a": 4}).glob("*/*.png"))
    assert reading((files, [0, 1, 0, 1])).kind == "image"
    assert reading(([str(f) for f in files], [0, 1, 0, 1])).kind == "image"
    found = reading(([*files[:3], tmp_path / "none.png"], [0, 1, 0, 1]))
    assert [(a.id, a.reason) for a in found.aside] == [("3", "there is no such file")]
    assert reading((["a", "b"], None), label="").examples[""][1].label is None


ARRAYS = [
    ((np.ones((3, 2)), ["a", "b"]), "X has 3 examples and there are 2 labels"),
    ((np.ones((3, 2)), None), "y is missing"),
    ((np.ones((3, 4, 4)), [0, 1, 0]), "uint8 from 0 to 255"),
    (("abc", [0, 1, 0]), "X is a str"),
    (([object()] * 3, [0, 1, 0]), "X holds object"),
    ((np.ones((3, 2)), np.ones((3, 2)) * 7), "y has shape"),
    (([], []), "X is empty"),
    (
        {"train": (np.ones((40, 2)), [0, 1] * 20), "test": (np.ones((40, 3)), [0, 1] * 20)},
        "vectors of 2 and of 3 numbers",
    ),
    ({"left": (np.ones((3, 2)), [0, 1, 0])}, "named 'left'"),
    ((1, 2, 3, 4), "A pair"),
    ([1, 2], "type list cannot be read"),
    (None, "type NoneType cannot be read"),
    ("no/such/place", "does not exist"),
    ("hub:", "needs a name"),
]


@pytest.mark.parametrize(("source", "message"), ARRAYS, ids=range(len(ARRAYS)))
def test_nonsense_is_refused_in_words(source, message):
    with pytest.raises(SourceError, match=message):
        read(source)


def test_a_misspelt_path_and_an_unknown_suffix(tmp_path):
    photos(tmp_path / "photos", {"a": 1, "b": 1})
    with pytest.raises(SourceError, match=r"does not exist. Did you mean .*photos\?"):
        read(tmp_path / "fotos")
    with pytest.raises(SourceError, match=r"unknown suffix '\.zip'"):
        read(written(tmp_path / "x.zip", "x"))
    with pytest.raises(SourceError, match=r"no kind 'images'\. Did you mean 'image'"):
        read(tmp_path / "photos", kind="images")
    with pytest.raises(SourceError, match="--label is for tables"):
        read(tmp_path / "photos", label="x")
    with pytest.raises(SourceError, match="Git LFS pointer"):
        read(written(tmp_path / "x.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"))


# The hub


def test_a_data_set_of_the_hub(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    columns = {"image": [{"bytes": picture(i), "path": None} for i in range(60)], "label": [i % 2 for i in range(60)]}
    train = datasets.Dataset.from_dict(columns, features=features)
    hidden = datasets.Dataset.from_dict({**columns, "label": [-1] * 60}, features=features)
    whole = datasets.DatasetDict(
        {"train": train, "validation": train.select(range(20)).flatten_indices(), "test": hidden}
    )
    whole["unsupervised"] = hidden
    whole.save_to_disk(str(tmp_path / "d"))
    asked = []

    def load_dataset(name, configuration):
        asked.append((name, configuration))
        return datasets.load_from_disk(str(tmp_path / "d"))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    task = read("hub:owner/pets:small")
    assert asked == [("owner/pets", "small")]
    assert task.objective.names == ("cat", "dog")
    assert sizes(task)["test"] == 20, "hidden labels leave validation as the held-out part"
    assert [c for _, c in stream(task.part("test"))] == [picture(i) for i in range(20)]
    assert says(task, "Splits left out")
    assert task.examples[0].id.startswith("train/")


def test_the_hub_offline_and_without_its_library(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def load_dataset(name, configuration):
        raise ConnectionError("Couldn't reach 'owner/pets' on the Hub (OfflineModeIsEnabled)")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(SourceError, match=r"neither in the cache nor reachable.*load_dataset\('owner/pets'\)"):
        read("hub:owner/pets")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"headstart\[hub\]"):
        read("hub:owner/pets")


# Real data

REAL = {
    "cifar10": ("image", 10, 10000),
    "flowers102_64px": ("image", 102, 6149),
    "hymenoptera": ("image", 2, 153),
    "neu_defects": ("image", 6, 360),
    "spoken_digits_spectrogram": ("image", 10, 300),
    "text_agnews": ("text", 4, 3000),
    "text_amazon_domains": ("text", 2, 1600),
    "text_banking77": ("text", 77, 3080),
    "text_sms_spam": ("text", 2, 1000),
    "text_sst2": ("text", 2, 1821),
    "text_trec6": ("text", 6, 500),
    "trashnet": ("image", 6, 505),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_read_without_being_asked(real_data, name):
    task = read(real_data / name)
    assert (task.kind, task.objective.width, len(task.parts["test"])) == REAL[name]
    assert len(task.parts["val"]) > 0
    assert not task.aside
    example = task.part("test")[-1]
    found = content(example)
    assert digest.of_bytes(found.encode() if isinstance(found, str) else found) == example.digest


def test_real_data_that_need_a_word(real_data):
    for name, words in (
        ("pacs", "4 tables, and their names do not say"),
        ("digits_mnist_usps", r"mnist_train.parquet --test .*mnist_test.parquet"),
        ("text_shakespeare", "no column left that could be the label"),
        ("imagenet_samples", "1,000 of 1,000 classes have fewer than 2 examples"),
    ):
        with pytest.raises(SourceError, match=words):
            read(real_data / name)
    task = read(
        real_data / "digits_mnist_usps" / "usps_train.parquet",
        test=real_data / "digits_mnist_usps" / "usps_test.parquet",
    )
    assert sizes(task)["test"] == 2007
    with pytest.raises(SourceError, match="--task classes or --task number"):
        read(real_data / "text_amazon_domains", label="rating")
    assert "NUM:dist" in read(real_data / "text_trec6", label="fine").objective.names


def test_folders_are_read_fast_and_wake_nothing_heavy(real_data):
    code = """
import sys, time
import numpy
start = time.perf_counter()
from headstart.data.read import read
read(sys.argv[1])
heavy = [m for m in ("PIL", "pyarrow", "torch", "scipy", "sklearn", "datasets", "csv") if m in sys.modules]
print(time.perf_counter() - start, *heavy)
"""
    best = []
    for _ in range(3):
        line = [sys.executable, "-c", code, str(real_data / "hymenoptera")]
        seconds, *heavy = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()
        assert set(heavy) <= {"csv"}
        best.append(float(seconds))
    assert min(best) < 0.6, f"{min(best):.2f} s; 0.15 s on 2 idle cores"


def test_a_stream_takes_texts_and_bytes_as_they_are():
    given = [
        Example("a", "text", "", 0),
        Example("b", b"bytes", "", 0),
        Example("c", Row(Path("/none.parquet"), 0, "x"), "", 0),
    ]
    found = [c for _, c in stream(given)]
    assert found[:2] == ["text", b"bytes"]
    assert isinstance(found[2], Unreadable)
    assert [str(mark) for mark in contents.hashed(["/none"])] == ["there is no such file"]


@given(
    st.sampled_from([".csv", ".tsv", ".jsonl", ".json", ".parquet"]),
    st.one_of(
        st.binary(max_size=200),
        st.text('text,label;|\t"\n\r\0 ab1.{}[]:', max_size=200).map(str.encode),
        st.lists(st.dictionaries(st.sampled_from(["text", "label", "split", "group", "x"]), anything), max_size=12).map(
            lambda rows: "\n".join(map(json.dumps, rows)).encode()
        ),
    ),
)
@settings(max_examples=120, deadline=None)
def test_any_bytes_give_a_task_or_a_message(suffix, data):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"r{suffix}"
        file.write_bytes(data)
        try:
            task = read(file)
        except HeadstartError:
            return
        assert len(task.examples) == sum(map(len, task.parts.values())) > 1
