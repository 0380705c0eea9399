"""Archives and samples with a label beside each are read as folders are; hostile ones are refused in words."""

import io
import os
import tarfile
import zipfile

import pytest

from headstart.core.errors import SourceError
from headstart.core.result import SetAside
from headstart.data.archives import is_archive, unpacked
from headstart.data.read import read
from headstart.data.read_inputs import read_inputs
from tests.support.sources import part_sizes, png_bytes, write_class_folders, write_text

SUFFIXES = {"zip": "", "tar": "", "tar.gz": ":gz", "tar.xz": ":xz", "tar.bz2": ":bz2"}


def pack(file, members: dict[str, bytes | str]):
    """An archive of members by name; what is a str is a link to it."""
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return file
    with tarfile.open(file, f"w{SUFFIXES[file.name.partition('.')[2]]}") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return file


def photos(folder: str = "") -> dict[str, bytes]:
    return {f"{folder}{'ab'[n % 2]}/{n}.png": png_bytes(n) for n in range(48)}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("top", ["", "my photos/"])
def test_an_archive_is_read_as_the_folder_would_be(tmp_path, suffix, top):
    file = pack(tmp_path / f"photos.{suffix}", photos(top) | {f"{top}__MACOSX/._0.png": b"x"})
    folder = unpacked(file, tmp_path / "cache")
    assert unpacked(str(file), tmp_path / "cache") == folder != file
    task = read(folder)
    assert {e.id for e in task.examples} == {f"{'ab'[n % 2]}/{n}.png" for n in range(48)}
    plain = write_class_folders(tmp_path / "plain", {"c": 1, "d": 1})
    assert unpacked(plain, tmp_path / "cache") == plain
    asked = list(read_inputs(folder, task.contract, None, str(file)))
    assert len(asked) == 48 and all(i.id.startswith(f"{file}{os.sep}") for i in asked)


def test_a_table_beside_its_images_in_an_archive(tmp_path):
    table = "file_name,label\n" + "".join(f"images/{n}.png,{'ab'[n % 2]}\n" for n in range(48))
    members = {f"images/{n}.png": png_bytes(n) for n in range(48)} | {"metadata.csv": table.encode()}
    task = read(unpacked(pack(tmp_path / "d.zip", members), tmp_path / "cache"))
    assert (task.kind, len(task.examples)) == ("image", 48)


def test_what_would_lie_elsewhere_is_left_out(tmp_path):
    outside = {"../evil.png": b"x", "/evil.png": b"x", "a/../../evil.png": b"x", "C:\\evil.png": b"x"}
    for suffix in ("zip", "tar"):
        links = {} if suffix == "zip" else {"a/link.png": "/etc/passwd", "b/up.png": "../../../x"}
        folder = unpacked(pack(tmp_path / f"evil.{suffix}", {**photos(), **outside, **links}), tmp_path / "cache")
        assert len(list(folder.rglob("*.png"))) == 48
        assert not [p for p in tmp_path.rglob("evil.png")]


HOSTILE = {
    "bomb.zip": (lambda: {f"a/{n}.txt": b"0" * 50_000_000 for n in range(23)}, "made to fill a disk"),
    "empty.zip": (dict, "holds no files"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused(tmp_path, name):
    members, words = HOSTILE[name]
    with pytest.raises(SourceError, match=words):
        unpacked(pack(tmp_path / name, members()), tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.txt"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_archives_are_refused(tmp_path, suffix):
    file = pack(tmp_path / f"d.{suffix}", photos())
    for data in (b"no archive at all", file.read_bytes()[: os.path.getsize(file) // 2 + 300]):
        file.write_bytes(data)
        with pytest.raises(SourceError, match="damaged, ends early, or is no archive"):
            unpacked(file, tmp_path / "cache")


def test_an_encrypted_one_says_so(tmp_path):
    file = pack(tmp_path / "d.zip", photos())
    data = bytearray(file.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := data.find(mark, start + 1)) >= 0:
            data[start + at] |= 1
    file.write_bytes(data)
    with pytest.raises(SourceError, match="is encrypted"):
        unpacked(file, tmp_path / "cache")


def test_webdataset_shards(tmp_path):
    (tmp_path / "w").mkdir()
    for shard in range(3):
        members = {}
        for n in range(16):
            key = f"{n:06}"
            members |= {f"{key}.png": png_bytes(shard * 16 + n), f"{key}.cls": b"%d" % (n % 2)}
        pack(tmp_path / "w" / f"{shard:03}.tar", members)
    for source in (str(tmp_path / "w" / "{000..002}.tar"), tmp_path / "w"):
        assert is_archive(source)
        task = read(folder := unpacked(source, tmp_path / "cache"))
        assert (task.kind, task.objective.names, len(task.examples)) == ("image", ("0", "1"), 48)
        assert [i.id for i in read_inputs(folder, task.contract, None, "w")][:2] == [
            "w/000/000000.png",
            "w/000/000001.png",
        ]
    with pytest.raises(SourceError, match=r"003\.tar does not exist"):
        unpacked(str(tmp_path / "w" / "{000..003}.tar"), tmp_path / "cache")


def test_samples_of_texts_with_labels_in_json(tmp_path):
    for n in range(48):
        write_text(tmp_path / "train" / f"{n}.txt", f"some words {n}")
        write_text(tmp_path / "train" / f"{n}.json", f'{{"label": "{"ab"[n % 2]}", "by": "us"}}' if n else "{}")
    task = read(tmp_path)
    assert (task.kind, task.objective.names, len(task.examples)) == ("text", ("a", "b"), 47)
    assert [a for a in task.aside] == [SetAside("train/0.txt", "no label")]
    assert len(list(read_inputs(tmp_path, task.contract))) == 48
    assert sum(part_sizes(task).values()) in (47, 48)
