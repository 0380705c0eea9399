"""(IA)³: keys, values and the inputs of the last feed-forward layer are rescaled by learned vectors, through PEFT.

Source: Liu et al. 2022, "Few-shot parameter-efficient fine-tuning". Where one layer makes
queries, keys and values, all three are rescaled; of a network without keys, what enters each of its layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.methods.finetune import evenly, half

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.tuned import Tuned


KEYS = ("qkv", "Wqkv", "kv", "key", "value", "k", "v", "k_proj", "v_proj", "k_lin", "v_lin")
FEEDS = ("fc2", "output.dense", "down_proj", "lin2", "mlp.Wo")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is rescaled.

    blocks: in how many of the topmost blocks; 0 = half of the backbone's
    steps, batch: how long; 0 steps = by the number of examples and the budget
    rate:   learning rate of the vectors and of the head
    smooth: label smoothing.  views: stored augmented views of each photo beside the plain one
    """

    blocks: int = 0
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
        """The vectors and the head learn; val chooses the step to keep."""
        return evenly(self, alter, train, val, objective, above, rng)


def alter(learner: Learner, settings: dict) -> None:
    """Adds vectors of ones, so that nothing changes before the first step."""
    from headstart.training.tuning import peft_adapters

    def configure(peft: Any, targets: dict[str, Any]) -> Any:
        feeds = [n for n in targets if n.endswith(FEEDS) and "attention.output" not in n]
        keys = [n for n in targets if n.rpartition(".")[2] in KEYS]
        if not keys:
            feeds = list(targets)
        return peft.IA3Config(target_modules=[*keys, *feeds], feedforward_modules=feeds)

    peft_adapters.inject(learner, configure)


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart.training.tuning import tuned

    return tuned.restored(state, above, alter)
