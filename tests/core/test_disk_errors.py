"""What a disk or the memory refuses is an error of ours with a way out, whatever type a library made of it."""

import errno
from pathlib import Path

import pytest

from headstart.core.disk_errors import disk_errors_in_words, library_writes
from headstart.core.errors import DiskError, HeadstartError, PlanError


@disk_errors_in_words
def raises(error: BaseException) -> None:
    raise error


def test_used_up_memory_is_said_with_ways_out():
    with pytest.raises(HeadstartError, match=r"memory .* used up \(Unable to allocate 5 TiB\)\. Take a sample"):
        raises(MemoryError("Unable to allocate 5 TiB"))


def test_what_a_library_says_of_a_disk_names_the_path_and_the_way_out():
    with pytest.raises(DiskError, match=r"^out/model cannot be written: RuntimeError: iostream error\. Free space"):
        with library_writes(Path("out/model")):
            raise RuntimeError("iostream error")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), PlanError("another"), MemoryError()])
def test_errors_that_have_their_own_words_keep_them(error):
    with pytest.raises(type(error)), library_writes(Path("out")):
        raise error
