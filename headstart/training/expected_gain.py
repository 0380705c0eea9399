"""What is believed of one method's gain over another, from a few held-out examples and from what it was on other data.

Right and wrong on fifty held-out examples tell gains of ten points from none at best. So an answer to classes is worth
the calibrated probability of the true one, which tells more of a difference (0.033 ± 0.010 where accuracy
has -0.008 ± 0.026, on 128 sentences). What is believed of a gain is what was measured, weighed with what such a gain
was on other data (a normal prior; Efron and Morris 1975): the fewer the examples, the more the other data say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.core.features import Features
from headstart.core.statistics import merits
from headstart.core.task import Objective
from headstart.training.heads.temperature_scaling import calibrate

# What a method gained over the probe on other data: (mean, standard deviation), in shares of the merit's scale.
USUAL = (0.0, 0.03)  # of heads on other levels, and of all that trains on photos where the probe leaves little to gain
ROOM = 0.15  # of what the probe leaves, added to that spread: from -3 points where it is right on 97 % to 10 on 55 %
TEXTS = (0.02, 0.08)  # of what trains on texts: from none (sst2) to 14 points (trec6, 64 a class)
FEW_SHOT = {"contrast": {"text": (0.10, 0.08), "image": (0.0, 0.05)}}  # up to FEW_LABELS of a class
FEW_LABELS = 16


@dataclass(frozen=True, slots=True)
class Gain:
    """Of a candidate over the probe: as measured, and what is believed of it, with its standard deviation."""

    measured: float
    mean: float
    sd: float


def believed(apart: np.ndarray, usual: float, spread: float) -> Gain:
    """(n,) differences of merit, weighed with what the gain usually is.

    One difference of 1 is added to their spread: a few examples that all agree prove little.
    """
    n, measured = len(apart), float(apart.mean())
    error = (float(((apart - measured) ** 2).sum()) + 1.0) / n**2
    weight = 1 / spread**2 + 1 / error
    return Gain(measured, (usual / spread**2 + measured / error) / weight, weight**-0.5)


def worth_of(objective: Objective, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What each answer is worth, (n,), larger is better: of classes the true one's probability, else as `merits`."""
    if objective.link != "softmax":
        return merits(objective, scores, y)[1]
    heat = calibrate(scores, y, "softmax").temperature
    return objective.probabilities(scores / heat)[np.arange(len(y)), y]


def few(data: Features, objective: Objective) -> bool:
    """Whether the median class has no more than FEW_LABELS examples."""
    return objective.link == "softmax" and bool(np.median(np.bincount(data.y)) <= FEW_LABELS)


def usual(method: str, kinds: Sequence[str], scarce: bool, room: float) -> tuple[float, float]:
    """(mean, standard deviation) of a method's gain over the probe on other data like these.

    method: "" for a head on other levels.  kinds: of data that the backbone takes.  scarce: few labels of a class
    room: what the probe leaves to gain
    """
    if not method:
        return USUAL
    known = FEW_SHOT.get(method, {}) if scarce else {}
    photos = (USUAL[0], USUAL[1] + ROOM * room)
    return next((known[kind] for kind in kinds if kind in known), TEXTS if "text" in kinds else photos)
