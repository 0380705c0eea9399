"""Biases and norms alone: a thousandth of the weights learns, and the matrices stay as borrowed.

Source: Ben Zaken et al. 2022, "BitFit"; Frankle et al. 2021 for norms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.methods.finetune import evenly, half

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.tuned import Tuned


@dataclass(frozen=True, slots=True)
class Settings:
    """How biases and norms are tuned.

    blocks: of how many of the topmost blocks; 0 = half of the backbone's
    steps, batch: how long; 0 steps = by the number of examples and the budget
    rate:   learning rate of all of them, and of the head
    smooth: label smoothing.  views: stored augmented views of each photo beside the plain one
    """

    blocks: int = 0
    steps: int = 0
    batch: int = 16
    rate: float = 1e-3
    smooth: float = 0.1
    views: int = 2

    @property
    def joins(self) -> bool:
        """Val chooses the step to keep."""
        return False

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks whose biases learn."""
        return half(backbone, self.blocks)

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Tuned:
        """Vectors above the cut and the head learn; val chooses the step to keep."""
        return evenly(self, alter, train, val, objective, above, rng)


def alter(learner: Learner, settings: dict) -> None:
    """Vectors learn: biases, and the scales of norms."""
    for parameter in learner.body.parameters():
        parameter.requires_grad_(parameter.ndim <= 1)


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart.training.tuning import tuned

    return tuned.restored(state, above, alter)
