"""The cache never gives a wrong row, whatever happens to it, and loses nothing that was appended."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.backbones import cards
from headstart.core import files
from headstart.core.backbone import Preprocess
from headstart.core.errors import CacheError
from headstart.core.result import Receipt
from headstart.features.cache import maintenance, segments, store
from headstart.features.cache.segments import CacheEntry
from tests.support.cache_rows import CARD, TOP, entries, name, row
from tests.support.paths import ROOT


def holds(root, numbers) -> bool:
    shelf = store.Shelf(root, CARD, TOP)
    names = [name(i) for i in numbers]
    return not shelf.missing(names) and np.array_equal(shelf.rows(names), np.stack([row(i) for i in numbers]))


def test_what_was_appended_comes_back(tmp_path):
    shelf = store.Shelf(tmp_path, CARD, TOP)
    shelf.append(entries(range(4)))
    shelf.append([*entries(range(4, 6)), CacheEntry(name(9), None, reason="the file is empty")])
    again = store.Shelf(tmp_path, CARD, TOP)
    order = [5, 0, 3]
    assert np.array_equal(again.rows([name(i) for i in order]), np.stack([row(i) for i in order]))
    assert again.thumbnails([name(5)]) == [b"jpeg5"]
    assert again.beyond([name(3)]) == pytest.approx([0.003])
    assert again.missing([name(0), name(7), name(7), name(9), name(8)]) == [1, 4]
    assert again.reasons([name(0), name(9)]) == {1: "the file is empty"}
    with pytest.raises(CacheError, match="no row"):
        again.rows([name(7)])


def test_rows_in_one_run_are_mapped_and_not_copied(tmp_path):
    shelf = store.Shelf(tmp_path, CARD, TOP)
    shelf.append(entries(range(8)))
    run = shelf.rows([name(i) for i in range(2, 6)])
    assert not run.flags.owndata
    assert not run.flags.writeable
    assert np.array_equal(run[0], row(2))


def test_other_weights_crop_or_cut_are_another_key():
    crop = replace(CARD, preprocess=Preprocess("image", (("crop", 0.8),)))
    keys = {store.shelf_key(c, c.cut(a)) for c in (CARD, replace(CARD, weights="sha256:bb"), crop) for a in (0, 1)}
    assert len(keys) == 6
    assert store.shelf_key(replace(CARD, name="own:renamed"), TOP) == store.shelf_key(CARD, TOP)


WRITER = """
import sys
from pathlib import Path
from tests.support.cache_rows import *
shelf = store.Shelf(Path(sys.argv[1]), CARD, TOP)
for n in range(int(sys.argv[2]), int(sys.argv[3])):
    shelf.append(entries(range(10 * n, 10 * n + 10)))
    print(n, flush=True)
"""


def writer(root, start, stop) -> subprocess.Popen:
    line = [sys.executable, "-c", WRITER, str(root), str(start), str(stop)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.parametrize("attempt", range(3))
def test_a_kill_at_any_moment_leaves_only_whole_rows(tmp_path, attempt):
    with writer(tmp_path, 0, 10_000) as process:
        said = process.stdout.readline()
        time.sleep(random.Random(attempt).uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read()
    done = len(said.split("\n")) - 1
    assert holds(tmp_path, range(10 * done)), "what was said to be kept is there"
    shelf = store.Shelf(tmp_path, CARD, TOP)
    shelf.append(entries([777_777]))
    assert holds(tmp_path, [777_777])


def test_two_processes_at_once_lose_nothing(tmp_path):
    both = [writer(tmp_path, 0, 90), writer(tmp_path, 45, 135)]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    assert holds(tmp_path, range(1350))


def test_many_segments_are_merged_even_by_several_at_once(tmp_path):
    shelf = store.Shelf(tmp_path, CARD, TOP)
    for n in range(store.MAX_SEGMENTS + 5):
        shelf.append([*entries([n]), CacheEntry(name(10_000 + n), None, reason="bad")])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.Shelf(tmp_path, CARD, TOP), range(4)))
    assert len(list(shelf.folder.glob("*.seg"))) < 10
    assert holds(tmp_path, range(store.MAX_SEGMENTS + 5))
    assert store.Shelf(tmp_path, CARD, TOP).reasons([name(10_003)]) == {0: "bad"}
    assert np.array_equal(shelf.rows([name(3)])[0], row(3)), "maps of merged files stay readable"


def test_a_segment_with_one_bit_turned_before_its_rows_is_no_segment(tmp_path):
    path = segments.write_segment(tmp_path, [*entries(range(2)), CacheEntry(name(9), None, reason="bad")])
    content = path.read_bytes()
    until = content.index(row(0).tobytes())
    for at in range(until):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[at] ^= 1 << bit
            path.write_bytes(damaged)
            found = segments.read_segment(path)
            # What fills up to the first row is not read.
            assert found is None or (damaged[at] == 1 << bit and not content[at:until].strip(b"\0"))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_segment_gives_no_wrong_row(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("damaged")
    shelf = store.Shelf(root, CARD, TOP)
    shelf.append(entries(range(5)))
    (path,) = shelf.folder.glob("*.seg")
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    again = store.Shelf(root, CARD, TOP)
    missing = set(again.missing([name(i) for i in range(5)]))
    kept = [i for i in range(5) if i not in missing]
    assert np.array_equal(
        again.rows([name(i) for i in kept]).reshape(-1, 5), np.array([row(i) for i in kept]).reshape(-1, 5)
    )


def test_a_full_disk_says_so_and_leaves_the_shelf_whole(tmp_path, monkeypatch):
    shelf = store.Shelf(tmp_path, CARD, TOP)
    shelf.append(entries(range(3)))

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(CacheError, match=r"No space left.*HEADSTART_CACHE"):
        shelf.append(entries(range(3, 6)))
    monkeypatch.undo()
    assert not list(shelf.folder.glob(".*.tmp"))
    assert holds(tmp_path, range(3))


def test_a_shelf_filled_in_pieces_settles_into_one_run(tmp_path):
    shelf = store.Shelf(tmp_path, CARD, TOP)
    for n in range(4):
        shelf.append(entries(range(10 * n, 10 * n + 10)))
    shelf.compact()
    names = [name(i) for i in range(40)]
    assert not shelf.rows(names).flags.owndata
    assert shelf.thumbnails(names[38:]) == [b"jpeg38", b"jpeg39"]
    assert holds(tmp_path, range(40))
    again = store.Shelf(tmp_path, CARD, TOP)
    again.append(entries([40]))
    again.compact()
    assert len(list(shelf.folder.glob("*.seg"))) == 2, "one new row does not write forty again"


def test_the_limit_is_the_users(monkeypatch):
    assert store.size_limit() == 20_000_000_000
    monkeypatch.setenv("HEADSTART_CACHE_GB", "0.5")
    assert store.size_limit() == 500_000_000
    for no_number in ("lots", "nan", "inf"):
        monkeypatch.setenv("HEADSTART_CACHE_GB", no_number)
        with pytest.raises(CacheError, match="gigabytes"):
            store.size_limit()


def test_the_least_recently_used_goes_first(tmp_path):
    kept = []
    for n in range(3):
        card = replace(CARD, weights=f"sha256:{n}")
        shelf = store.Shelf(tmp_path, card, TOP)
        shelf.append(entries(range(50)))
        os.utime(shelf.folder / "used", (1000 + n, 1000 + n))
        kept.append(shelf.key)
    size = maintenance.list_items(tmp_path)[0].bytes
    assert maintenance.evict(tmp_path, 2 * size + 10) == [kept[0]]
    assert maintenance.evict(tmp_path, 0, keep=(kept[1],)) == [kept[2]]
    assert [h.rows for h in maintenance.list_items(tmp_path)] == [50]
    assert maintenance.clear(tmp_path) > 0
    assert maintenance.list_items(tmp_path) == []


def test_receipts_are_kept_with_the_rows(tmp_path):
    receipt = Receipt(3, (), "sha256:x", "sha256:x")
    store.Shelf(tmp_path, CARD, TOP).save_receipt(receipt)
    assert store.Shelf(tmp_path, CARD, TOP).receipts() == [receipt]


def test_a_card_is_recalled_until_its_files_change(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    assert cards.load_card(tmp_path, CARD.name, [weights]) is None
    cards.save_card(tmp_path, CARD, [weights])
    assert cards.load_card(tmp_path, CARD.name, [weights]) == CARD
    weights.write_bytes(b"other")
    assert cards.load_card(tmp_path, CARD.name, [weights]) is None


def test_a_cache_that_cannot_be_written_is_refused_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="HEADSTART_CACHE"):
        store.Shelf(tmp_path / "file", CARD, TOP)
