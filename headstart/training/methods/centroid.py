"""Nearest class mean: the simplest head that learns anything; hard to beat with two examples a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.features import Features, join
from headstart.core.task import Objective
from headstart.training.heads import cross_validation
from headstart.training.heads.linear import Linear, check_rows, check_two, restore, scaling
from headstart.training.heads.temperature_scaling import calibrate

if TYPE_CHECKING:
    from headstart.core.plan import Above


__all__ = ["Settings", "restore"]


@dataclass(frozen=True, slots=True)
class Settings:
    """folds: of the cross-validation that calibrates"""

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
        """The mean of each class's (or each tag's) rows, from train and val together. Raises PlanError for numbers."""
        if objective.link == "identity":
            raise PlanError("A nearest mean is for classes and tags; for numbers use --method ridge.")
        data = join(train, val) if len(val) else train
        check_rows(data)
        check_two(data, objective)
        on = objective.targets(data.y) > 0
        fold = cross_validation.deal(data, objective, self.folds, rng)
        held = np.zeros(on.shape, np.float64)
        for f in np.unique(fold) if fold.max() else ():
            held[fold == f] = _means(data.x[fold != f], on[fold != f], objective.link).scores(data.x[fold == f])
        head = _means(data.x, on, objective.link)
        if not fold.max():
            return head
        known = cross_validation.seen(data.y, fold, objective).astype(np.float64)
        found = calibrate(held, data.y, objective.link, known)
        notes = {"temperature": found.temperature, "log_loss": found.loss, "folds": int(fold.max()) + 1}
        weight = (head.weight / found.temperature).astype(np.float32)
        return Linear(weight, head.bias / found.temperature, notes)


def _means(x: np.ndarray, on: np.ndarray, link: str) -> Linear:
    """Half the squared distance to each mean, negated, less what is common: linear in x.

    For a tag: nearer to the mean of those that have it than to that of the others.
    """
    mean, gain = scaling(x)
    z = (x - mean) * gain
    count = on.sum(0)
    means = (on.T.astype(np.float64) @ z) / np.maximum(count, 1)[:, None]
    if link == "sigmoid":
        rest = ((~on).T.astype(np.float64) @ z) / np.maximum(len(x) - count, 1)[:, None]
        toward, bias = means - rest, ((rest**2).sum(1) - (means**2).sum(1)) / 2
        bias = bias + np.log((count + 0.5) / (len(x) - count + 0.5))
    else:
        toward, bias = means, -(means**2).sum(1) / 2
        # A class without examples has no mean; it must not win for lying in the middle.
        bias = np.where(count > 0, bias, -30.0)
    weight = (toward * gain).T.astype(np.float32)
    return Linear(weight, bias - mean @ weight.astype(np.float64))
