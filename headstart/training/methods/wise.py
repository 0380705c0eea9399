"""Weights between the borrowed and the tuned: linear probing and fine-tuning, then a mean of start and end.

Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT), with the probe's head at the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.plan import Above, Traits
from headstart.core.task import Objective
from headstart.training.shared_settings import Stepwise, cut_below, restore_for

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner
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

    learning_rate: float = 5e-5
    layer_decay: float = 0.8
    label_smoothing: float = 0.1
    blocks: int = 0
    alpha: float = -1.0

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that learn."""
        return cut_below(backbone, self.blocks)

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Tuned:
        """The probe's head first, then everything above the cut, then the mix; notes have the loss of each alpha."""
        from headstart.training.heads.cross_validation import hold_out
        from headstart.training.tuning import trainer
        from headstart.training.tuning.checkpoints import copy_trained, load_trained, validation_loss
        from headstart.training.tuning.optim import Recipe
        from headstart.training.tuning.tuned import fit_probe_head, open_learner

        train, val = hold_out(train, val, objective, rng)
        learner, embeddings = open_learner(above, objective, train)
        self.modify(learner)
        notes: dict = {"probe": fit_probe_head(learner, embeddings, train, objective, rng)}
        start = copy_trained(learner)

        def mix() -> dict:
            end = copy_trained(learner)

            def loss_at(alpha: float) -> float:
                load_trained(learner, {name: start[name].lerp(end[name], alpha) for name in end})
                return validation_loss(learner, val, objective) if len(val) else float("nan")

            curve = [{"share": alpha, "loss": loss_at(alpha)} for alpha in ALPHAS] if len(val) else []
            best = min(curve, key=lambda point: point["loss"])["share"] if curve else 0.5
            chosen = self.alpha if self.alpha >= 0 else best
            loss_at(chosen)
            return {**notes, "share": chosen, "curve": curve}

        recipe = Recipe(
            self.steps, self.batch_size, self.learning_rate, 2 * self.learning_rate, self.layer_decay,
            label_smoothing=self.label_smoothing,
        )  # fmt: skip
        parts = trainer.TrainingData(train, val, objective, train, embeddings)
        seed = int(rng.integers(2**31))
        return trainer.run_training(learner, parts, recipe, asdict(self), seed, finish=mix)

    def modify(self, learner: Learner) -> None:
        """Everything above the cut learns."""
        learner.body.requires_grad_(True)


restore = restore_for(Settings)
