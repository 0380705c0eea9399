"""From scratch: the same architecture from random weights, the baseline that tells whether borrowing helped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.task import Objective

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.tuned import Tuned


@dataclass(frozen=True, slots=True)
class Settings:
    """How a network without a past is trained.

    steps:  0 = by the number of examples and the budget, and twice as many as fine-tuning takes.  batch: of a step
    rate:   learning rate of everything.  weight: decay of matrices
    smooth: label smoothing.  views: stored augmented views of each photo beside the plain one
    """

    longer: ClassVar[float] = 2.0  # times the steps of fine-tuning
    steps: int = 0
    batch: int = 16
    rate: float = 1e-3
    weight: float = 0.05
    smooth: float = 0.1
    views: int = 2

    @property
    def joins(self) -> bool:
        """Val chooses the step to keep."""
        return False

    def cut(self, backbone: Backbone) -> Cut:
        """Below everything: nothing is borrowed but the architecture."""
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
        """Random weights, then everything learns; val chooses the step to keep."""
        from headstart.training.tuning import optim, trainer, tuned

        seed = int(rng.integers(2**31))

        def begin(learner: Learner) -> None:
            alter(learner, asdict(self))
            forget(learner, seed)

        learner, rows = tuned.opened(above, objective, train, begin)
        recipe = optim.Recipe(
            self.steps, self.batch, self.rate, self.rate, 1.0, self.weight, smooth=self.smooth, norms="adapt"
        )
        return trainer.learn(learner, rows, train, val, objective, recipe, asdict(self), rng)


def forget(learner: Learner, seed: int) -> None:
    """Draws every weight anew, as its layer does; tokens and positions from a narrow normal, as BERT and ViT do."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for parameter in learner.body.parameters():
            if parameter.ndim != 1:
                nn.init.trunc_normal_(parameter, std=0.02)
        for module in learner.body.modules():
            if isinstance(module, nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=0.02)
            elif hasattr(module, "reset_parameters") and not isinstance(module, nn.MultiheadAttention):
                module.reset_parameters()  # type: ignore[operator]


def alter(learner: Learner, settings: dict) -> None:
    """Everything learns, BatchNorm's statistics too."""
    learner.body.requires_grad_(True)
    learner.norms = "adapt"


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart.training.tuning import tuned

    return tuned.restored(state, above, alter)
