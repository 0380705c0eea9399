"""Linear probing, then fine-tuning: the topmost blocks learn under a head that has already converged.

Source: Kumar et al. 2022, "Fine-tuning can distort pretrained features and underperform out-of-distribution".
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
    """How the topmost blocks are fine-tuned under a fitted head.

    blocks: how many of them learn; 0 = a quarter of the backbone's
    steps, batch: how long; 0 steps = by the number of examples and the budget
    rate:   learning rate of the topmost block, lower than finetune's: the head has converged
    decay:  each block below learns at so many times the rate of the one above it
    smooth: label smoothing, for which a converged head would have to learn its scale anew
    norms:  BatchNorm's statistics as borrowed ("frozen"), or following the batches ("adapt")
    views:  stored augmented views of each photo beside the plain one
    """

    blocks: int = 0
    steps: int = 0
    batch: int = 16
    rate: float = 3e-5
    decay: float = 0.8
    smooth: float = 0.0
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
        """The probe's head first, then everything above the cut; val chooses the step to keep."""
        return tuned(self, train, val, objective, above, rng, headed=True)
