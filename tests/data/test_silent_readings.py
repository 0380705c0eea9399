"""What could be read in two ways is asked about, what cannot be read has its reason: nothing is guessed in silence."""

import io
from decimal import Decimal

import numpy as np
import pytest

import headstart
from headstart.core.errors import SourceError
from headstart.core.input_contract import InputContract, restore
from headstart.core.options import DataOptions
from headstart.core.result import SetAside
from headstart.data.collect_inputs import VALUES, WORDS, collect_inputs
from headstart.data.read import read, read_source
from headstart.data.read_inputs import read_inputs
from headstart.data.text_encoding import text_lines
from tests.support.sources import png_bytes, write_text

TEXTS = InputContract(kind="text")


def write_folders(root, *folders: str) -> None:
    """The same 24 names in each folder, with other pictures."""
    for k, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        for n in range(24):
            (root / folder / f"p{n}.png").write_bytes(png_bytes(n + 100 * k))


def write_table(root, name: str = "train.csv", suffix: str = ".png"):
    return write_text(root / name, "image,label\n" + "".join(f"p{n}{suffix},{'ab'[n % 2]}\n" for n in range(24)))


MEANT = {
    ("train.csv", "train_images", "test_images"): "{table}_images",
    ("train.csv", "test", "train"): "{table}",
    ("train.csv", "masks", "images"): "images",
    ("labels.csv", "rgb", "depth"): "",
    ("labels.csv", "train", "test"): "",
    ("labels.csv", "augmented", "original"): "",
}


@pytest.mark.parametrize("layout", MEANT)
@pytest.mark.parametrize("suffix", [".png", ""])
def test_of_several_folders_the_one_that_is_meant_or_a_question(tmp_path, layout, suffix):
    table, *folders = layout
    write_folders(tmp_path, *folders)
    file = write_table(tmp_path, table, suffix)
    if not MEANT[layout]:
        with pytest.raises(SourceError, match="in several folders"):
            read(file)
        return
    task = read(file)
    assert task.contract.base == MEANT[layout]
    if "{table}" in task.contract.base:  # a table of test images has those of its own name
        new = write_table(tmp_path, "test.csv", suffix)
        asked = list(read_inputs(new, restore(task.contract.facts(), "image")))
        assert all("test" in i.content.parent.name for i in asked) and len(asked) == 24


def test_paths_are_no_texts_to_be_joined(tmp_path):
    write_folders(tmp_path, "images")
    rows = "".join(f"images/p{n}.png,a caption of some words {n},{'ab'[n % 2]}\n" for n in range(24))
    file = write_text(tmp_path / "t.csv", f"image,caption,label\n{rows}")
    assert not any("--input" in note for note in read(file).notes)
    with pytest.raises(SourceError, match="'image' holds images"):
        read(file, DataOptions(input="caption,image"))


def test_one_picture_in_colours_is_one():
    photo = np.stack([np.arange(96 * 96, dtype=np.uint8).reshape(96, 96)] * 3, axis=2)
    for one in (photo, photo[:, :, 0]):
        assert len(list(collect_inputs(one, "image", None, None))) == 1
    with pytest.raises(SourceError, match=r"Give X\[None\]"):
        read_source((photo, ["a"] * 96))


LABELS = {
    "arrays of words": ([np.array(["x", "y"]), np.array(["x"]), np.array(["y"])], [("x", "y"), ("x",), ("y",)]),
    "arrays of 0 and 1": ([np.array([1, 1]), np.array([1, 0]), np.array([0, 1])], [("0", "1"), ("0",), ("1",)]),
    "sets": ([{"y", "x"}, {"x"}, {"y"}], [("x", "y"), ("x",), ("y",)]),
    "names with 0 and 1": ([{"x": 1, "y": 1}, {"x": 1, "y": 0}, {"x": 0, "y": 1}], [("x", "y"), ("x",), ("y",)]),
    "a map of Parquet": ([[("x", 1.0), ("y", 1.0)], [("x", 1.0)], [("y", 1.0)]], [("x", "y"), ("x",), ("y",)]),
    "decimals": ([Decimal("1.5"), Decimal("2.25"), Decimal("3.5")], [1.5, 2.25, 3.5]),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_in_other_containers(name):
    labels, expected = LABELS[name]
    task = read(([f"some words {n}" for n in range(30)], labels * 10))
    assert [e.label for e in sorted(task.examples, key=lambda e: int(e.id))][:3] == expected


def test_labels_that_may_be_two_things_are_asked_about(tmp_path):
    with pytest.raises(SourceError, match="lists of fractions"):
        read(([f"some words {n}" for n in range(30)], [[0.0, 0.5], [0.5, 0.5], [1.0, 0.0]] * 10))
    genres = ["Rock|Pop", "Pop", "Rock", "Rock|Jazz", "Jazz"] * 10
    table = write_text(tmp_path / "t.csv", "text,genre\n" + "".join(f"words {n},{g}\n" for n, g in enumerate(genres)))
    with pytest.raises(SourceError, match="made of others"):
        read(table)
    assert read(table, DataOptions(task="tags")).objective.names == ("Jazz", "Pop", "Rock")
    prices = [str(300 + n) if n % 3 else f"{n + 1}.{100 + n}" for n in range(60)]
    table = write_text(tmp_path / "p.csv", "text,price\n" + "".join(f"words {n},{p}\n" for n, p in enumerate(prices)))
    with pytest.raises(SourceError, match="point in them may be a decimal one"):
        read(table)
    assert 1100 in {e.label for e in read(table, DataOptions(decimal="comma")).examples}
    assert 1.1 in {e.label for e in read(table, DataOptions(decimal="point")).examples}


STDIN = {
    "plain": (b"one\r\n\r\nthree\n", None, ["one", None, "three"]),
    "a bad byte": (b"one\ncaf\xe9\n", None, ["one", None]),
    "marked UTF-16": ("one\ncafé\n".encode("utf-16"), None, ["one", "café"]),
    "marked UTF-8": ("café\n".encode("utf-8-sig"), None, ["café"]),
    "named": ("café\n".encode("cp1252"), "cp1252", ["café"]),
}


@pytest.mark.parametrize("name", STDIN)
def test_lines_of_stdin_keep_their_place(name):
    data, named, expected = STDIN[name]
    lines = text_lines(io.BufferedReader(io.BytesIO(data)), named)
    items = list(collect_inputs(["-"], TEXTS, None, lines))
    assert [None if isinstance(i, SetAside) else i.content for i in items] == expected


@pytest.mark.parametrize(
    "word",
    [
        "nosuchdir/",
        "/tmp/nothing",
        "./new",
        "../x",
        "~/new",
        "C:\\data\\new",
        "new.zip",
        "new.parquet.gz",
        "texts.docx",
    ],
)
def test_a_word_that_is_written_like_a_path_is_one(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (item,) = collect_inputs([word], TEXTS, None, None, WORDS)
    assert item == SetAside(word, "no such file")
    (item,) = collect_inputs([word], TEXTS, None, None, VALUES)
    assert item.content == word
    for text in ("and/or maybe", "it costs 3.50", "yes/no"):
        (item,) = collect_inputs([text], TEXTS, None, None, WORDS)
        assert item.content == text


def test_japanese_mail_says_its_encoding_itself(tmp_path):
    rows = [f"今すぐ買ってください安い{n},{'ab'[n % 2]}" for n in range(30)]
    task = read(write_text(tmp_path / "t.csv", "text,label\n" + "\n".join(rows), "iso2022_jp"))
    assert "今すぐ買ってください安い3" in {e.content for e in task.examples}


def test_a_stream_is_refused_in_words():
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"text": ["a b c"] * 8, "label": ["x", "y"] * 4}).to_iterable_dataset()
    with pytest.raises(SourceError, match="streamed"):
        headstart.fit(data)
