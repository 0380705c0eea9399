"""Weights between the borrowed and the tuned: linear probing and fine-tuning, then a mean of start and end.

Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT), with the probe's head at the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.plan import OpenAbove, Traits
from headstart.core.task import Objective
from headstart.training.shared_settings import Stepwise, cut_below, restore_for

if TYPE_CHECKING:
    from headstart.training.tuning.checkpoints import Weights
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.trainer import TrainingData
    from headstart.training.tuning.tuned import Tuned

ALPHAS = tuple(round(0.1 * k, 1) for k in range(11))  # that are tried on val


@dataclass(frozen=True, slots=True)
class Settings(Stepwise):
    """How start and end are mixed.

    layer_decay:     learning rate of a block, relative to that of the block above it (layer-wise lr decay)
    label_smoothing: fraction of each target that is spread over all classes
    blocks:          how many of the topmost blocks learn; 0 = a quarter of the backbone's
    alpha:           weight of the end; below 0 = the one with the least loss on val, a half without val
    """

    traits: ClassVar[Traits] = Traits(best_for="data that will drift away from the training set", is_plain_network=True)
    starts_from_probe: ClassVar[bool] = True
    head_factor: ClassVar[float] = 2.0

    learning_rate: float = 5e-5
    layer_decay: float = 0.8
    label_smoothing: float = 0.1
    blocks: int = 0
    alpha: float = -1.0

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that learn."""
        return cut_below(backbone, self.blocks)

    def fit(
        self, train: Features, val: Features, objective: Objective, *, above: OpenAbove, rng: np.random.Generator
    ) -> Tuned:
        """The probe's head first, then everything above the cut, then the mix; notes have the loss of each alpha."""
        from headstart.training.tuning.fine_tuning import fine_tune

        return fine_tune(self, train, val, objective, above, rng, finish=self._mix)

    def _mix(self, learner: Learner, data: TrainingData, start: Weights) -> dict:
        """Puts the mean of start and end into the learner; gives notes."""
        from headstart.training.tuning.checkpoints import copy_trained, load_trained, validation_loss

        end = copy_trained(learner)

        def loss_at(alpha: float) -> float:
            load_trained(learner, {name: start[name].lerp(end[name], alpha) for name in end})
            return validation_loss(learner, data.val, data.objective) if len(data.val) else float("nan")

        curve = [{"share": alpha, "loss": loss_at(alpha)} for alpha in ALPHAS] if len(data.val) else []
        best = min(curve, key=lambda point: point["loss"])["share"] if curve else 0.5
        chosen = self.alpha if self.alpha >= 0 else best
        loss_at(chosen)
        return {"share": chosen, "curve": curve}

    def modify(self, learner: Learner) -> None:
        """Everything above the cut learns."""
        learner.body.requires_grad_(True)


restore = restore_for(Settings)
