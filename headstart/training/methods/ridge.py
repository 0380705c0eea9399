"""Ridge regression in closed form: every strength out of one eigendecomposition. The default head for numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features, join
from headstart.core.task import Objective
from headstart.training.heads.linear import Linear, restore
from headstart.training.heads.ridge import RidgePath

if TYPE_CHECKING:
    from headstart.core.plan import Above


__all__ = ["Settings", "restore"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How ridge regression is fitted.

    strengths: larger follows the examples closer; empty = 37 quarter decades from 1e-3 to 1e6
               penalty is 1 / strength on rows scaled to a mean squared length of 1, as in `logistic`
    folds:     of the cross-validation where rows come in groups; without groups each row is left out once, exactly
    """

    strengths: tuple[float, ...] = ()
    folds: int = 5

    @property
    def joins(self) -> bool:
        """Val is joined to train."""
        return True

    def cut(self, backbone: Backbone) -> Cut:
        """At the top."""
        return backbone.cut(len(backbone.blocks))

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Linear:
        """Learns from train and val together; for classes and tags, hits 1 and -1 and is calibrated by temperature."""
        data = join(train, val) if len(val) else train
        return RidgePath(self.strengths, self.folds).fit(data, objective, rng)
