"""Near-duplicates as groups, so that no split made here has one side judge what the other all but saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headstart import near
from headstart.extract import embed
from headstart.glance import glances
from headstart.planner import default, find_card
from headstart.run import Run
from headstart.task import Example


def by_twins(kind: str, examples: Sequence[Example], backbone: str, root: Path, run: Run | None) -> tuple[str, ...]:
    """The group of each example, as its owner gave it, joined where groups hold near-duplicates; "" = alone.

    kind: of the task.  backbone: as `fit` takes it: photos are looked at through it
    Raises what embedding raises.
    """
    if kind == "text":
        return near.grouped(kind, examples, np.zeros((len(examples), 0), np.float32), None)
    if backbone in ("own", "auto"):
        backbone = default(kind, hub_too=backbone == "auto")[0]
    card = find_card(backbone, root)
    rows = embed(examples, card, card.cut(len(card.blocks)), root, run)
    some = [examples[i] for i in rows.index]

    def previews(positions: Sequence[int]) -> list[bytes]:
        return rows.shelf.previews([some[i].digest for i in positions]) if rows.shelf else [b""] * len(positions)

    looked = glances(some, previews, root) if kind == "image" else None
    found = dict(zip(rows.index.tolist(), near.grouped(kind, some, rows.x, looked), strict=True))
    return tuple(found.get(i, e.group) for i, e in enumerate(examples))
