"""Logistic regression: the default head for classes and tags. Its strength is chosen by cross-validated log-loss."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

import numpy as np

from headstart.core.features import Features
from headstart.core.plan import Traits
from headstart.core.task import Objective
from headstart.training.heads.linear import Linear, restore
from headstart.training.heads.logistic import LogisticPath
from headstart.training.shared_settings import CrossValidatedHead

__all__ = ["Settings", "restore"]


@dataclass(frozen=True, slots=True)
class Settings(CrossValidatedHead):
    """How logistic regression is fitted.

    strengths:    larger follows the examples closer; empty = a path that ends where nothing is gained
                  C of scikit-learn's LogisticRegression on rows scaled to a mean squared length of 1
    folds:        of the cross-validation that chooses; groups stay whole
    class_weight: "balanced" lets every class (of a tag: on and off) count alike, however rare
    calibration:  "temperature" makes probabilities honest on held-out folds; no answer changes
    """

    traits: ClassVar[Traits] = Traits(
        best_for="nearly everything first: seconds, and nothing of the backbone moves", is_probe=True
    )

    strengths: tuple[float, ...] = ()
    folds: int = 5
    class_weight: Literal["none", "balanced"] = "none"
    calibration: Literal["temperature", "none"] = "temperature"

    def fit_head(self, data: Features, objective: Objective, rng: np.random.Generator) -> Linear:
        """The head at the strength with the least cross-validated log-loss."""
        return LogisticPath(**asdict(self)).fit(data, objective, rng)
