"""Full fine-tuning: every weight of the backbone learns, each block slower than the one above it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.methods.finetune import restore, tuned

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.tuned import Tuned


__all__ = ["Settings", "restore"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How everything is fine-tuned.

    steps, batch: how long; 0 steps = by the number of examples and the budget
    rate:   learning rate of the topmost block.  decay: each block below learns at so many times that of the one above
    smooth: label smoothing.  norms: BatchNorm's statistics as borrowed ("frozen"), or following the batches ("adapt")
    views:  stored augmented views of each photo beside the plain one
    """

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
        """Below everything."""
        return backbone.cut(0)

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Tuned:
        """Everything learns; val chooses the step to keep."""
        return tuned(self, train, val, objective, above, rng)
