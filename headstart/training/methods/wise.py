"""Weights between the borrowed and the tuned: linear probing and fine-tuning, then a mean of start and end.

Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT), with the probe's head at the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.methods.finetune import alter, below, restore

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.tuned import Tuned


__all__ = ["Settings", "restore"]

SHARES = tuple(round(0.1 * k, 1) for k in range(11))


@dataclass(frozen=True, slots=True)
class Settings:
    """How start and end are mixed.

    blocks: how many of the topmost blocks learn; 0 = a quarter of the backbone's
    steps, batch: how long; 0 steps = by the number of examples and the budget
    rate:   learning rate of the topmost block.  decay: each block below learns at so many times that of the one above
    smooth: label smoothing.  share: of the end; below 0 = the one with the least loss on val, a half without val
    views:  stored augmented views of each photo beside the plain one
    """

    blocks: int = 0
    steps: int = 0
    batch: int = 16
    rate: float = 5e-5
    decay: float = 0.8
    smooth: float = 0.1
    share: float = -1.0
    views: int = 2

    @property
    def joins(self) -> bool:
        """Val chooses the step to keep and the mix."""
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
        """The probe's head first, then everything above the cut, then the mix; notes have the curve over shares."""
        from headstart.training.heads import cross_validation
        from headstart.training.tuning import optim, trainer, tuned

        train, val = cross_validation.parted(train, val, objective, rng)
        learner, rows = tuned.opened(above, objective, train)
        settings = {**asdict(self), "norms": "frozen"}
        alter(learner, settings)
        notes: dict = {"probe": tuned.probed(learner, rows, train, objective, rng)}
        start = trainer.snapshot(learner)

        def mix() -> dict:
            end = trainer.snapshot(learner)

            def at(share: float) -> float:
                trainer.put(learner, {name: start[name].lerp(end[name], share) for name in end})
                return trainer.held_loss(learner, val, objective) if len(val) else float("nan")

            curve = [{"share": share, "loss": at(share)} for share in SHARES] if len(val) else []
            best = min(curve, key=lambda point: point["loss"])["share"] if curve else 0.5
            chosen = self.share if self.share >= 0 else best
            at(chosen)
            return {**notes, "share": chosen, "curve": curve}

        recipe = optim.Recipe(self.steps, self.batch, self.rate, 2 * self.rate, self.decay, smooth=self.smooth)
        return trainer.learn(learner, rows, train, val, objective, recipe, settings, rng, finish=mix, hold=False)
