"""Folders of pictures and of texts: class folders, parts by any name, and what else may lie there."""

import os
import subprocess
import sys

import pytest

from headstart.core import digest
from headstart.core.errors import SourceError
from headstart.core.options import DataOptions
from headstart.data.contents import read_content
from headstart.data.read import read, read_source
from tests.support.sources import has_note, part_sizes, png_bytes, write_class_folders, write_text


def test_a_folder_of_class_folders_is_split(tmp_path):
    task = read(write_class_folders(tmp_path / "d", {"cat": 40, "dog": 60}))
    assert task.kind == "image"
    assert task.objective.names == ("cat", "dog")
    assert part_sizes(task) == {"train": 70, "val": 15, "test": 15}
    one = task.examples[0]
    assert one.id == "cat/000.png"
    assert one.digest == digest.of_bytes(read_content(one))
    assert has_note(task, "70% to learn")


def test_parts_by_any_name_and_a_sole_held_out_part_is_the_test(tmp_path):
    write_class_folders(tmp_path / "d" / "Training", {"cat": 20, "dog": 20})
    write_class_folders(tmp_path / "d" / "DEV", {"cat": 4, "dog": 5}, start=100)
    task = read(tmp_path / "d")
    assert part_sizes(task) == {"train": 34, "val": 6, "test": 9}
    assert all(e.id.startswith("DEV/") for e in task.part("test"))
    assert has_note(task, "'DEV' is the only held-out part")
    write_class_folders(tmp_path / "d" / "testing", {"cat": 3, "dog": 3}, start=200)
    assert part_sizes(read(tmp_path / "d")) == {"train": 40, "val": 9, "test": 6}


def test_strange_things_in_a_folder(tmp_path):
    root = write_class_folders(tmp_path / "d", {"cat": 30, "dog": 30})
    for name in (
        "cat/.hidden.png",
        "cat/Thumbs.db",
        "README.txt",
        "cat/notes.json",
        ".git/x.png",
        "__MACOSX/cat/a.png",
    ):
        write_text(root / name, "x")
    (root / "loose.png").write_bytes(png_bytes(500))
    (root / "cat" / "empty.JPG").write_bytes(b"")
    (root / "cat" / "more").mkdir()
    (root / "cat" / "more" / "deep.tiff").write_bytes(png_bytes(501))
    (root / "cat" / "broken.png").symlink_to(root / "nowhere.png")
    (root / "cat" / "circle").symlink_to(root / "cat")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.png").write_bytes(png_bytes(502))
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(root / "dog" / "pipe.png")
    found = read_source(root)
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
        write_text(tmp_path / "d" / "good" / f"{i}.txt", f"fine thing {i} é", "cp1252" if i == 3 else "utf-8")
        write_text(tmp_path / "d" / "bad" / f"{i}.txt", f"poor thing {i}")
    write_text(tmp_path / "d" / "bad" / "blank.txt", " \n")
    task = read(tmp_path / "d")
    assert task.kind == "text"
    assert {e.content for e in task.examples} >= {"fine thing 3 é", "poor thing 4"}
    assert [(a.id, a.reason) for a in task.aside] == [("bad/blank.txt", "empty text")]
    assert has_note(task, "is not UTF-8; it was read as Windows-1252")


def test_captions_beside_images_are_skipped_but_an_even_mixture_is_asked_about(tmp_path):
    root = write_class_folders(tmp_path / "d", {"cat": 20, "dog": 20})
    for file in list(root.glob("*/*.png")):
        write_text(file.with_suffix(".txt"), "a caption")
    assert read_source(root).kind == "image"
    for i in range(20):
        write_text(root / "cat" / f"story{i}.txt", f"once upon {i}")
    with pytest.raises(SourceError, match="--kind image or --kind text"):
        read_source(root)
    assert read_source(root, DataOptions(kind="text")).kind == "text"


def test_one_wrapping_folder_is_looked_through(tmp_path):
    write_class_folders(tmp_path / "d" / "archive", {"cat": 20, "dog": 20})
    task = read(tmp_path / "d")
    assert task.objective.names == ("cat", "dog")
    assert has_note(task, "archive/")


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
    root = write_class_folders(tmp_path / "d", {"cat": 20, "dog": 20})
    write_text(root / "statistics.csv", "a,b\n1,2\n")
    assert has_note(read(root), "statistics.csv beside the class folders was not read")


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


def test_images_without_a_suffix_are_told_what_they_need(tmp_path):
    for n in range(24):
        (tmp_path / "ab"[n % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[n % 2] / f"{n}").write_bytes(png_bytes(n))
    with pytest.raises(SourceError, match=r"files without a suffix that begin like images .*mv"):
        read(tmp_path)
