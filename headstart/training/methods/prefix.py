"""Prefixes: every block above the cut sees learned tokens of its own, which leave it again behind it.

They act as keys and values alone. Source: Li and Liang 2021, in the form of Jia et al. 2022 ("VPT-deep"): the keys and
values are what the block itself makes of the tokens. Transformers only.
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
from headstart.training.methods.prompt import prompted, ready, without

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.tuned import Tuned


@dataclass(frozen=True, slots=True)
class Settings:
    """How many tokens are learned.

    blocks: how many of the topmost blocks see tokens of their own; 0 = half of the backbone's
    tokens: of each block
    steps, batch: how long; 0 steps = by the number of examples and the budget
    rate:   learning rate of the tokens and of the head
    smooth: label smoothing.  views: stored augmented views of each photo beside the plain one
    """

    blocks: int = 0
    tokens: int = 8
    steps: int = 0
    batch: int = 16
    rate: float = 3e-3
    smooth: float = 0.1
    views: int = 2

    @property
    def joins(self) -> bool:
        """Val chooses the step to keep."""
        return False

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that are adapted."""
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
        """The tokens and the head learn; val chooses the step to keep."""
        return evenly(self, alter, train, val, objective, above, rng)


def alter(learner: Learner, settings: dict) -> None:
    """Tokens before each block above the cut, taken off behind it."""
    for at in range(ready(learner), len(learner.body) - 1):
        block = prompted(learner, at, settings["tokens"])
        learner.body[at] = without(block, settings["tokens"])


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart.training.tuning import tuned

    return tuned.restored(state, above, alter)
