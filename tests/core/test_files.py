"""Files that are whole or not there, and files that prove themselves."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.core import disk_errors, files
from headstart.core.errors import DiskError


class FailingOs:
    """The module os, where one function raises an OSError once, without a path, as a descriptor's functions do."""

    def __init__(self, name: str, number: int):
        self._name, self._number = name, number

    def __getattr__(self, name: str):
        real = getattr(os, name)
        if name != self._name:
            return real

        def fail(*arguments, **options):
            self._name = ""
            raise OSError(self._number, os.strerror(self._number))

        return fail


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_refused_write_leaves_the_former_file_and_no_temporary_and_names_the_path(call, tmp_path, monkeypatch):
    file = tmp_path / "kept.json"
    files.write_atomic(file, b"former")
    monkeypatch.setattr(files, "os", FailingOs(call, errno.ENOSPC))
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_atomic(file, b"new")
    assert file.read_bytes() == b"former"
    assert os.listdir(tmp_path) == ["kept.json"]
    assert caught.value.filename == str(file)


@given(payload=st.binary(max_size=300), at=st.integers(0), bit=st.integers(0, 7))
def test_a_file_that_proves_itself_gives_what_was_written_or_nothing(payload, at, bit, tmp_path_factory):
    file = tmp_path_factory.mktemp("kept") / "file"
    files.write_checked(file, payload)
    assert files.read_checked(file) == payload
    damaged = bytearray(file.read_bytes())
    damaged[at % len(damaged)] ^= 1 << bit
    file.write_bytes(damaged)
    assert files.read_checked(file) is None
    file.write_bytes(damaged[: at % len(damaged)])
    assert files.read_checked(file) is None


def test_what_a_disk_refuses_is_said_in_words(tmp_path):
    @disk_errors.disk_errors_in_words
    def write() -> None:
        files.write_file(tmp_path / "missing" / "page.html", "text")

    with pytest.raises(DiskError, match=r"page\.html: No such file or directory\. It is not there"):
        write()


@pytest.mark.parametrize("number", sorted(disk_errors.WAYS_OUT))
def test_every_known_refusal_has_a_way_out(number):
    said = str(disk_errors.in_words(OSError(number, os.strerror(number), "/data/run")))
    assert said.startswith("/data/run: ") and len(said.split(". ")) > 1


def test_stale_temporaries_are_swept_and_fresh_ones_stay(tmp_path):
    old, fresh = tmp_path / ".graph.1-ab.tmp", tmp_path / ".rows.2-cd.tmp"
    old.mkdir()
    (old / "net.bin").write_bytes(b"0")
    fresh.write_bytes(b"1")
    os.utime(old, (1, 1))
    files.remove_stale_temporaries(tmp_path)
    assert os.listdir(tmp_path) == [fresh.name]


def test_a_folder_in_which_others_delete_is_listed_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "kept.seg").touch()
    glob, gone = type(tmp_path).glob, [FileNotFoundError(errno.ENOENT, "gone")]

    def racing(folder, pattern):
        yield from glob(folder, pattern)
        if gone:
            raise gone.pop()

    monkeypatch.setattr(type(tmp_path), "glob", racing)
    assert files.matching(tmp_path, "*.seg") == [tmp_path / "kept.seg"] and not gone
