"""The probe: the linear head that has no setting to guess, for whatever the labels are."""

from __future__ import annotations

import numpy as np

from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.heads.linear import Linear
from headstart.training.heads.logistic import LogisticPath
from headstart.training.heads.ridge import RidgePath


def fit_probe(objective: Objective, data: Features, rng: np.random.Generator) -> Linear:
    """Ridge for numbers, logistic regression for classes and tags. data: rows (n, d)"""
    path = RidgePath() if objective.link == "identity" else LogisticPath()
    return path.fit(data, objective, rng)
