"""What is believed of one method's gain over another, from a few held-out examples and from what it was on other data.

Right and wrong on fifty held-out examples tell gains of ten points from none at best. So an answer to classes is worth
the calibrated probability of the true one, which tells more of a difference (0.033 ± 0.010 where accuracy
has -0.008 ± 0.026, on 128 sentences). What is believed of a gain is what was measured, weighed with what such a gain
was on other data (a normal prior; Efron and Morris 1975): the fewer the examples, the more the other data say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.calibrate import calibrate
from headstart.pairing import merits
from headstart.task import Objective


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
