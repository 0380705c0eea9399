"""Logistic regression: the default head for classes and tags. Its strength is chosen by cross-validated log-loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features, join
from headstart.core.task import Objective
from headstart.training.heads.linear import Linear, restore
from headstart.training.heads.logistic import LogisticPath

if TYPE_CHECKING:
    from headstart.core.plan import Above


__all__ = ["Settings", "restore"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How logistic regression is fitted.

    strengths: larger follows the examples closer; empty = a path that ends where nothing is gained
               C of scikit-learn's LogisticRegression on rows scaled to a mean squared length of 1
    folds:     of the cross-validation that chooses; groups stay whole
    weights:   "balanced" lets every class (of a tag: on and off) count alike, however rare
    calibrate: "temperature" makes probabilities honest on held-out folds; no answer changes
    """

    strengths: tuple[float, ...] = ()
    folds: int = 5
    weights: Literal["none", "balanced"] = "none"
    calibrate: Literal["temperature", "none"] = "temperature"

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
        """Learns from train and val together: cross-validation chooses, so nothing need be kept back for it."""
        data = join(train, val) if len(val) else train
        path = LogisticPath(self.strengths, self.folds, self.weights, self.calibrate)
        return path.fit(data, objective, rng)
