"""Whatever is damaged in the cache is absent, is made again, and is told; nothing damaged is ever believed."""

import json
import os
import time

import numpy as np
import pytest

from headstart.core import arrays, files
from headstart.core.checked_folder import write_manifest
from headstart.core.errors import CacheError
from headstart.core.result import Receipt
from headstart.features.cache import maintenance, segments, store
from headstart.features.cache.segments import CacheEntry
from tests.support.cache_rows import CARD, TOP, entries, name, row
from tests.support.command_line import run_command
from tests.support.disk_faults import small_fit, write_pictures


def flip(file, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 4
    file.write_bytes(content)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of three rows."""
    monkeypatch.setattr(segments, "BLOCK", 60)


@pytest.fixture
def undeletable(monkeypatch):
    """Nothing can be deleted, as where a folder is read-only."""

    def refuse(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(files.os, "unlink", refuse)
    monkeypatch.setattr(files.shutil, "rmtree", refuse)


def damaged_shelf(root, what: bytes, numbers=range(30)) -> store.Shelf:
    """A shelf in whose only segment one bit of these bytes is another."""
    shelf = store.Shelf(root, CARD, TOP)
    shelf.append(entries(numbers))
    (path,) = shelf.folder.glob("*.seg")
    flip(path, path.read_bytes().index(what))
    return store.Shelf(root, CARD, TOP)


@pytest.mark.parametrize("what", [row(17).tobytes(), b"jpeg17"])
def test_what_is_read_is_verified_and_no_more(tmp_path, small_blocks, what):
    shelf = damaged_shelf(tmp_path, what)
    far = [name(i) for i in (0, 1, 2, 3, 25)]
    assert not shelf.missing(far) and np.array_equal(shelf.rows(far)[4], row(25)) and not shelf.damaged
    assert shelf.thumbnails(far)[4] == b"jpeg25"
    assert shelf.missing([*far, name(17)]) == [0, 1, 2, 3, 4, 5], "the segment is dropped"
    assert shelf.damaged == 30 and not list(shelf.folder.glob("*.seg"))


def test_rows_of_unequal_length_are_verified(tmp_path, small_blocks):
    rows = [np.full((2 + i, 4), i, np.float16) for i in range(8)]
    shelf = store.Shelf(tmp_path, CARD, TOP, "float16")
    shelf.append([CacheEntry(name(i), row, windows=(2, i)) for i, row in enumerate(rows)])
    (path,) = shelf.folder.glob("*.seg")
    flip(path, path.read_bytes().index(rows[5].tobytes()))
    again = store.Shelf(tmp_path, CARD, TOP, "float16")
    assert not again.missing([name(0), name(1)]) and again.missing([name(5)]) == [0]


def test_damage_that_is_met_only_when_rows_are_asked_for_is_refused(tmp_path):
    shelf = store.Shelf(tmp_path, CARD, TOP)
    shelf.append(entries(range(3)))
    (path,) = shelf.folder.glob("*.seg")
    flip(path, path.read_bytes().index(row(1).tobytes()))
    with pytest.raises(CacheError, match="run this again"):
        shelf.rows([name(1)])


def test_merging_does_not_make_damaged_rows_sound(tmp_path):
    shelf = damaged_shelf(tmp_path, row(2).tobytes(), range(5))
    shelf.append(entries(range(5, 20)))
    shelf.compact()
    again = store.Shelf(tmp_path, CARD, TOP)
    assert again.missing([name(i) for i in range(20)]) == [0, 1, 2, 3, 4]
    assert np.array_equal(again.rows([name(9)])[0], row(9))


def test_a_damaged_segment_that_cannot_be_deleted_is_absent_and_what_replaces_it_is_read(tmp_path, undeletable):
    shelf = damaged_shelf(tmp_path, row(2).tobytes(), range(5))
    names = [name(i) for i in range(5)]
    assert shelf.missing(names) == [0, 1, 2, 3, 4]
    shelf.append(entries(range(5)))
    again = store.Shelf(tmp_path, CARD, TOP)
    assert not again.missing(names) and np.array_equal(again.rows(names), np.stack([row(i) for i in range(5)]))
    assert len(list(shelf.folder.glob("*.seg"))) == 2


def test_a_file_that_cannot_be_opened_is_absent_and_not_deleted(tmp_path, monkeypatch):
    store.Shelf(tmp_path, CARD, TOP).append(entries(range(3)))

    def refuse(path):
        raise OSError(24, "Too many open files", str(path))

    monkeypatch.setattr(store, "read_segment", refuse)
    shelf = store.Shelf(tmp_path, CARD, TOP)
    assert shelf.missing([name(0)]) == [0] and list(shelf.folder.glob("*.seg"))


def test_arrays_that_are_damaged_or_cannot_be_kept_are_computed(tmp_path, monkeypatch):
    file, calls = tmp_path / "some" / "kept.npz", []

    def compute():
        calls.append(1)
        return {"x": np.arange(100)}

    for at in (None, None, 3, 200, -1):
        if at is not None:
            flip(file, at)
        assert np.array_equal(arrays.load_or_compute_arrays(file, compute)["x"], np.arange(100))
    assert len(calls) == 4
    (tmp_path / "file").write_text("")
    assert len(arrays.load_or_compute_arrays(tmp_path / "file" / "kept.npz", compute)["x"]) == 100


def full_cache(root) -> dict:
    """A file of each kind that the cache holds, by what it is."""
    shelf = store.Shelf(root, CARD, TOP)
    shelf.append(entries(range(5)))
    shelf.save_receipt(Receipt(3, (), "sha256:x", "sha256:x"))
    graph, photos = root / "compiled" / "one", root / "reference" / "photos"
    for folder in (graph, photos / "dent", *(root / n for n in ("cards", "glances", "judged", "engines"))):
        files.make_folder(folder)
    (graph / "net.bin").write_bytes(b"weights" * 100)
    (photos / "dent" / "1.jpg").write_bytes(b"photo" * 100)
    write_manifest(graph / "facts.json", graph, {"backbone": "own:tiny"})
    write_manifest(photos.with_name("photos.json"), photos)
    kept = {n: root / n / "kept.json" for n in ("cards", "judged", "engines")}
    for file in kept.values():
        files.write_checked_json(file, {"some": "facts"})
    files.write_checked(root / "glances" / "kept.npz", b"arrays")
    kept |= {"rows": next(shelf.folder.glob("*.seg")), "receipt": next(shelf.folder.glob("receipt*"))}
    kept |= {"shelf": shelf.folder / "shelf.json", "glances": root / "glances" / "kept.npz"}
    kept |= {"graph": graph / "net.bin", "manifest": graph / "facts.json", "photo": photos / "dent" / "1.jpg"}
    return kept


KINDS = "cards judged engines rows receipt shelf glances graph manifest photo".split()


@pytest.mark.parametrize("kind", KINDS)
def test_verify_finds_damage_in_every_kind_of_file_and_drops_it(tmp_path, kind):
    for at in (0, 40, -1):
        file = full_cache(tmp_path / str(at))[kind]
        assert maintenance.verify(tmp_path / str(at)) == []
        flip(file, at)
        (line,) = maintenance.verify(tmp_path / str(at))
        assert "was damaged and is dropped" in line and not file.exists()
        assert ("not known any more" in line) == (kind == "judged")


def test_the_command_says_what_is_damaged_by_its_exit_code(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    kept = full_cache(tmp_path)
    assert "All is well" in run_command("cache", "verify").stdout
    flip(kept["engines"], -1)
    left = files.temporary_path(tmp_path / "cards" / "a.json")
    left.write_text("")
    os.utime(left, (1000, 1000))
    said = json.loads(run_command("cache", "verify", "--json", code=1).stdout)
    assert [str(kept["engines"]) in line for line in said["problems"]] == [True]
    assert [str(left) in line for line in said["swept"]] == [True]
    assert "files" in run_command("cache").stdout


def test_what_cannot_be_deleted_is_named(tmp_path, undeletable):
    flip(full_cache(tmp_path)["cards"], -1)
    (line,) = maintenance.verify(tmp_path)
    assert "cannot be deleted (Permission denied)" in line
    with pytest.raises(CacheError, match=r"could not be deleted, 0 bytes were freed: .*Permission denied"):
        maintenance.clear(tmp_path)


def test_files_of_earlier_versions_are_neither_read_nor_called_damaged(tmp_path):
    kept = full_cache(tmp_path)
    kept["rows"].write_bytes(b"HEADSEG1" + bytes(100))
    kept["manifest"].write_text(json.dumps({"backbone": "own:tiny", "sizes": {}}))
    kept["cards"].write_text(json.dumps({"card": {}}))
    kept["glances"].write_bytes(b"PK\x03\x04" + bytes(100))
    assert maintenance.verify(tmp_path) == []
    assert store.Shelf(tmp_path, CARD, TOP).missing([name(0)]) == [0]


def test_everything_is_counted_and_what_killed_processes_left_is_swept(tmp_path):
    full_cache(tmp_path)
    graph, shelf = tmp_path / "compiled", next((tmp_path / "features").iterdir())
    killed = [files.temporary_path(p) for p in (graph / "two", shelf / "a.seg", tmp_path / "cards" / "a.json")]
    files.make_folder(killed[0])
    for file in (killed[0] / "net.bin", *killed[1:]):
        file.write_bytes(bytes(5000))
    listed = {item.kind: item for item in maintenance.list_items(tmp_path)}
    assert listed["temporary"].bytes == 15_000
    on_disk = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert sum(item.bytes for item in maintenance.list_items(tmp_path)) == on_disk
    assert maintenance.sweep(tmp_path) == [], "they may be being written"
    for path in killed:
        os.utime(path, (1000, 1000))
    store.Shelf(tmp_path, CARD, TOP)
    assert not any(path.exists() for path in killed)
    killed[0].mkdir()
    (killed[0] / "net.bin").write_bytes(bytes(5000))
    total = sum(item.bytes for item in maintenance.list_items(tmp_path))
    assert maintenance.evict(tmp_path, total) == []
    assert maintenance.evict(tmp_path, total - 1), "temporaries count"


def test_clearing_leaves_the_counts_of_looks_at_test_parts(tmp_path):
    full_cache(tmp_path)
    files.temporary_path(tmp_path / "compiled" / "two").mkdir()
    on_disk = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    freed = maintenance.clear(tmp_path)
    left = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert [p.parent.name for p in left] == ["judged"] and freed == on_disk - left[0].stat().st_size
    assert not list(tmp_path.rglob(".*.tmp"))


def test_large_segments_are_verified_on_threads(tmp_path):
    shelf = store.Shelf(tmp_path, CARD, TOP)
    rows = np.random.default_rng(0).integers(0, 256, (40, 1 << 20), np.uint8)
    shelf.append([CacheEntry(name(i), rows[i]) for i in range(40)])
    again = store.Shelf(tmp_path, CARD, TOP)
    began = time.perf_counter()
    assert not again.missing([name(i) for i in range(40)])
    assert time.perf_counter() - began < 5
    (path,) = shelf.folder.glob("*.seg")
    flip(path, path.stat().st_size - 7_000_000)
    assert len(store.Shelf(tmp_path, CARD, TOP).missing([name(33)])) == 1


def test_a_count_of_looks_that_is_lost_is_told(tmp_path):
    data = write_pictures(tmp_path / "data")

    def told(into) -> list[str]:
        small_fit(data, tmp_path / into, tmp_path / "cache")
        result = json.loads((tmp_path / into / "result.json").read_text())
        assert result["details"]["judged"]["models"] == 1
        return [f["message"] for f in result["findings"] if f["guard"] == "peeked"]

    assert not told("a")
    (count,) = (tmp_path / "cache" / "judged").iterdir()
    flip(count, -2)
    (message,) = told("b")
    assert str(count) in message and "damaged" in message
    assert not told("c")


def test_rows_that_somebody_changed_are_made_again_and_told(tmp_path):
    from headstart.data.demo.photos import write_photos
    from headstart.workflows import check

    source = write_photos(tmp_path / "some", 60)

    def findings(name):
        return check.check(source, into=tmp_path / name, backbone="stats", root=tmp_path / "cache").facts["findings"]

    assert not [f for f in findings("a") if f["guard"] == "stale"]
    (segment,) = (p for p in (tmp_path / "cache" / "features").rglob("*") if p.stat().st_size > 60 * 614 * 4)
    data = bytearray(segment.read_bytes())
    at = data.rfind(b"\xff\xd8\xff", 0, len(data) // 2)  # before the thumbnails: among the rows
    place = len(data) // 2 if at < 0 else max(at - 4096, 4096)
    data[place] ^= 0x40
    segment.write_bytes(bytes(data))
    (told,) = (f for f in findings("b") if f["guard"] == "stale")
    assert told["evidence"]["rows"] == 60
    assert not [f for f in findings("c") if f["guard"] == "stale"], "they were mended"
