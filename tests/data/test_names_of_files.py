"""Names of files and folders: what systems write is no class, bytes that are no UTF-8 stay what they are."""

import os
import sys
import unicodedata

import pytest

from headstart.core.errors import SourceError
from headstart.core.options import DataOptions
from headstart.data.contents import valid_name
from headstart.data.read import read, read_source
from headstart.data.read_inputs import read_inputs
from tests.support.sources import csv_text, has_note, png_bytes, write_class_folders, write_text

SYSTEM_FOLDERS = [
    *("@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "@tmp", "#snapshot"),
    *(".ipynb_checkpoints", ".git", "__MACOSX", "node_modules", "~backup", "runs/photos", "model", "cleaned"),
]
SYSTEM_FILES = ["cat/._000.png", "cat/.DS_Store", "dog/Thumbs.db", "desktop.ini", "cat/~001.png"]
OWN = {
    "runs/photos": ["journal.jsonl"],
    "model": ["card.json", "delta.safetensors"],
    "cleaned": ["removed.csv", "train.csv"],
}


@pytest.mark.parametrize("parts", ["", "train"])
@pytest.mark.parametrize("where", ["", "cat"])
def test_what_systems_write_is_no_class_and_said(tmp_path, parts, where):
    root = write_class_folders(tmp_path / "d" / parts, {"cat": 30, "dog": 30})
    if parts:
        write_class_folders(tmp_path / "d" / "test", {"cat": 9, "dog": 9}, start=200)
    plain = {e.id for part in read_source(tmp_path / "d").examples.values() for e in part}
    for name in SYSTEM_FOLDERS:
        (root / where / name / "deep").mkdir(parents=True)
        (root / where / name / "deep" / "x.png").write_bytes(png_bytes(900))
        for own in OWN.get(name, []):
            (root / where / name / own).write_text("{}")
    for name in SYSTEM_FILES:
        (root / name).write_bytes(png_bytes(901))
    found = read_source(tmp_path / "d")
    assert {e.id for part in found.examples.values() for e in part} == plain
    assert not found.aside
    note = next(n for n in found.notes if n.startswith("Files left out"))
    assert "what Headstart wrote (8)" in note
    assert "--keep NAME" in note


@pytest.mark.parametrize("name", [".net", "~home", "@tmp", "Lost+Found", "node_modules"])
def test_a_class_that_is_called_so_is_kept_when_named(tmp_path, name):
    root = write_class_folders(tmp_path / "d", {name: 30, "java": 30})
    with pytest.raises(SourceError, match=r"one class folder only, 'java'.*--keep NAME"):
        read(root)
    task = read(root, DataOptions(keep=f"other, {name}"))
    assert task.objective.facts()["names"] == sorted([name, "java"])
    assert task.contract.keep == ("other", name)
    assert len(list(read_inputs(root, task.contract))) == 60  # a model knows what it was learned from
    rows = [(f"{name}/{i:03}.png" if i % 2 else f"java/{i:03}.png", "ab"[i % 2]) for i in range(30)]
    table = write_text(root / "t.csv", csv_text(",", rows))
    assert len(read_source(table, DataOptions(kind="image")).examples[""]) == 30  # a table names what it means


def test_hidden_tables_are_none(tmp_path):
    rows = [(f"a text about {i % 2}, number {i}", "ab"[i % 2]) for i in range(60)]
    write_text(tmp_path / "train.csv", csv_text(",", rows))
    for name in ("._train.csv", "~$train.csv", "~train.csv"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    assert len(read_source(tmp_path).examples["train"]) == 60


RAW = [b"\xe9t\xe9", b"\xe0t\xe0", b"\\udce9t\\udce9", b"\\\xe9t\xe9", b"\\\\udce9t\\udce9", "été".encode(), b"et"]


def test_names_that_differ_in_bytes_never_become_one():
    names = [os.fsdecode(raw) for raw in RAW]
    shown = [valid_name(name) for name in names]
    assert len(set(shown)) == len(RAW)
    assert all(name.encode() for name in shown)
    assert valid_name("été\\Users") == "été\\Users"


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="such names cannot be written there")
def test_folders_and_files_whose_names_are_no_utf8(tmp_path):
    n = 0
    for folder in RAW:
        for file in (b"\x93\x8c", b"\x91\xe5", b"a", "東".encode()):
            path = os.path.join(os.fsencode(tmp_path), b"d", folder, file + b".png")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as opened:
                opened.write(png_bytes(n))
            n += 1
    task = read(tmp_path / "d")
    assert len(task.objective.facts()["names"]) == len(RAW)
    assert len({e.id for e in task.examples}) == n == len({e.digest for e in task.examples})
    assert has_note(task, "are no UTF-8")


@pytest.mark.parametrize("relative", [True, False])
def test_a_table_finds_files_whose_names_are_written_in_the_other_form_of_unicode(tmp_path, relative):
    forms = [unicodedata.normalize(form, "Ämeise/größe é") for form in ("NFC", "NFD")]
    for i, path in enumerate((forms[1], forms[0].replace("Ä", "Ü"))):
        for j in range(15):
            file = tmp_path / f"{path}{j}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png_bytes(20 * i + j))
    start = "" if relative else f"{tmp_path}/"
    rows = [(f"{start}{forms[i % 2].replace('Ä', 'ÄÜ'[i % 2])}{i // 2}.png", "ab"[i % 2]) for i in range(30)]
    rows[1::2] = [(unicodedata.normalize("NFD", path), label) for path, label in rows[1::2]]
    found = read_source(write_text(tmp_path / "t.csv", csv_text(",", rows)))
    assert len(found.examples[""]) == 30
    assert not found.aside
