"""Ridge regression in closed form: every strength out of one eigendecomposition. The default head for numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from headstart.core.features import Features
from headstart.core.plan import Traits
from headstart.core.task import Objective
from headstart.training.heads.linear import Linear, restore
from headstart.training.heads.ridge import RidgePath
from headstart.training.shared_settings import CrossValidatedHead

__all__ = ["Settings", "restore"]


@dataclass(frozen=True, slots=True)
class Settings(CrossValidatedHead):
    """How ridge regression is fitted.

    strengths: larger follows the examples closer; empty = 37 quarter decades from 1e-3 to 1e6
               penalty is 1 / strength on rows scaled to a mean squared length of 1, as in `logistic`
    folds:     of the cross-validation where rows come in groups; without groups each row is left out once, exactly
    """

    traits: ClassVar[Traits] = Traits(best_for="numbers; many outputs at once", is_probe=True)

    strengths: tuple[float, ...] = ()
    folds: int = 5

    def fit_head(self, data: Features, objective: Objective, rng: np.random.Generator) -> Linear:
        """The head with the least loss left out; for classes and tags, targets are 1 and -1, and it is calibrated."""
        return RidgePath(**asdict(self)).fit(data, objective, rng)
