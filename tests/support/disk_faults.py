"""Disks that fail: each call that goes through core/files.py counted, and one of them refused."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import headstart
from headstart.core import files
from headstart.core.errors import HeadstartError

CALLS = ("open", "write", "fsync", "replace", "unlink", "makedirs", "utime")
STARTS = ("cold", "warm", "damaged")
CODES = {"full": errno.ENOSPC, "failing": errno.EIO}


class FailingOs:
    """The module `os`, of which one call fails: the one that `fail_at` others came before.

    seen: the counted calls so far, by name
    """

    def __init__(self, fail_at: int | None = None, code: int = errno.ENOSPC):
        self.seen: list[str] = []
        self._fail_at, self._code = fail_at, code

    def __getattr__(self, name: str):
        function = getattr(os, name)
        if name not in CALLS:
            return function

        def counted(*arguments, **options):
            self.seen.append(name)
            if len(self.seen) - 1 == self._fail_at:
                raise OSError(self._code, os.strerror(self._code))
            return function(*arguments, **options)

        return counted


@contextmanager
def failing_disk(fail_at: int | None = None, code: int = errno.ENOSPC) -> Iterator[FailingOs]:
    """A context in which what is written through core/files.py meets a disk of which one call fails."""
    real, files.os = files.os, FailingOs(fail_at, code)  # type: ignore[assignment]
    try:
        yield files.os  # type: ignore[misc]
    finally:
        files.os = real


def write_pictures(into: Path, n: int = 24) -> Path:
    """A folder of n small pictures of two classes, bright on one side."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(n):
        picture = rng.integers(0, 160, (24, 24, 3), dtype=np.uint8)
        picture[:, 12 * (i % 2) : 12 * (i % 2) + 12] += 90
        file = into / ("left", "right")[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    return into


def essence(folder: Path) -> dict:
    """What two runs on the same data must agree on to the last bit."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    written = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in WRITTEN}
    return {name: result[name] for name in ("metrics", "baselines", "verdict")} | written


WRITTEN = ("predictions.csv", "model/delta.safetensors")


def small_fit(data: Path, into: Path, cache: Path) -> dict:
    """The essence of a fit that takes a fraction of a second."""
    headstart.fit(data, into=into, root=cache, backbone="stats", method="probe", budget="quick")
    return essence(into)


def prepare(start: str, before: Path, scratch: Path) -> None:
    """What a fit finds: nothing ("cold"), the run and the cache of `before` ("warm"), or these with damaged rows."""
    shutil.rmtree(scratch, ignore_errors=True)
    if start != "cold":
        shutil.copytree(before, scratch)
    if start == "damaged":
        for segment in scratch.glob("cache/features/*/*.seg"):
            content = bytearray(segment.read_bytes())
            content[len(content) // 2] ^= 1
            segment.write_bytes(content)


def outcome_of_fault(
    data: Path, start: str, before: Path, scratch: Path, clean: dict, fail_at: int, code: int
) -> tuple[str, str]:
    """What comes of a fit of which one call fails, and of the same fit after it, with the cache and folder it left.

    Gives the call that failed, and "right", "refused" (in words, and right the next time), or what is wrong.
    """
    prepare(start, before, scratch)
    found = "right"
    with failing_disk(fail_at, code) as disk:
        try:
            if small_fit(data, scratch / "run", scratch / "cache") != clean:
                found = "a wrong result in silence"
        except HeadstartError as error:
            found = "refused" if len(str(error)) > 20 else f"no words: {error}"
        except Exception as error:  # whatever is raised here would have been shown as a traceback
            found = f"traceback: {type(error).__name__}: {error}"
    call = disk.seen[fail_at] if fail_at < len(disk.seen) else ""
    try:
        if small_fit(data, scratch / "run", scratch / "cache") != clean:
            found += "; then a wrong result"
    except Exception as error:  # likewise
        found += f"; then {type(error).__name__}: {error}"
    return call, found
