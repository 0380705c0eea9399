"""Runs backbones that are plain numpy functions: the floor, and vectors computed elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headstart.backbone import Backbone, Cut
from headstart.errors import PlanError
from headstart.find import member
from headstart.result import Receipt

BATCH = 32  # units at a time: bounds memory


def takes(runs: str, kind: str, todo: int) -> int:
    """Backbones whose parts are plain functions."""
    return int(runs == "numpy")


def start(backbone: Backbone, cut: Cut) -> Functions:
    """The backbone at work. Raises PlanError below the top: there is nothing above that could learn."""
    if not cut.top:
        raise PlanError(
            f"{backbone.name} can only be cut at the top, {len(backbone.blocks)}: it has no layers to train."
        )
    stem, blocks, pool = member("backbones", backbone.family).parts(backbone)
    return Functions(backbone, (stem, *blocks, pool))


@dataclass(frozen=True, slots=True)
class Functions:
    """A chain of functions; there are no weights that could move."""

    backbone: Backbone
    chain: tuple[Callable, ...]

    def rows(self, units: list[np.ndarray]) -> np.ndarray:
        """(u, d) float32, in the order of the units."""
        spec = self.backbone.preprocess
        prepare = member("preprocess", spec.kind)
        out = np.empty((len(units), self.backbone.width), np.float32)
        for first in range(0, len(units), BATCH):
            some = units[first : first + BATCH]
            x = prepare.batch(some, spec)
            for step in self.chain:
                x = step(x)
            out[first : first + len(some)] = x
        return out

    def receipt(self) -> Receipt:
        """Nothing to compare: the recipe's digest, twice."""
        return Receipt(0, (), self.backbone.weights, self.backbone.weights)
