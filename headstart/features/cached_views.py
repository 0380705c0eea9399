"""Features of augmented views of images at a cut, computed once and cached beside those of view 0."""

from __future__ import annotations

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
from headstart.data.contents import iter_contents
from headstart.features.augmentation import TIMID, apply_view, rng_for_view, sample_view
from headstart.features.cache import maintenance, store
from headstart.features.cache.segments import CacheEntry
from headstart.features.cache.writer import ShelfWriter
from headstart.features.extract import features_at_cut, storage_dtype
from headstart.features.image_decoding import decode_image
from headstart.features.runner import start_engine

SHARD = 64  # images whose views are drawn at a time: bounds memory


def cached_views(
    examples: Sequence[Example],
    card: Backbone,
    cut: Cut,
    count: int,
    seed: int,
    root: Path,
    emit: Callable[[str, dict], None] = lambda event, facts: None,
) -> tuple[Any, ...]:
    """Views 1 to `count` of readable images, each an array of rows in the order of `examples`; () for texts.

    Raises PlanError where the network's input is not square, and what opening the network raises.
    """
    if not count or card.preprocess.kind != "image":
        return ()
    side = _input_side(card)
    shelf = store.Shelf(root, card, cut, storage_dtype(card.preprocess, cut))
    digests = [[_view_digest(e, view, seed) for e in examples] for view in range(1, count + 1)]
    missing = shelf.missing([d for of_view in digests for d in of_view])
    if missing:
        views_of: dict[int, list[int]] = {}  # photo -> its missing views
        for position in missing:
            view, photo = divmod(position, len(examples))
            views_of.setdefault(photo, []).append(view + 1)
        extractor = start_engine(card, cut, len(missing), root)
        emit("opening", {"backbone": card.name, "todo": len(missing), "cached": 0, "views": count})
        photos = iter_contents([examples[photo] for photo in sorted(views_of)])
        drawn = ((e, c, views_of[photo]) for photo, (e, c) in zip(sorted(views_of), photos, strict=True))
        with ShelfWriter(shelf, "views", len(missing), emit) as writer:
            while shard := list(islice(drawn, SHARD)):
                keys, units = _draw_views(shard, side, seed, card.preprocess.pixel_range)
                rows = features_at_cut(units, card.preprocess, cut, extractor)
                writer.add([CacheEntry(key, row) for key, (row, _) in zip(keys, rows, strict=True)])
        shelf.save_receipt(extractor.receipt())
        shelf.compact()
        maintenance.evict(root, store.size_limit(), keep=(shelf.key,))
    return tuple(shelf.rows(of_view) for of_view in digests)


def _draw_views(
    photos: list[tuple[Example, bytes | str | Unreadable, list[int]]],
    side: int,
    seed: int,
    pixel_range: tuple[float, float] | None,
) -> tuple[list[str], list[list[np.ndarray]]]:
    """Digests and pixels, (side, side, 3) uint8, of the named views of each photo, which is decoded once."""
    digests, units = [], []
    for example, content, views in photos:
        if isinstance(content, Unreadable):
            raise PlanError(f"{example.id} was read a moment ago and is not readable now: {content}.")
        pixels = np.asarray(decode_image(content if isinstance(content, bytes) else content.encode(), 0, pixel_range))
        for view in views:
            parameters = sample_view(rng_for_view(seed, example.digest, view), TIMID, *pixels.shape[:2])
            digests.append(_view_digest(example, view, seed))
            units.append([apply_view(pixels, parameters, side)])
    return digests, units


def _view_digest(example: Example, view: int, seed: int) -> str:
    return digest.of_value([example.digest, view, seed, tuple(asdict(TIMID).items())])


def _input_side(card: Backbone) -> int:
    size: Any = card.preprocess["input_size"]
    _, height, width = size
    if height != width:
        raise PlanError(f"{card.name} reads {width} x {height} pixels; views are square. Fit with --set views=0.")
    return int(height)
