"""Features on disk. The name of a shelf is everything that could change its numbers; its segments never change.

    <root>/features/<key>/shelf.json    what it holds, for people
    <root>/features/<key>/*.seg         rows by digest of an input's bytes, see segments.py
    <root>/features/<key>/receipt-*     proof that the network did not move while they were made
    <root>/cards/<name>.json            cards of backbones met before, see cards.py

No locks: a segment appears by an atomic rename, so any number of processes may write at once, and a kill loses at most
what was not yet appended.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import CacheError
from headstart.core.features import Ragged
from headstart.core.files import read_json, sweep, unwritable, write_whole
from headstart.core.result import Receipt
from headstart.features.cache.segments import SUFFIX, Entry, Segment, read, write

SCHEMA = 1
DECODING = 2  # how photos become pixels: large JPEGs at a part of their size
LIMIT = 20.0  # GB; 4 million rows of 1,280 numbers, and a tenth of a small laptop's disk
MANY = 64  # segments; opening one costs 0.2 ms


def default_root() -> Path:
    """The user's cache folder for Headstart; HEADSTART_CACHE moves it."""
    if given := os.environ.get("HEADSTART_CACHE"):
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "headstart"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "headstart"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headstart"


def limit() -> int:
    """Bytes that the cache may hold; HEADSTART_CACHE_GB sets it. Raises CacheError when that is no number."""
    given = os.environ.get("HEADSTART_CACHE_GB") or LIMIT
    try:
        return int(float(given) * 1e9)
    except ValueError as error:
        raise CacheError(f"HEADSTART_CACHE_GB is {given!r}; a number of gigabytes is expected, as in 20.") from error


def key(backbone: Backbone, cut: Cut, dtype: str = "float32") -> str:
    """Same key, same numbers: weights, preprocessing, blocks, cut, precision and dtype are all in it."""
    blocks = [b.name for b in backbone.blocks]
    facts: dict[str, object] = {
        "weights": backbone.weights,
        "preprocess": asdict(backbone.preprocess),
        "blocks": blocks,
    }
    if backbone.preprocess.kind == "image":
        facts |= {"decoding": DECODING}
    if cut.precision != "float32":
        facts |= {"precision": cut.precision}
    return digest.of_value({**facts, "family": backbone.family, "at": cut.at, "dtype": dtype, "schema": SCHEMA})


class Shelf:
    """The rows of one (backbone, cut, dtype), by digest of an input's bytes."""

    def __init__(self, root: Path, backbone: Backbone, cut: Cut, dtype: str = "float32"):
        """Raises CacheError when the folder cannot be made."""
        self.key = key(backbone, cut, dtype)
        self.folder = root / "features" / self.key
        self.facts = {"backbone": backbone.name, "weights": backbone.weights, "cut": cut.at, "dtype": dtype}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "shelf.json").exists():
                write_whole(self.folder / "shelf.json", {**self.facts, "schema": SCHEMA})
        except OSError as error:
            raise unwritable(self.folder, error) from error
        _touch(self.folder)
        self._open()
        self._before = len(self._place)
        if len(self.segments) > MANY:
            self._merge()

    def _open(self) -> None:
        """Reads every segment's index; damaged ones count as absent and their rows are made again."""
        while True:
            paths = sorted(self.folder.glob(f"*{SUFFIX}"))
            found = [read(path) for path in paths]
            # One that vanished was merged by another process into a segment that is not in the list yet.
            if all(s is not None or path.exists() for s, path in zip(found, paths, strict=True)):
                break
        self.segments: list[Segment] = [s for s in found if s is not None]
        self._place: dict[bytes, tuple[int, int]] = {}
        self._reason: dict[bytes, str] = {}
        for number, segment in enumerate(self.segments):
            self._add(number, segment)

    def _add(self, number: int, segment: Segment) -> None:
        for position, name in enumerate(segment.digests):
            self._place.setdefault(name, (number, position))
        for name, reason in segment.reasons.items():
            self._reason.setdefault(name, reason)

    def examine(self, limit: int) -> int:
        """Reads rows against their checksums, segments of at most `limit` bytes together; drops those that do not fit.

        Gives how many rows are dropped: they count as absent, and are made again.
        """
        sound, dropped, read_so_far = [], 0, 0
        for segment in self.segments:
            read_so_far += segment.rows.nbytes
            if read_so_far <= limit and not segment.sound():
                dropped += len(segment.digests)
                segment.path.unlink(missing_ok=True)
            else:
                sound.append(segment)
        if dropped:
            self.segments, self._place, self._reason = sound, {}, {}
            for number, segment in enumerate(sound):
                self._add(number, segment)
        return dropped

    def missing(self, digests: Sequence[str]) -> list[int]:
        """Positions of inputs not on the shelf, readable or not; of equal ones the first."""
        seen: set[bytes] = set()
        out = []
        for i, name in enumerate(map(bytes.fromhex, digests)):
            if name not in self._place and name not in self._reason and name not in seen:
                seen.add(name)
                out.append(i)
        return out

    def append(self, entries: Sequence[Entry]) -> None:
        """Keeps entries, all or none. Raises CacheError when the disk refuses."""
        if not entries:
            return
        try:
            path = write(self.folder, entries)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        segment = read(path)
        if segment is None:
            raise CacheError(f"{path} could not be read back right after it was written. Is the disk failing?")
        self.segments.append(segment)
        self._add(len(self.segments) - 1, segment)

    def settle(self) -> None:
        """Makes one segment of all where at least half of it is new since opening, so that rows are one run to map.

        A row is so written again at most once each time the shelf doubles.
        """
        if len(self.segments) > 1 and len(self._place) >= 2 * self._before:
            self._merge()

    def seal(self, receipt: Receipt) -> None:
        """Keeps the proof that nothing frozen moved while rows were made."""
        try:
            write_whole(self.folder / f"receipt-{time.time_ns():016x}.json", asdict(receipt))
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def receipts(self) -> list[Receipt]:
        """All proofs, oldest first."""
        some = [read_json(path) for path in sorted(self.folder.glob("receipt-*.json"))]
        known = {f.name for f in fields(Receipt)}  # a later version may say more
        kept = [{k: v for k, v in facts.items() if k in known} for facts in some if facts]
        return [Receipt(**{**facts, "moved": tuple(facts["moved"])}) for facts in kept]

    def rows(self, digests: Sequence[str]) -> Any:
        """(n, …) as kept, or Ragged: a read-only map where they lie in one run, else a copy (Ragged stays a map).

        Raises CacheError when one is absent.
        """
        places = self._places(digests)
        if not places:
            return np.zeros((0, 0), np.float32)
        number, first = places[0]
        if all(s == number and p == first + i for i, (s, p) in enumerate(places)):
            return self.segments[number].rows[first : first + len(places)]
        like = self.segments[number].rows
        if isinstance(like, Ragged):
            some = [self.segments[s].entry(p) for s, p in places]
            return Ragged(tuple(e.row for e in some if e.row is not None), tuple(e.windows for e in some))
        where = np.array(places, dtype=np.int64)
        out = np.empty((len(places), *like.shape[1:]), like.dtype)
        for s in np.unique(where[:, 0]):
            mine = np.flatnonzero(where[:, 0] == s)
            out[mine] = self.segments[s].rows[where[mine, 1]]
        return out

    def reasons(self, digests: Sequence[str]) -> dict[int, str]:
        """Position -> why, of the inputs that cannot be read."""
        names = [bytes.fromhex(d) for d in digests]
        return {i: self._reason[n] for i, n in enumerate(names) if n not in self._place and n in self._reason}

    def beyond(self, digests: Sequence[str]) -> np.ndarray:
        """(n,) float32 share of each input beyond one window."""
        return np.array([self.segments[s].beyond[p] for s, p in self._places(digests)], np.float32)

    def previews(self, digests: Sequence[str]) -> list[bytes]:
        """Thumbnails, b"" where there is none."""
        return [bytes(self.segments[s].preview(p)) for s, p in self._places(digests)]

    def _places(self, digests: Sequence[str]) -> list[tuple[int, int]]:
        try:
            return [self._place[bytes.fromhex(d)] for d in digests]
        except KeyError as error:
            raise CacheError(
                f"{self.folder} has no row for an input it was asked for. Clear it: headstart cache clear"
            ) from error

    def _merge(self) -> None:
        """Many small segments become one. The new one appears before the old ones go, so that none is ever missing."""
        small = self.segments[:]
        wanted = [(s, p, self._place[d] == (n, p)) for n, s in enumerate(small) for p, d in enumerate(s.digests)]
        entries = [s.entry(p) for s, p, first in wanted if first]
        entries += [Entry(name.hex(), None, reason=reason) for name, reason in self._reason.items()]
        try:
            write(self.folder, entries)
            for segment in small:
                segment.path.unlink(missing_ok=True)
            sweep(self.folder)
        except OSError:
            return  # a merge is a favour: a read-only or full disk keeps what it has, and all of it stays readable
        self._open()


def _touch(folder: Path) -> None:
    try:
        (folder / "used").touch()
    except OSError:
        return  # a cache that others filled and we may only read
