"""What was fitted is what is asked: under its contract a source is read again as it was read, row by row."""

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.core.errors import HeadstartError, SourceError
from headstart.core.input_contract import CONTRACT_RULE, InputContract, restore
from headstart.core.options import DataOptions
from headstart.core.result import SetAside
from headstart.data.contents import iter_contents
from headstart.data.read import read_source
from headstart.data.read_inputs import read_inputs
from tests.support.sources import png_bytes, write_text

words = st.text("abcdefg äéß東,;\"'\n\\", min_size=1, max_size=12)
cells = st.one_of(words.map(lambda w: f"some words {w}"), st.just(""), st.just("   "))
labels = st.one_of(st.sampled_from(["a", "b", "3.1", "3.10"]), st.just(""))
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])


def seen(items) -> dict[str, object]:
    """Content of every readable item, and the reason of the others, by id."""
    items = list(items)
    found = {e.id: content for e, content in iter_contents([i for i in items if not isinstance(i, SetAside)])}
    return {i.id: i.reason if isinstance(i, SetAside) else found[i.id] for i in items}


def check_read_again(source: object, rows: int, options: DataOptions = DataOptions()) -> None:
    """One answer a row, in order; the learned examples the same; what was set aside has its reason at its place."""
    try:
        fitted = read_source(source, options)
    except HeadstartError:
        return
    assert fitted.contract is not None
    contract = restore(fitted.contract.facts(), fitted.kind)
    assert contract == fitted.contract
    asked = list(read_inputs(source, contract))
    again = seen(asked)
    assert len(asked) == len(again) == rows
    learned = seen(e for part in fitted.examples.values() for e in part)
    root = f"{source}/" if fitted.contract.container == "folder" else ""
    assert {root + id: value for id, value in learned.items()}.items() <= again.items()
    for left in fitted.aside:
        assert left.reason == "no label" or again[root + left.id] == left.reason
    order = [i.id for i in asked]
    places = {row.id: n for n, row in enumerate(fitted.rows)}
    assert [places[id.removeprefix(root)] for id in order] == sorted(places[id.removeprefix(root)] for id in order)


@given(
    st.lists(st.tuples(cells, labels, st.booleans()), min_size=4, max_size=14),
    encodings,
    st.sampled_from(",;\t"),
    st.sampled_from(["text", "question", "Frage"]),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_a_table_that_was_fitted_is_read_again(rows, encoding, delimiter, column, other):
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter)
    writer.writerow(["text" if other and column != "text" else "nr", column, "label"])
    count = 0
    for n, (cell, label, blank) in enumerate(rows):
        if blank:
            buffer.write("\r\n")
        writer.writerow([f"thanks {n // 3}", cell, label])
        count += 1 + blank
    with tempfile.TemporaryDirectory() as folder:
        file = write_text(Path(folder) / "t.csv", buffer.getvalue(), encoding)
        check_read_again(file, count, DataOptions(input=column, label="label"))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.text("xy-_ é.", min_size=1, max_size=5), st.booleans()),
             min_size=4, max_size=12, unique_by=lambda f: (f[0], f[1].casefold())),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_folder_that_was_fitted_is_read_again(files, parts):
    with tempfile.TemporaryDirectory() as folder:
        root, count = Path(folder) / "my photos", 0
        for n, (label, name, deep) in enumerate(files):
            place = root / ("train" if parts else "") / label / ("a-b" if deep else "")
            place.mkdir(parents=True, exist_ok=True)
            (place / f"n{name}.png").write_bytes(png_bytes(n))
            count += 1
        check_read_again(root, count)


@given(st.lists(st.tuples(st.one_of(cells, st.none()), labels), min_size=4, max_size=12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_frame_that_was_fitted_is_read_again(rows, shuffled):
    pd = pytest.importorskip("pandas")
    columns = {"text": [t for t, _ in rows], "other": [f"thanks {n // 2}" for n in range(len(rows))]}
    frame = pd.DataFrame({**columns, "label": [v for _, v in rows]}, index=range(len(rows), 0, -1))
    frame = frame[["label", "other", "text"]] if shuffled else frame
    check_read_again(frame, len(rows))
    if all(text is None for text, _ in rows):
        with pytest.raises(SourceError, match="no value in 'text'"):
            read_source((frame[["text", "other"]], list(frame["label"])))
        return
    pair = read_source((frame[["text", "other"]], list(frame["label"])))
    assert [i.id for i in read_inputs(frame, pair.contract)] == [str(n) for n in range(len(rows))]


LAYOUTS = {
    "beside": (lambda n: f"{n}.png", "images"),
    "windows": (lambda n: f"images\\{n}.png", ""),
    "spaces": (lambda n: f" images/{n}.png ", ""),
    "ids": (str, "images"),
    "named like the table": (lambda n: f"{n}.png", "{table}"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_paths_are_found_as_they_were_fitted(tmp_path, layout):
    value, base = LAYOUTS[layout]
    pictures = tmp_path / ("train" if base == "{table}" else "images")
    pictures.mkdir()
    rows = [("image", "label")]
    for n in range(24):
        (pictures / f"{n}.png").write_bytes(png_bytes(n))
        rows.append((value(n), "ab"[n % 2]))
    file = write_text(tmp_path / "train.csv", "".join(",".join(row) + "\n" for row in rows))
    fitted = read_source(file)
    assert (fitted.kind, fitted.contract.base) == ("image", base)
    check_read_again(file, 24)
    new = write_text(tmp_path / "new" / "test.csv", f"image\n{value(30)}\n{value(31)}\n")
    place = new.parent / ("test" if base == "{table}" else "images")
    place.mkdir()
    (place / "30.png").write_bytes(png_bytes(30))
    assert list(seen(read_inputs(new, fitted.contract)).values()) == [png_bytes(30), "there is no such file"]


def test_what_contradicts_the_contract_is_refused(tmp_path):
    texts = InputContract(kind="text", form="text", columns=("question",))
    table = write_text(tmp_path / "new.csv", "text,label\nhello there,a\n")
    with pytest.raises(SourceError, match=r"no column 'question', which the model learned from.*--input COLUMN"):
        list(read_inputs(table, texts))
    assert [e.content for e in read_inputs(table, texts, "text")] == ["hello there"]
    with pytest.raises(SourceError, match="feature vectors; the model reads texts"):
        list(read_inputs((np.ones((3, 2)), None), texts))


@pytest.mark.parametrize(
    "facts",
    [{"kind": "text", "base": "../up"}, {"kind": "text", "base": "/etc"}, {"kind": "text", "base": ".."},
     {"kind": "text", "suffixes": ["/../x"]}, {"kind": "text", "columns": [3]}, {"kind": "text", "form": "shell"}],
)  # fmt: skip
def test_a_strangers_contract_cannot_lead_elsewhere(facts):
    assert CONTRACT_RULE(facts)
    assert not CONTRACT_RULE({"kind": "image", "base": "images", "suffixes": [".jpg"], "columns": ["a b"]})
    assert restore(None, "text") == InputContract(kind="text")
