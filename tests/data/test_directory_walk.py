"""What a folder may lead to: links in circles, to other classes and out of the data; pipes, sockets, locked folders."""

import os
import re
import socket
import sys

import pytest

from headstart.core.errors import Unreadable
from headstart.core.options import DataOptions
from headstart.data.collect_inputs import collect_inputs
from headstart.data.contents import read_file
from headstart.data.directory_walk import holds_file, list_files
from headstart.data.read import read_source
from tests.support.sources import png_bytes, write_class_folders

LINKS = {  # name of a link -> where it leads, and what is said of it ("" where it is followed or skipped)
    "cat/up": ("..", "holds what is read under other names"),
    "cat/disk": ("/", "holds what is read under other names"),
    "cat/parent": ("../..", "holds what is read under other names"),
    "cat/sibling": ("../dog", "read as part of .*dog"),
    "cat/deep": ("../dog/more", "read as part of .*dog"),
    "zebra": ("cat", "read as part of .*cat"),
    "cat/own": ("more", ""),
    "cat/round": (".", ""),
    "cat/of dog.png": ("../dog/001.png", "read as part of .*dog"),
    "cat/of cat.png": ("001.png", ""),
    "cat/gone.png": ("nowhere.png", "there is no such file"),
    "cat/loop.png": ("loop.png", "cannot be read"),
    "loop": ("loop", ""),
    "dog/far": ("../../elsewhere", ""),
}


@pytest.fixture
def linked(tmp_path):
    root = write_class_folders(tmp_path / "d", {"cat": 30, "dog": 30})
    (tmp_path / "beside.png").write_bytes(png_bytes(900))
    for i, folder in enumerate((root / "cat" / "more", root / "dog" / "more", tmp_path / "elsewhere")):
        folder.mkdir()
        (folder / "one.png").write_bytes(png_bytes(901 + i))
    return root


@pytest.mark.parametrize("name", LINKS)
def test_a_link_pulls_no_other_class_in(linked, name):
    target, reason = LINKS[name]
    plain = {e.id: e.label for e in read_source(linked).examples[""]}
    (linked / name).symlink_to(target)
    found = read_source(linked)
    ids = {e.id: e.label for e in found.examples[""]}
    assert plain.items() <= ids.items()
    followed = {"dog/far": {"dog/far/one.png"}, "cat/of cat.png": {"cat/of cat.png"}}.get(name, set())
    assert ids.keys() - plain.keys() == followed
    assert [a.id for a in found.aside] == ([name] if reason else [])
    if reason:
        assert re.search(reason, found.aside[0].reason)


def test_two_links_to_one_folder_are_read_once(linked, tmp_path):
    for name in ("cat/a", "dog/b"):
        (linked / name).symlink_to(tmp_path / "elsewhere")
    found = read_source(linked)
    assert [e.id for e in found.examples[""] if "one.png" in e.id and "more" not in e.id] == ["cat/a/one.png"]
    assert [a.id for a in found.aside] == ["dog/b"]


def test_predictions_and_unlabelled_data_follow_the_same_links(linked):
    (linked / "cat" / "up").symlink_to("..")
    (linked / "cat" / "round").symlink_to(".")
    os.mkfifo(linked / "cat" / "pipe.png")
    (linked / "cat" / "zero.png").symlink_to("/dev/zero")
    items = list(collect_inputs([linked], "image", None, None))
    reasons = {i.id.rpartition("/")[2]: i.reason for i in items if hasattr(i, "reason")}
    assert len(items) - len(reasons) == 62
    assert reasons == {"pipe.png": "is not a file", "zero.png": "is not a file"}
    unlabelled = read_source(linked, DataOptions(label=""))
    assert len(unlabelled.examples[""]) == 62
    assert {a.id for a in unlabelled.aside} == {"cat/pipe.png", "cat/zero.png"}


def test_what_is_no_file_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.txt"))
        for path in ("pipe.txt", "s.txt", "", "none.txt"):
            with pytest.raises(Unreadable, match=r"not a file|no such file"):
                read_file(tmp_path / path)
    with pytest.raises(Unreadable, match="not a file"):
        read_file("/dev/zero")
    with pytest.raises(Unreadable, match="cannot be read"):
        read_file("a\0b")
    with open(tmp_path / "sparse.png", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Unreadable, match="larger than 512 MB"):
        read_file(tmp_path / "sparse.png")


def test_a_pipe_among_texts_does_not_hang(tmp_path):
    for label in ("good", "bad"):
        (tmp_path / label).mkdir()
        for i in range(25):
            (tmp_path / label / f"{i}.txt").write_text(f"{label} {i}")
    os.mkfifo(tmp_path / "good" / "pipe.txt")
    assert [(a.id, a.reason) for a in read_source(tmp_path).aside] == [("good/pipe.txt", "is not a file")]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_locked_folder_is_set_aside(linked):
    locked = linked / "cat" / "more"
    locked.chmod(0)
    try:
        assert [a.id for a in read_source(linked).aside] == ["cat/more"]
    finally:
        locked.chmod(0o755)


def test_an_unreadable_folder_is_a_reason(linked, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("headstart.data.directory_walk.os.scandir", refuse)
    _, aside = list_files(str(linked), [str(linked / "cat"), str(linked / "dog")])
    assert [reason for _, reason in aside] == ["cannot be read: Permission denied"] * 2


def test_a_ladder_of_links_is_walked_once(tmp_path):
    """Each step leads to the next by two names: 2 to the power of 40 ways down."""
    for i in range(40):
        (tmp_path / f"s{i}").mkdir()
    for i in range(39):
        for name in "ab":
            (tmp_path / f"s{i}" / name).symlink_to(f"../s{i + 1}")
    assert not holds_file(str(tmp_path / "s0"), lambda name: name.endswith(".png"))
    assert list_files(str(tmp_path / "s0"), [str(tmp_path / "s0")]) == ([[]], [])
