"""Rows that go onto a shelf while they are computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from headstart.features.cache.segments import CacheEntry
from headstart.features.cache.store import Shelf

SAVE_SECONDS = 20.0  # of work that a kill loses at most


class ShelfWriter:
    """A context in which entries are added as they are computed; they are saved every 20 s and at the end.

    stage: its name in the progress events.  total: entries that are expected
    """

    def __init__(self, shelf: Shelf, stage: str, total: int, emit: Callable[[str, dict], None]):
        self._shelf, self._stage, self._total, self._emit = shelf, stage, total, emit
        self._unsaved: list[CacheEntry] = []
        self._done = 0
        self._started = self._saved = time.perf_counter()

    def __enter__(self) -> ShelfWriter:
        return self

    def add(self, entries: Sequence[CacheEntry]) -> None:
        """Takes the next entries. Raises CacheError when the disk refuses."""
        self._unsaved += entries
        self._done += len(entries)
        now = time.perf_counter()
        rate = round(self._done / (now - self._started), 1)
        self._emit("progress", {"stage": self._stage, "done": self._done, "total": self._total, "rate": rate})
        if now - self._saved > SAVE_SECONDS:
            self._save()
            self._saved = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self._save()

    def _save(self) -> None:
        self._shelf.append(self._unsaved)
        self._unsaved = []
