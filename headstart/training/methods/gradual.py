"""Gradual unfreezing: the head learns first, then block after block from the top.

Source: Howard and Ruder 2018, "Universal language model fine-tuning for text classification".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.methods.finetune import below, restore, tuned

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.tuned import Tuned


__all__ = ["Settings", "restore"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How blocks are woken.

    blocks: how many learn at the end; 0 = a quarter of the backbone's
    steps, batch: how long; 0 steps = by the number of examples and the budget
    rate:   learning rate of the topmost block.  decay: each block below learns at so many times that of the one above
    smooth: label smoothing.  norms: BatchNorm's statistics as borrowed ("frozen"), or following the batches ("adapt")
    views:  stored augmented views of each photo beside the plain one
    """

    blocks: int = 0
    steps: int = 0
    batch: int = 16
    rate: float = 1e-4
    decay: float = 0.8
    smooth: float = 0.1
    norms: Literal["frozen", "adapt"] = "frozen"
    views: int = 2

    @property
    def joins(self) -> bool:
        """Val chooses the step to keep."""
        return False

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that learn."""
        return below(backbone, self.blocks)

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Tuned:
        """Blocks begin to learn one by one over the first half of the steps; val chooses the step to keep."""
        return tuned(self, train, val, objective, above, rng, thaw=0.5)
