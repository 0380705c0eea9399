"""Values that no one means: halves of characters, numbers without end, missing ones, more classes than memory holds."""

import datetime
import io
import json
import time
import zlib

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from headstart.core import memory
from headstart.core.errors import SourceError, Unreadable
from headstart.core.options import DataOptions
from headstart.data import columnar, price, tabular
from headstart.data.contents import read_content
from headstart.data.image_formats import open_image
from headstart.data.objectives import classes, number, tags
from headstart.data.read import read, read_source
from tests.support.sources import has_note, png_bytes, write_text

N = 120
X = np.random.default_rng(0).standard_normal((N, 4)).astype(np.float32)
Y = ["ab"[i % 2] for i in range(N)]
HALF = "\ud800"


def everything_that_is_text(task) -> list[str]:
    texts = [t for e in task.examples for t in (e.id, e.group, e.content, e.label) if isinstance(t, str)]
    return [*texts, *(t for e in task.examples if isinstance(e.label, tuple) for t in e.label), *task.notes]


@pytest.mark.parametrize(
    "row",
    [
        {"text": f"a{HALF}b {{}}", "label": "x"},
        {"text": "hello {}", "label": f"x{HALF}"},
        {"text": "hello {}", "label": ["x", f"y{HALF}"]},
        {"text": "hello {}", "label": "x", f"col{HALF}": 1},
        {"text": "hello {}", "label": "x", "group": f"g{HALF}{{}}"},
        {"text": "hello {}", "label": "x", "extra": {f"deep{HALF}": [HALF]}},
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_halves_of_characters_become_text_that_can_be_written(tmp_path, row, suffix):
    other = {**row, "label": ["z"] if isinstance(row["label"], list) else "z"}
    rows = [
        {k: v.format(i) if isinstance(v, str) else v for k, v in (row if i % 2 else other).items()} for i in range(120)
    ]
    text = json.dumps(rows) if suffix == ".json" else "\n".join(map(json.dumps, rows))
    task = read(write_text(tmp_path / f"t{suffix}", text))
    for value in everything_that_is_text(task):
        value.encode()
    with pytest.raises(SourceError) as refusal:
        read(tmp_path / f"t{suffix}", DataOptions(label="none"))
    str(refusal.value).encode()


def test_halves_of_characters_stay_two_names_and_come_in_by_no_other_door(tmp_path):
    task = read((X, [f"x{HALF}" if i % 2 else "x\ud801" for i in range(N)]))
    assert task.objective.names == ("x\\ud800", "x\\ud801")
    read(([f"t{HALF} {i}" for i in range(N)], Y)).examples[0].content.encode()
    assert read((X, Y, [f"g{HALF}{i}" for i in range(N)])).examples[0].group.isascii()
    cells = [r'["a\ud800", "b"]', "['c\\ud801']"]
    for found in tags.split_tags(cells) or ():
        [tag.encode() for tag in found]


@pytest.mark.parametrize("cell", ["[" * 5000 + "]" * 5000, "[1, 2}]", "[{}.x]", f"[{'9' * 5000}]", "[{[]: 1}]"])
def test_a_cell_that_is_no_list_of_tags_is_refused(cell):
    with pytest.raises(SourceError, match="not a list of tags"):
        tags.split_tags([cell])


def test_deep_and_odd_json_is_no_crash(tmp_path):
    deep = "[" * 100_000 + "]" * 100_000
    good = [json.dumps({"text": f"t {i}", "label": "ab"[i % 2]}) for i in range(60)]
    lines = [
        f'{{"text": {deep}, "label": "a"}}',
        '{"text": "\\ud800 ' + "x" * 99 + f'", "label": {"[" * 600}1{"]" * 600}}}',
    ]
    found = read_source(write_text(tmp_path / "d.jsonl", "\n".join([*good, *lines])), DataOptions(task="classes"))
    assert len(found.examples[""]) >= 60 and "not JSON" in found.aside[0].reason
    with pytest.raises(SourceError):
        read(write_text(tmp_path / "e.json", deep))


MISSING = {
    "masked rows": lambda: (np.ma.masked_array(X, np.repeat(np.arange(N) == 5, 4)), Y),
    "masked list": lambda: ([np.ma.masked_array(x, i == 5) for i, x in enumerate(X)], Y),
    "masked whole numbers": lambda: (np.ma.masked_array((100 * X).astype(int), np.repeat(np.arange(N) == 5, 4)), Y),
    "None in objects": lambda: (np.where(np.arange(N)[:, None] == 5, None, X.astype(object)), Y),
    "masked labels": lambda: (X, np.ma.masked_array(np.arange(N) % 2, np.arange(N) == 5)),
    "a masked label": lambda: (X, [np.ma.masked if i == 5 else y for i, y in enumerate(Y)]),
}


@pytest.mark.parametrize("case", MISSING)
def test_a_missing_value_is_no_value(case):
    found = read_source(MISSING[case]())
    kept = {e.id: e for e in found.examples[""]}
    if "5" in kept:  # a vector's numbers are looked at by the preprocessing, which sets NaN aside
        assert np.isnan(np.frombuffer(read_content(kept["5"]), "<f4")).all()
    else:
        assert [(a.id, a.reason) for a in found.aside] == [("5", "no label")]
    assert all(np.isfinite(np.frombuffer(read_content(e), "<f4")).all() for i, e in kept.items() if i != "5")
    assert {type(e.label) for e in kept.values()} <= {str, int}


def test_missing_values_of_table_libraries():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd")).convert_dtypes()
    frame.iloc[5, 2] = pd.NA
    numbers = pd.Series([None if i == 5 else i % 2 for i in range(N)], dtype="Int64")
    found = read_source((frame, numbers))
    assert found.kind == "vector" and [a.id for a in found.aside] == ["5"]
    assert {e.label for e in found.examples[""]} == {0, 1}
    assert read_source((pd.DataFrame({"t": [f"t {i}" for i in range(N)]}), Y)).kind == "text"
    with pytest.raises(SourceError, match="Column 's' of a frame holds str"):
        read((frame.assign(s="x"), Y))
    pa = pytest.importorskip("pyarrow")
    found = read_source((pa.table({"a": X[:, 0], "b": X[:, 1]}), pa.array([None, *Y[1:]])))
    assert found.kind == "vector" and [a.id for a in found.aside] == ["0"]


REFUSED = {
    "no column": ((X[:, :0], Y), "no column"),
    "denormal": ((X * np.float32(1e-40), Y), "another unit"),
    "tiny doubles": ((X.astype(float) * 1e-300, Y), "another unit"),
    "records": ((np.zeros(N, [("a", float)]), Y), "X holds void"),
    "complex": ((X + 1j, Y), "complex64"),
    "times": ((np.full((N, 2), np.datetime64("2020-01-01")), Y), "datetime64"),
    "records for labels": ((X, np.zeros(N, [("a", float), ("b", int)])), "y holds"),
    "times for labels": ((X, np.arange(N).astype("datetime64[ns]")), "y holds datetime64"),
    "spans for labels": ((X, np.arange(N).astype("timedelta64[s]")), "y holds timedelta64"),
    "complex labels": ((X, X[:, 0] + 1j), "y holds complex"),
    "a list of times": ((X, list(np.arange(N).astype("datetime64[ns]"))), "of type datetime64"),
    "dates": ((X, [datetime.date(2020, 1, 1 + i % 9) for i in range(N)]), "of type date"),
    "numbers without end": ((X, 1e307 * X[:, 0].astype(float)), "beyond 1e.100"),
    "numbers that differ by nothing": ((X, 1e-200 * X[:, 0].astype(float)), "another unit"),
    "rounding": ((X, 0.1 + 1e-18 * np.arange(N)), "nothing to learn"),
    "one number": ((X, np.full(N, 2.5)), "nothing to learn"),
    "equal examples": ((np.ones((N, 2)), [("a",), ("b",), ()] * 40), "equal or of one group"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_holds_nothing_to_learn_from_is_refused(case):
    source, words = REFUSED[case]
    with pytest.raises(SourceError, match=words):
        read(source)


def test_what_float32_cannot_hold_is_not_taken_for_infinity():
    x = X.astype(float)
    x[3] = 1e300
    row = np.frombuffer(read_content(next(e for e in read((x, Y)).examples if e.id == "3")), "<f4")
    assert np.isfinite(row).all() and row[0] > 1e38
    assert isinstance(read((X, [10**400 + i % 2 for i in range(N)])).objective, classes.Classes)


def test_a_label_far_out_of_the_training_labels_is_named():
    objective = number.of([0.0, 1.0, 2.0])
    with pytest.raises(SourceError, match=r"The label 1e\+50 is"):
        objective.encode([1e50])
    with pytest.raises(SourceError, match="not a number"):
        number.of([10**400, 1])


@pytest.mark.parametrize(("kind", "count", "width"), [(classes, 100_000, 0), (tags, 100_000, 0), (number, 1, 200_000)])
def test_what_memory_cannot_hold_is_priced_and_refused(monkeypatch, kind, count, width):
    labels = [f"c{i}" for i in range(count)] if kind is classes else [(f"c{i}",) for i in range(count)]
    objective = number.of([1.0, 2.0]) if kind is number else kind.of(labels)
    monkeypatch.setattr(price, "total_memory", lambda: 16 << 30)
    with pytest.raises(SourceError, match=r"takes about [\d,]+ GB.*has 17 GB.*(Leave out|Use fewer)"):
        price.check_price(200_000, objective, width)
    assert price.check_price(500, classes.of(list("ab")), 512) == []
    monkeypatch.setattr(price, "total_memory", lambda: 1 << 50)
    assert "GB of memory" in price.check_price(200_000, objective, width)[0]


def test_a_task_is_priced_when_it_is_read(monkeypatch):
    monkeypatch.setattr(price, "total_memory", lambda: 20_000)
    with pytest.raises(SourceError, match="120 examples of 2 classes, 4 columns: fitting them takes"):
        read((X, Y))
    monkeypatch.setattr(price, "WORTH_SAYING", 10)
    monkeypatch.setattr(price, "total_memory", lambda: 1 << 40)
    assert has_note(read((X, Y)), "GB of memory")


def test_the_report_of_many_classes_leaves_their_square_out():
    k = classes.MAX_CONFUSIONS + 1
    objective = classes.of([f"c{i}" for i in range(k)])
    y = np.arange(k)
    details = objective.details(np.eye(k, dtype=np.float32)[np.minimum(y, 5)], y)
    assert details["confusion"] == [] and [r["recall"] for r in details["per_class"][:7]] == [1.0] * 6 + [0.0]


def test_a_table_of_text_that_memory_cannot_hold_is_refused(tmp_path, monkeypatch):
    with open(tmp_path / "t.csv", "wb") as file:
        file.write(b"text,label\n")
        file.truncate(1 << 40)
    with pytest.raises(SourceError, match="Split it into shards"):
        read(tmp_path / "t.csv")
    monkeypatch.setattr(tabular, "total_memory", lambda: 10_000)
    with pytest.raises(SourceError, match="claims 60 rows"):
        read(write_text(tmp_path / "r.csv", "text,label\n" + "".join(f"t{i},a\n" for i in range(60))))
    assert 1 << 28 < memory.total_memory() < 1 << 50


def test_a_parquet_file_that_names_one_long_text_again_and_again_stays_small(tmp_path, monkeypatch):
    """A hundred kilobytes, named a thousand times."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    n, long = 2_000, "word " * 20_000
    texts = pa.DictionaryArray.from_arrays(pa.array(np.arange(n) % 40 % 3, pa.int32()), [long, "short", "other"])
    plain = {"text": texts, "label": ["ab"[i % 2] for i in range(n)]}
    schema = pa.schema([("text", pa.string()), ("label", pa.string())])
    with parquet.ParquetWriter(tmp_path / "t.parquet", schema, dictionary_pagesize_limit=1 << 26) as writer:
        for start in range(0, n, 500):  # as much of it as is made at once
            part = pa.array(texts[start : start + 500].to_pylist(), pa.string())
            writer.write_table(pa.table([part, plain["label"][start : start + 500]], schema=schema), row_group_size=500)
    values = tabular.open_sheet(tmp_path / "t.parquet").values("text")
    assert len(values) == n and len({id(v) for v in values}) < n / 100
    monkeypatch.setattr(columnar, "total_memory", lambda: 1 << 20)
    with pytest.raises(SourceError, match="unpacks to"):
        tabular.open_sheet(tmp_path / "t.parquet").values("text")


def test_no_image_format_is_opened_that_is_not_allowed():
    PIL = pytest.importorskip("PIL")
    pil = pytest.importorskip("PIL.Image")
    assert open_image(png_bytes(1)).size == (5, 4)
    for refused in ("PCX", "SGI", "TGA", "ICNS", "PDF"):
        buffer = io.BytesIO()
        pil.new("RGB", (64, 64)).save(buffer, refused)
        with pytest.raises(PIL.UnidentifiedImageError):
            open_image(buffer.getvalue())
    with pytest.raises(PIL.UnidentifiedImageError):
        open_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    header = b"IHDR" + (13_500).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    with pytest.raises(Unreadable, match="million"):
        open_image(b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4, "big") + b"\0\0\0\0IDAT")


def test_what_is_nested_without_end_is_a_bad_row_wherever_it_stands(tmp_path):
    rows = [json.dumps({"text": f"hello {i}", "label": "xy"[i % 2]}) for i in range(120)]
    for row, place in enumerate(("text", "label", "extra")):
        deep = "[" * 500 + "1" + "]" * 500
        rows[row] = rows[row][:-1] + f', "{place}": {deep}}}'
    task = read(write_text(tmp_path / "t.jsonl", "\n".join(rows)), DataOptions(task="classes"))
    assert len(task.examples) == 117
    assert all("more than 100 lists or objects in one another" in aside.reason for aside in task.aside[:3])


def test_a_date_that_no_calendar_has_is_damage(tmp_path):
    dates = pa.array([2**30, 1] * 20, pa.date32())
    parquet.write_table(pa.table({"text": [f"t {i}" for i in range(40)], "label": dates}), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="column 'label' is damaged"):
        read(tmp_path / "t.parquet")


def test_a_table_of_very_many_columns_is_read_in_their_number_and_not_its_square(tmp_path):
    many = "," * 50_000
    rows = [f"{many}hello {i},{'xy'[i % 2]}" for i in range(40)]
    head = "".join(f"c{i}," for i in range(50_000)) + "text,label"
    began = time.process_time()
    assert len(read(write_text(tmp_path / "t.csv", "\n".join([head, *rows]))).examples) == 40
    assert time.process_time() - began < 10, "seconds; it was a minute"
