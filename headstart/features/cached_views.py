"""Stored augmented views of photos at a cut: computed once like everything else below it, and kept beside view 0."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError, Unreadable
from headstart.core.task import Example
from headstart.data import contents
from headstart.features.augmentation import TIMID, dice, drawn, shown
from headstart.features.cache import maintenance, store
from headstart.features.cache.segments import Entry
from headstart.features.extract import SAVE_SECONDS, crossing, dtype_of
from headstart.features.image_decoding import decode
from headstart.features.runner import start

SHARD = 64  # photos whose views are drawn at a time


def views_of(
    examples: Sequence[Example],
    card: Backbone,
    cut: Cut,
    count: int,
    seed: int,
    root: Path,
    say: Callable[[str, dict], None] = lambda event, facts: None,
) -> tuple[Any, ...]:
    """Views 1 to `count` of readable photos, each an array of rows in the order of `examples`. None for texts.

    Raises PlanError where the network's input is not square, and what opening the network raises.
    """
    if not count or card.preprocess.kind != "image":
        return ()
    side = _side(card)
    shelf = store.Shelf(root, card, cut, dtype_of(card.preprocess, cut))
    names = [[_name(e, number, seed) for e in examples] for number in range(1, count + 1)]
    todo = shelf.missing([name for row in names for name in row])
    if todo:
        missing: dict[int, list[int]] = {}
        for at in todo:
            missing.setdefault(at % len(examples), []).append(at // len(examples))
        _fill(shelf, card, cut, examples, names, dict(sorted(missing.items())), side, seed, root, say)
        shelf.settle()
        maintenance.evict(root, store.limit(), keep=(shelf.key,))
    return tuple(shelf.rows(row) for row in names)


def _side(card: Backbone) -> int:
    size: Any = card.preprocess["input_size"]
    _, height, width = size
    if height != width:
        raise PlanError(f"{card.name} reads {width} x {height} pixels; views are square. Fit with --set views=0.")
    return int(height)


def _name(example: Example, number: int, seed: int) -> str:
    return digest.of_value([example.digest, number, seed, tuple(asdict(TIMID).items())])


def _fill(
    shelf: store.Shelf,
    card: Backbone,
    cut: Cut,
    examples: Sequence[Example],
    names: list[list[str]],
    missing: dict[int, list[int]],
    side: int,
    seed: int,
    root: Path,
    say: Callable[[str, dict], None],
) -> None:
    """Decodes each photo once and draws the views of it that the shelf lacks. missing: photo -> view numbers from 0"""
    running = start(card, cut, sum(map(len, missing.values())), root)
    items = iter(zip(missing.items(), contents.stream([examples[i] for i in missing]), strict=True))
    total, done, began = sum(map(len, missing.values())), 0, time.perf_counter()
    entries: list[Entry] = []
    saved = began
    say("opening", {"backbone": card.name, "todo": total, "cached": 0, "views": len(names)})
    try:
        while shard := list(islice(items, SHARD)):
            keys, drawings = [], []
            for (i, wanted), (example, content) in shard:
                picture = _picture(example, content)
                for number in wanted:
                    look = drawn(dice(seed, example.digest, number + 1), TIMID, *picture.shape[:2])
                    keys.append(names[number][i])
                    drawings.append([shown(picture, look, side)])
            rows = crossing(drawings, card.preprocess, cut, running)
            entries += [Entry(key, row) for key, (row, _) in zip(keys, rows, strict=True)]
            done += len(keys)
            now = time.perf_counter()
            say("progress", {"stage": "views", "done": done, "total": total, "rate": round(done / (now - began), 1)})
            if now - saved > SAVE_SECONDS:
                shelf.append(entries)
                entries, saved = [], time.perf_counter()
    finally:
        shelf.append(entries)
    shelf.seal(running.receipt())


def _picture(example: Example, content: bytes | str | Unreadable) -> np.ndarray:
    if isinstance(content, Unreadable):
        raise PlanError(f"{example.id} was read a moment ago and is not readable now: {content}.")
    return np.asarray(decode(content if isinstance(content, bytes) else content.encode()))
