"""What examples hold is read when it is asked for, in order, in bounded memory, and with a reason where it is gone."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from headstart.core.errors import Unreadable
from headstart.core.task import Example, TableCell
from headstart.data import contents
from headstart.data.contents import iter_contents, read_content
from headstart.data.read import read_source
from tests.support.sources import image_column, png_bytes, write_class_folders, write_parquet


def test_what_vanishes_after_reading_is_a_reason_not_a_crash(tmp_path):
    root = write_class_folders(tmp_path / "d", {"a": 3, "b": 3})
    examples = read_source(root).examples[""]
    (root / "a" / "001.png").unlink()
    (root / "b" / "000.png").write_bytes(b"other")
    found = [c for _, c in iter_contents(examples)]
    assert [isinstance(c, Unreadable) for c in found] == [False, True, False, True, False, False]
    assert "changed" in str(found[3])
    with pytest.raises(Unreadable, match="no such file"):
        read_content(examples[1])
    file = write_parquet(
        tmp_path / "t.parquet", {"image": image_column([png_bytes(i) for i in range(9)]), "label": ["a", "b", "c"] * 3}
    )
    rows = read_source(file).examples[""]
    write_parquet(file, {"image": image_column([png_bytes(i) for i in range(4)]), "label": ["a"] * 4})
    found = [c for _, c in iter_contents(rows)]
    assert [isinstance(c, bytes) for c in found] == [True] * 4 + [False] * 5
    file.write_bytes(b"PAR1 nonsense")
    assert all("can no longer be read" in str(c) for _, c in iter_contents(rows))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux's /proc")
def test_memory_does_not_grow_with_the_table(tmp_path):
    """160 MB of images in one row group: without bounds, reading them takes that much and more."""
    rng = np.random.default_rng(0)
    code = """
import sys
from pathlib import Path
import pyarrow.parquet
from headstart.data.contents import iter_contents
from headstart.core.task import Example, TableCell
def peak():
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
rows = [Example("", TableCell(Path(sys.argv[1]), i, "image"), "", 0) for i in range(16000)]
before = peak()
print(sum(len(data) for _, data in iter_contents(rows)), peak() - before)
"""
    images = image_column([rng.bytes(10_000) for _ in range(16000)])
    file = write_parquet(tmp_path / "t.parquet", {"image": images}, row_group_size=16000)
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    total, grown = map(int, done.stdout.split())
    assert total == 160_000_000
    assert grown < 120, f"{grown} MB"


def test_a_stream_takes_texts_and_bytes_as_they_are():
    given = [
        Example("a", "text", "", 0),
        Example("b", b"bytes", "", 0),
        Example("c", TableCell(Path("/none.parquet"), 0, "x"), "", 0),
    ]
    found = [c for _, c in iter_contents(given)]
    assert found[:2] == ["text", b"bytes"]
    assert isinstance(found[2], Unreadable)
    assert [str(mark) for mark in contents.hash_files(["/none"])] == ["there is no such file"]


def test_a_small_file_takes_no_more_memory_than_it_has(tmp_path):
    (tmp_path / "small.jpg").write_bytes(b"x" * 5000)
    tracemalloc.start()
    assert len(contents.read_file(tmp_path / "small.jpg")) == 5000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20, "and not all that the largest one may have"
