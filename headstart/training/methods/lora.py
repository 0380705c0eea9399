"""LoRA: a product of two thin matrices is added to every linear layer and convolution above the cut, through PEFT.

Source: Hu et al. 2022; on all linear layers, Schulman et al. 2025; rsLoRA, Kalajdzievski 2023; DoRA, Liu et al. 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.methods.finetune import evenly, half

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.tuned import Tuned


MOST = 16  # rank, where it is left to us
SHARE = 0.01  # of the backbone's parameters that are trained then, at most
LARGE, LESS = 1e9, 0.001  # and so much of larger ones: few labels do not need more (Schulman et al. 2025)


@dataclass(frozen=True, slots=True)
class Settings:
    """How thin the added matrices are.

    blocks: how many of the topmost blocks are adapted; 0 = half of the backbone's
    rank:   0 = the largest up to 16 at which less than 1 % of the backbone's parameters are trained
    form:   "plain" scales what is added by 2, "rs" by 2 times the root of the rank, "dora" learns its length too
    steps, batch: how long; 0 steps = by the number of examples and the budget
    rate:   learning rate of the added matrices and of the head
    smooth: label smoothing.  views: stored augmented views of each photo beside the plain one
    """

    blocks: int = 0
    rank: int = 0
    form: Literal["plain", "rs", "dora"] = "plain"
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
        """The added matrices and the head learn; val chooses the step to keep."""
        return evenly(self, alter, train, val, objective, above, rng)


def alter(learner: Learner, settings: dict) -> None:
    """Adds the matrices; the second of each pair is zero, so that nothing changes before the first step.

    Without dropout, which took a third of the time on a processor and gained nothing (docs/LOG.md).
    """
    from headstart.training.tuning import peft_adapters

    def configure(peft: Any, targets: dict[str, Any]) -> Any:
        lengths = sum(m.weight.shape[0] for m in targets.values()) if settings["form"] == "dora" else 0
        each = sum(map(peft_adapters.size, targets.values()))
        rank = settings["rank"] or fitting(learner.card.parameters, each, lengths)
        return peft.LoraConfig(
            r=rank,
            lora_alpha=2 * rank,
            target_modules=list(targets),
            use_rslora=settings["form"] == "rs",
            use_dora=settings["form"] == "dora",
        )

    peft_adapters.inject(learner, configure)


def fitting(parameters: int, each: int, fixed: int = 0) -> int:
    """The largest rank up to MOST that trains less than SHARE of the parameters, or LESS of many, 1 at least.

    each: numbers that a rank costs.  fixed: that are trained at any rank
    """
    share = SHARE if parameters < LARGE else LESS
    return max(1, min(MOST, int((share * parameters - fixed) / max(each, 1))))


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart.training.tuning import tuned

    return tuned.restored(state, above, alter)
