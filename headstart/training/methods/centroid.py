"""Nearest class mean: the simplest head that learns anything; hard to beat with two examples a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.plan import Traits
from headstart.core.task import Objective
from headstart.training.heads import cross_validation
from headstart.training.heads.linear import Linear, check_learnable, check_rows, column_scaling, restore
from headstart.training.heads.temperature_scaling import calibrate
from headstart.training.shared_settings import CrossValidatedHead

__all__ = ["Settings", "restore"]

EMPTY_CLASS_BIAS = -30.0  # a class without examples has no mean; it must not win for lying in the middle


@dataclass(frozen=True, slots=True)
class Settings(CrossValidatedHead):
    """folds: of the cross-validation that calibrates"""

    traits: ClassVar[Traits] = Traits(best_for="very few labels; classes that come and go")
    folds: int = 5

    def fit_head(self, data: Features, objective: Objective, rng: np.random.Generator) -> Linear:
        """Scores by the distance to the mean of each class (or each tag). Raises PlanError for numbers."""
        if objective.link == "identity":
            raise PlanError("A nearest mean is for classes and tags; for numbers use --method ridge.")
        check_rows(data)
        check_learnable(data, objective)
        is_member = objective.targets(data.y) > 0
        fold = cross_validation.assign_folds(data, objective, self.folds, rng)
        scores = np.zeros(is_member.shape, np.float64)
        for f in np.unique(fold) if fold.max() else ():
            head = _fit_means(data.x[fold != f], is_member[fold != f], objective.link)
            scores[fold == f] = head.scores(data.x[fold == f])
        head = _fit_means(data.x, is_member, objective.link)
        if not fold.max():
            return head
        weight = cross_validation.judgeable(data.y, fold, objective).astype(np.float64)
        calibration = calibrate(scores, data.y, objective.link, weight)
        temperature = calibration.temperature
        notes = {"temperature": temperature, "log_loss": calibration.loss, "folds": int(fold.max()) + 1}
        return Linear((head.weight / temperature).astype(np.float32), head.bias / temperature, notes)


def _fit_means(x: np.ndarray, is_member: np.ndarray, link: str) -> Linear:
    """Half the squared distance to each mean, negated, less what is common: linear in x.

    x: (n, d).  is_member: (n, k) bool
    For a tag: nearer to the mean of those that have it than to that of the others.
    """
    mean, gain = column_scaling(x)
    z = (x - mean) * gain
    count = is_member.sum(0)
    means = (is_member.T.astype(np.float64) @ z) / np.maximum(count, 1)[:, None]
    if link == "sigmoid":
        others = ((~is_member).T.astype(np.float64) @ z) / np.maximum(len(x) - count, 1)[:, None]
        direction, bias = means - others, ((others**2).sum(1) - (means**2).sum(1)) / 2
        bias = bias + np.log((count + 0.5) / (len(x) - count + 0.5))
    else:
        direction, bias = means, -(means**2).sum(1) / 2
        bias = np.where(count > 0, bias, EMPTY_CLASS_BIAS)
    weight = (direction * gain).T.astype(np.float32)
    return Linear(weight, bias - mean @ weight.astype(np.float64))
