"""Features on disk, on shelves. A shelf's key holds all that could change its numbers; its segments never change.

    <root>/features/<key>/shelf.json    what it holds, for people
    <root>/features/<key>/*.seg         rows by digest of an input's bytes, see segments.py
    <root>/features/<key>/receipt-*     proof that the network did not move while they were made

Beside the shelves lie compiled graphs and what else is computed once, see maintenance.py. Every file proves itself: one
that is damaged is absent, and is made again.

No locks: a segment appears by an atomic rename, so any number of processes may write at once, and a kill loses at most
what was not yet appended.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import CacheError
from headstart.core.features import Ragged
from headstart.core.files import (
    make_folder,
    matching,
    read_checked_json,
    remove,
    remove_stale_temporaries,
    touch,
    write_checked_json,
    writing_cache,
)
from headstart.core.result import Receipt
from headstart.data.image_formats import knows_heic
from headstart.features.cache.segments import SUFFIX, CacheEntry, Segment, read_segment, write_segment

SCHEMA = 2  # 1: segments that had one checksum for all rows
DECODING = 2  # version of the image decoding: large JPEGs at a fraction of their size
DEFAULT_LIMIT_GB = 20.0  # 4 million rows of 1,280 numbers, and a tenth of a small laptop's disk
MAX_SEGMENTS = 64  # more are merged; opening one costs 0.2 ms


def default_root() -> Path:
    """The user's cache folder for Headstart; HEADSTART_CACHE moves it."""
    if folder := os.environ.get("HEADSTART_CACHE"):
        return Path(folder)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "headstart"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "headstart"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headstart"


def size_limit() -> int:
    """Bytes that the cache may hold; HEADSTART_CACHE_GB sets it. Raises CacheError when that is no number."""
    limit = os.environ.get("HEADSTART_CACHE_GB") or DEFAULT_LIMIT_GB
    try:
        return int(float(limit) * 1e9)
    except (ValueError, OverflowError) as error:
        raise CacheError(f"HEADSTART_CACHE_GB is {limit!r}; a number of gigabytes is expected, as in 20.") from error


def shelf_key(backbone: Backbone, cut: Cut, dtype: str = "float32") -> str:
    """Same key, same numbers: all that computes, preprocessing, blocks, cut, precision and dtype are in it."""
    computes = backbone.identity or backbone.weights
    facts: dict[str, object] = {"weights": computes, "preprocess": backbone.preprocess.facts()}
    facts["blocks"] = [b.name for b in backbone.blocks]
    if backbone.preprocess.kind == "image":
        facts |= {"decoding": DECODING} | ({"heic": True} if knows_heic() else {})
    if cut.precision != "float32":
        facts |= {"precision": cut.precision}
    return digest.of_value({**facts, "family": backbone.family, "at": cut.at, "dtype": dtype, "schema": SCHEMA})


class Shelf:
    """The rows of one (backbone, cut, dtype), by digest of an input's bytes."""

    def __init__(self, root: Path, backbone: Backbone, cut: Cut, dtype: str = "float32"):
        """Raises CacheError when the folder cannot be made."""
        self.key = shelf_key(backbone, cut, dtype)
        self.folder = root / "features" / self.key
        self.facts = {"backbone": backbone.name, "weights": backbone.weights, "cut": cut.at, "dtype": dtype}
        with writing_cache(self.folder):
            make_folder(self.folder)
        with suppress(OSError):  # a read-only cache; what is written here is for listing and eviction
            if read_checked_json(self.folder / "shelf.json") is None:
                write_checked_json(self.folder / "shelf.json", {**self.facts, "schema": SCHEMA})
            touch(self.folder / "used")
        for folder in (self.folder, *matching(root, "*/")):
            remove_stale_temporaries(folder)
        self.damaged = 0
        self._open()
        self._count_at_opening = len(self._locations)
        if len(self.segments) > MAX_SEGMENTS:
            self._merge()

    def _open(self) -> None:
        """Reads every segment's index. What cannot be read counts as absent and is computed again."""
        opened: dict[Path, Segment | None] = {}
        while todo := sorted(set(matching(self.folder, f"*{SUFFIX}")) - opened.keys()):
            # One that is gone was merged by another process into a segment that is listed next time.
            for path in todo:
                opened[path] = None
                with suppress(OSError):  # gone, no permission, too many open files: it may be whole
                    opened[path] = read_segment(path)
                    if opened[path] is None:
                        self._drop(path, 1)  # nobody knows how many
        self._index([segment for _, segment in sorted(opened.items()) if segment is not None])

    def _drop(self, path: Path, rows: int) -> None:
        """Forgets a damaged segment, for this process at least."""
        self.damaged += rows
        with suppress(OSError):  # a read-only cache
            remove(path)

    def _index(self, segments: list[Segment]) -> None:
        self.segments: list[Segment] = []
        self._locations: dict[bytes, tuple[int, int]] = {}
        self._reasons: dict[bytes, str] = {}
        for segment in segments:
            self._add(segment)

    def _add(self, segment: Segment) -> None:
        for position, name in enumerate(segment.digests):
            self._locations.setdefault(name, (len(self.segments), position))
        for name, reason in segment.reasons.items():
            self._reasons.setdefault(name, reason)
        self.segments.append(segment)

    def absent(self, digests: Sequence[str]) -> list[int]:
        """As `missing`, by the index alone: rows that are there may turn out to be damaged."""
        first: dict[bytes, int] = {}
        for i, name in enumerate(map(bytes.fromhex, digests)):
            first.setdefault(name, i)
        return [i for name, i in first.items() if name not in self._locations and name not in self._reasons]

    def missing(self, digests: Sequence[str]) -> list[int]:
        """Positions of inputs not on the shelf, readable or not; of equal ones the first.

        What is there is verified before it counts: a segment with a damaged row or thumbnail among them is deleted, and
        all of its rows are absent. `damaged` counts them.
        """
        self._verify(digests)
        return self.absent(digests)

    def _verify(self, digests: Sequence[str]) -> bool:
        """Reads the rows and thumbnails of these inputs, once each. False where some were damaged: they are absent."""
        intact = True
        while True:
            names = (bytes.fromhex(d) for d in digests)
            located = np.array([loc for n in names if (loc := self._locations.get(n))], np.int64).reshape(-1, 2)
            numbers = np.unique(located[:, 0]).tolist()
            damaged = [n for n in numbers if not self.segments[n].is_intact(located[located[:, 0] == n, 1])]
            if not damaged:
                return intact
            intact = False
            for number in damaged:
                self._drop(self.segments[number].path, len(self.segments[number].digests))
            # Another segment may hold the same rows, and is verified in turn.
            self._index([s for n, s in enumerate(self.segments) if n not in damaged])

    def append(self, entries: Sequence[CacheEntry]) -> None:
        """Keeps entries, all or none. Raises CacheError when the disk refuses."""
        if not entries:
            return
        with writing_cache(self.folder):
            path = write_segment(self.folder, entries)
            segment = read_segment(path)
        if segment is None:
            raise CacheError(f"{path} could not be read back right after it was written. Is the disk failing?")
        self._add(segment)

    def compact(self) -> None:
        """Merges all segments where at least half of the rows are new since opening: contiguous rows can be mapped.

        A row is so rewritten at most once each time the shelf doubles.
        """
        if len(self.segments) > 1 and len(self._locations) >= 2 * self._count_at_opening:
            self._merge()

    def save_receipt(self, receipt: Receipt) -> None:
        """Stores the proof that no frozen weight changed while rows were computed."""
        with writing_cache(self.folder):
            write_checked_json(self.folder / f"receipt-{time.time_ns():016x}.json", asdict(receipt))

    def receipts(self) -> list[Receipt]:
        """All receipts, oldest first."""
        stored = [read_checked_json(path) for path in matching(self.folder, "receipt-*.json")]
        known = {f.name for f in fields(Receipt)}  # a later version may say more
        receipts = [{k: v for k, v in facts.items() if k in known} for facts in stored if facts]
        return [Receipt(**{**facts, "moved": tuple(facts["moved"])}) for facts in receipts]

    def rows(self, digests: Sequence[str]) -> Any:
        """(n, …) as stored, or Ragged: a read-only map where they are contiguous, else a copy (Ragged stays a map).

        Raises CacheError when one is absent, or not what was written.
        """
        locations = self._locate_verified(digests)
        if not locations:
            return np.zeros((0, 0), np.float32)
        number, first = locations[0]
        if all(s == number and p == first + i for i, (s, p) in enumerate(locations)):
            return self.segments[number].rows[first : first + len(locations)]
        first_rows = self.segments[number].rows
        if isinstance(first_rows, Ragged):
            entries = [self.segments[s].entry(p) for s, p in locations]
            return Ragged(tuple(e.row for e in entries if e.row is not None), tuple(e.windows for e in entries))
        index = np.array(locations, dtype=np.int64)
        out = np.empty((len(locations), *first_rows.shape[1:]), first_rows.dtype)
        for s in np.unique(index[:, 0]):
            positions = np.flatnonzero(index[:, 0] == s)
            out[positions] = self.segments[s].rows[index[positions, 1]]
        return out

    def reasons(self, digests: Sequence[str]) -> dict[int, str]:
        """Position -> why, of the inputs that cannot be read."""
        names = [bytes.fromhex(d) for d in digests]
        return {i: self._reasons[n] for i, n in enumerate(names) if n not in self._locations and n in self._reasons}

    def beyond(self, digests: Sequence[str]) -> np.ndarray:
        """(n,) float32 share of each input that truncation to one window would cut off."""
        return np.array([self.segments[s].beyond[p] for s, p in self._locate(digests)], np.float32)

    def thumbnails(self, digests: Sequence[str]) -> list[bytes]:
        """Thumbnails, b"" where there is none."""
        return [bytes(self.segments[s].thumbnail(p)) for s, p in self._locate_verified(digests)]

    def _locate_verified(self, digests: Sequence[str]) -> list[tuple[int, int]]:
        if not self._verify(digests):
            raise CacheError(
                f"{self.folder} was damaged since it was opened. What is damaged was dropped: run this again. If it "
                "comes again, look at the disk, or move the cache: HEADSTART_CACHE=FOLDER."
            )
        return self._locate(digests)

    def _locate(self, digests: Sequence[str]) -> list[tuple[int, int]]:
        try:
            return [self._locations[bytes.fromhex(d)] for d in digests]
        except KeyError as error:
            raise CacheError(
                f"{self.folder} has no row for an input it was asked for. Clear it: headstart cache clear"
            ) from error

    def _merge(self) -> None:
        """Makes one segment of all. It appears before the old ones are deleted, so that no row is ever missing."""
        damaged = [s for s in self.segments if not s.is_intact()]  # a merged row would prove itself anew
        for segment in damaged:
            self._drop(segment.path, len(segment.digests))
        if damaged:
            self._index([s for s in self.segments if s not in damaged])
        old = self.segments[:]
        wanted = [(s, p, self._locations[d] == (n, p)) for n, s in enumerate(old) for p, d in enumerate(s.digests)]
        entries = [s.entry(p) for s, p, first in wanted if first]
        entries += [CacheEntry(name.hex(), None, reason=reason) for name, reason in self._reasons.items()]
        try:
            write_segment(self.folder, entries)
            for segment in old:
                remove(segment.path)
        except OSError:
            return  # merging is optional: on a read-only or full disk all segments stay readable
        self._open()
