"""What teachers say of stored views: each is asked once about each view; answers are kept in the feature cache."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Backbone, Preprocess
from headstart.core.errors import Stopped
from headstart.core.plugins import member
from headstart.features.augmentation import Policy
from headstart.features.cache import maintenance, store
from headstart.features.cache.segments import Entry
from headstart.features.extract import SAVE_SECONDS
from headstart.features.runner import start
from headstart.pretraining.contracts import Teaching
from headstart.pretraining.image_corpus import Pictures

SHARD = 128  # views drawn between two words of progress


def teach(
    card: Backbone,
    pictures: Pictures,
    views: int,
    policy: Policy,
    seed: int,
    root: Path,
    say: Callable[[str, dict], None] = lambda event, facts: None,
) -> Teaching:
    """The rows of one teacher for views 1 to `views` of every picture, at the teacher's own size.

    Raises Stopped when the teacher did not stay as it was.
    """
    whole = pictures.name() if policy.mix else ""
    what = (("policy", tuple(asdict(policy).items())), ("seed", seed), ("with", whole))
    settings = (*card.preprocess.settings, ("views", what))
    shelf = store.Shelf(
        root, replace(card, preprocess=Preprocess(card.preprocess.kind, settings)), card.cut(len(card.blocks))
    )
    names = [digest.of_bytes(f"{d}/{v}".encode()) for v in range(1, views + 1) for d in pictures.digests]
    todo = shelf.missing(names)
    if todo:
        _ask(
            shelf,
            card,
            pictures,
            [(names[i], i % len(pictures), 1 + i // len(pictures)) for i in todo],
            policy,
            seed,
            say,
        )
        shelf.settle()
        maintenance.evict(root, store.limit(), keep=(shelf.key,))
    return Teaching(card.name, shelf.rows(names), member("backbones", card.family).classifier(card))


def _ask(
    shelf: store.Shelf,
    card: Backbone,
    pictures: Pictures,
    todo: list[tuple[str, int, int]],
    policy: Policy,
    seed: int,
    say: Callable[[str, dict], None],
) -> None:
    say("opening", {"backbone": card.name, "todo": len(todo), "cached": 0})
    side = int(card.preprocess["input_size"][1])  # type: ignore[index]
    running = start(card, card.cut(len(card.blocks)), len(todo))
    entries: list[Entry] = []
    began = saved = time.perf_counter()

    def view(item: tuple[str, int, int]) -> np.ndarray:
        return pictures.view(item[1], item[2], policy, seed, side)

    with ThreadPoolExecutor(2) as pool:
        try:
            for first in range(0, len(todo), SHARD):
                some = todo[first : first + SHARD]
                rows = running.rows(list(pool.map(view, some)))
                entries += [Entry(name, row) for (name, _, _), row in zip(some, rows, strict=True)]
                done = first + len(some)
                rate = done / (time.perf_counter() - began)
                say("progress", {"stage": "teach", "done": done, "total": len(todo), "rate": round(rate, 1)})
                if time.perf_counter() - saved > SAVE_SECONDS:
                    shelf.append(entries)
                    entries, saved = [], time.perf_counter()
        finally:
            shelf.append(entries)
    receipt = running.receipt()
    shelf.seal(receipt)
    if receipt.moved:
        raise Stopped(f"The teacher {card.name} changed while it was asked: {', '.join(receipt.moved[:3])}.")
