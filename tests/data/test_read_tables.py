"""Tables: any delimiter, encoding and format; rows that cannot be used; images and paths in cells."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.core import digest
from headstart.core.errors import HeadstartError, SourceError, Stopped
from headstart.data.contents import iter_contents, read_content
from headstart.data.read import read, read_source
from tests.support.sources import (
    csv_text,
    has_note,
    image_column,
    png_bytes,
    reviews,
    write_class_folders,
    write_parquet,
    write_text,
)

anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("a")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=2)),
    max_leaves=4,
)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_csv_of_any_delimiter_and_encoding(tmp_path, delimiter, encoding):
    file = write_text(tmp_path / "r.csv", csv_text(delimiter, reviews()), encoding)
    task = read(file)
    assert {(e.content, e.label) for e in task.examples} == {(t.replace("\r\n", "\n"), v) for t, v in reviews()}
    assert task.examples[4].id == "r.csv:4"
    assert has_note(task, "Windows-1252") == (encoding == "cp1252")
    assert has_note(task, "Label: column 'label' (2 values)")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_the_same_rows_in_every_format_are_the_same_examples(tmp_path, suffix):
    rows = reviews()
    file = tmp_path / f"r{suffix}"
    if suffix == ".parquet":
        write_parquet(file, {"text": [t for t, _ in rows], "label": [v for _, v in rows]})
    elif suffix == ".json":
        write_text(file, json.dumps([{"text": t, "label": v} for t, v in rows]))
    elif suffix == ".jsonl":
        write_text(file, "\n\n".join(json.dumps({"text": t, "label": v}) for t, v in rows))
    else:
        write_text(file, csv_text("\t" if suffix == ".tsv" else ",", rows))
    found = read_source(file).examples[""]
    assert [(e.content, e.label) for e in found] == rows
    assert [e.digest for e in found] == [digest.of_bytes(t.encode()) for t, _ in rows]
    assert [e.id for e in found] == [f"r{suffix}:{i}" for i in range(len(rows))]


def test_rows_that_cannot_be_used_are_set_aside_by_name(tmp_path):
    lines = [json.dumps({"text": f"text {i}", "label": "ab"[i % 2]}) for i in range(100)]
    lines[3], lines[5] = '{"text": "cut', json.dumps({"text": "  ", "label": "a"})
    lines[8], lines[9] = json.dumps({"text": "no label", "label": None}), json.dumps([1, 2])
    task = read(write_text(tmp_path / "r.jsonl", "\n".join(lines)))
    assert len(task.examples) == 96
    reasons = {a.id: a.reason for a in task.aside}
    assert reasons["r.jsonl:3"].startswith("line 4: not JSON")
    assert reasons["r.jsonl:5"] == "empty text"
    assert reasons["r.jsonl:8"] == "no label"
    assert reasons["r.jsonl:9"] == "line 10: not a JSON object"


def test_many_unusable_rows_stop(tmp_path):
    rows = [("" if i < 10 else f"text {i}", "ab"[i % 2]) for i in range(100)]
    with pytest.raises(Stopped, match=r"10 of 100 examples cannot be used.*\n  r.csv:0: empty text"):
        read(write_text(tmp_path / "r.csv", csv_text(",", rows)))


def test_ragged_rows_and_zero_bytes_in_csv(tmp_path):
    rows = "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(60))
    task = read(write_text(tmp_path / "r.csv", f"text,label\nze\0ro,a\n{rows}one,two,three\n\n"))
    assert [(a.id, a.reason) for a in task.aside] == [("r.csv:61", "has 3 fields, the header has 2")]
    assert task.examples[0].content in {e.content for e in task.examples}
    assert "zero" in {e.content for e in task.examples}
    assert has_note(task, "1 zero bytes were left out")


def test_a_stray_quotation_mark_never_swallows_rows(tmp_path):
    rows = "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(60))
    with pytest.raises(SourceError, match=r"line .*: .*must be doubled"):
        read(write_text(tmp_path / "r.csv", f'text,label\n"never closed,a\n{rows}'))
    tabbed = rows.replace(",", "\t")
    task = read(write_text(tmp_path / "r.tsv", f'text\tlabel\n"never closed\ta\n{tabbed}'))
    assert len(task.examples) == 61
    assert has_note(task, "ordinary characters")


def test_long_fields_and_the_limit_of_the_csv_module_stays(tmp_path):
    import csv

    before = csv.field_size_limit()
    rows = [("x" * 200_000 + str(i), "ab"[i % 2]) for i in range(8)]
    assert len(read(write_text(tmp_path / "r.csv", csv_text(",", rows))).examples) == 8
    assert csv.field_size_limit() == before


def test_paths_in_a_table(tmp_path):
    write_class_folders(tmp_path / "images", {"a": 30, "b": 30})
    rows = [(f"images/{c}/{i:03}.png", c) for c in "ab" for i in range(30)]
    rows[2] = ("images\\a\\002.png", "a")
    table = write_text(
        tmp_path / "list.csv", csv_text(",", [*rows, ("images/a/none.png", "a")]).replace("text", "file", 1)
    )
    task = read(table)
    assert task.kind == "image"
    assert read_content(task.examples[0]) == (tmp_path / "images" / "a" / "000.png").read_bytes()
    assert task.examples[0].id == "images/a/000.png"
    assert [(a.id, a.reason) for a in task.aside] == [("images/a/none.png", "there is no such file")]
    gone = write_text(tmp_path / "far" / "list.csv", csv_text(",", rows).replace("text", "file", 1))
    with pytest.raises(SourceError, match=rf"none of the 60 images.*{tmp_path}/far/images/a/000.png.*relative to"):
        read(gone)
    web = write_text(tmp_path / "web.csv", "image,label\nhttps://x.org/1.jpg,a\nhttps://x.org/2.jpg,b\n")
    with pytest.raises(SourceError, match="web addresses"):
        read(web)


def test_paths_relative_to_a_folder_named_like_the_table(tmp_path):
    write_class_folders(tmp_path / "train", {"x": 40})
    rows = [(f"x/{i:03}.png", "ab"[i % 2]) for i in range(40)]
    task = read(write_text(tmp_path / "train.csv", csv_text(",", rows).replace("text", "path", 1)))
    assert len(task.examples) == 40
    assert has_note(task, f"relative to {tmp_path / 'train'}")


def test_images_in_parquet_are_streamed_in_order(tmp_path):
    images = [png_bytes(i) for i in range(100)]
    labels = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    columns = {"img": image_column(images), "label": [i % 2 for i in range(100)]}
    file = write_parquet(tmp_path / "t.parquet", columns, {"label": labels}, row_group_size=30)
    task = read(file)
    assert task.objective.names == ("cat", "dog")
    assert has_note(task, "class names")
    some = [e for e in task.examples if e.content.index % 7 == 0]
    assert [c for _, c in iter_contents(some)] == [images[e.content.index] for e in some]
    assert [c for _, c in iter_contents(some[::-1])] == [images[e.content.index] for e in some[::-1]]
    plain = write_parquet(tmp_path / "p.parquet", {"photo": images, "class": ["a", "b"] * 50})
    assert read_content(read(plain).examples[99]) == images[99]


def test_empty_cells_and_paths_beside_bytes_in_parquet(tmp_path):
    (tmp_path / "side.png").write_bytes(png_bytes(7))
    images = [png_bytes(i) for i in range(60)]
    images[4] = images[5] = None
    file = write_parquet(
        tmp_path / "t.parquet",
        {"image": image_column(images, ["side.png" if i == 4 else None for i in range(60)]), "label": ["a", "b"] * 30},
    )
    task = read(file)
    assert read_content(next(e for e in task.examples if e.id == "t.parquet:4")) == png_bytes(7)
    assert [(a.id, a.reason) for a in task.aside] == [("t.parquet:5", "no image")]


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


def test_layouts_of_hugging_face(tmp_path):
    for part, count in (("train", 40), ("test", 10)):
        rows = [("file_name", "label"), *((f"{i}.png", "ab"[i % 2]) for i in range(count))]
        write_text(tmp_path / "photos" / part / "metadata.csv", "".join(f"{a},{b}\n" for a, b in rows))
        for i in range(count):
            (tmp_path / "photos" / part / f"{i}.png").write_bytes(png_bytes(100 * count + i))
    task = read(tmp_path / "photos")
    assert (task.kind, len(task.part("test"))) == ("image", 10)
    datasets = pytest.importorskip("datasets")
    saved = datasets.Dataset.from_dict({"text": [f"some words {i}" for i in range(60)], "label": ["a", "b"] * 30})
    saved.save_to_disk(str(tmp_path / "saved"), num_shards=2)
    assert len(read(tmp_path / "saved").examples) == 60
    parts = datasets.DatasetDict({"train": saved.select(range(40)), "test": saved.select(range(40, 60))})
    parts.save_to_disk(str(tmp_path / "parts"))
    assert len(read(tmp_path / "parts").part("test")) == 20
