"""The probe: the linear head that has no setting to guess, for whatever the labels are."""

from __future__ import annotations

import numpy as np

from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.heads.linear import Linear

METHODS = {"softmax": "logistic", "sigmoid": "logistic", "identity": "ridge"}  # link -> the method that is the probe


def probe_method(objective: Objective) -> str:
    """Name of the method that is the probe for these labels."""
    return METHODS[objective.link]


def fit_probe(objective: Objective, data: Features, rng: np.random.Generator) -> Linear:
    """Ridge for numbers, logistic regression for classes and tags. data: embeddings (n, d)"""
    if objective.link == "identity":
        from headstart.training.heads.ridge import RidgePath

        return RidgePath().fit(data, objective, rng)
    from headstart.training.heads.logistic import LogisticPath

    return LogisticPath().fit(data, objective, rng)
