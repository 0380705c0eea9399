"""The gain of a method over the plain probe: its posterior, from a few held-out examples and from other data.

Right and wrong on fifty held-out examples tell gains of ten points from none at best. So the merit of an answer is, for
classes, the calibrated probability of the true one, which tells more of a difference (0.033 ± 0.010 where accuracy
has -0.008 ± 0.026, on 128 sentences). The prior of a gain is normal, with mean and standard deviation of such gains on
other data (Efron and Morris 1975): the fewer the examples, the more the other data say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.core.features import Features
from headstart.core.paired_comparison import per_example_scores
from headstart.core.plan import Traits
from headstart.core.task import Objective
from headstart.training.heads.temperature_scaling import calibrate

# Gains over the probe on other data: (mean, standard deviation), in fractions of the merit's scale.
GAIN = (0.0, 0.03)  # of heads on intermediate features, and of training on photos where the probe leaves little to gain
HEADROOM = 0.15  # of what the probe leaves, added to that sd: from -3 points where it is right on 97 % to 10 on 55 %
TEXT_GAIN = (0.02, 0.08)  # of training on texts: from none (sst2) to 14 points (trec6, 64 a class)
FEW_LABELS = 16  # of the median class, up to which a method's `few_shot_gain` is its prior
PAIR_LABELS = 100  # up to which learning from pairs is tried; on trec6 and sst2 it gained 4 to 25 points (docs/LOG.md)


@dataclass(frozen=True, slots=True)
class GainPosterior:
    """A candidate's gain over the probe: as measured, and its posterior mean and standard deviation."""

    measured: float
    mean: float
    sd: float


def gain_posterior(differences: np.ndarray, prior_mean: float, prior_sd: float) -> GainPosterior:
    """differences: (n,) of merit, candidate less probe.

    One difference of 1 is added to their sum of squares: a few examples that all agree prove little.
    """
    n, measured = len(differences), float(differences.mean())
    error = (float(((differences - measured) ** 2).sum()) + 1.0) / n**2
    precision = 1 / prior_sd**2 + 1 / error
    return GainPosterior(measured, (prior_mean / prior_sd**2 + measured / error) / precision, precision**-0.5)


def gain_prior(traits: Traits | None, kinds: Sequence[str], few_labels: bool, headroom: float) -> tuple[float, float]:
    """(mean, standard deviation) of a method's gain over the probe on other data like these.

    traits: None for a head on intermediate features.  kinds: of data that the backbone takes
    headroom: what the probe leaves to gain, a fraction
    """
    if traits is None:
        return GAIN
    few_shot = traits.few_shot_gain if few_labels else {}
    photos = (GAIN[0], GAIN[1] + HEADROOM * headroom)
    return next((few_shot[kind] for kind in kinds if kind in few_shot), TEXT_GAIN if "text" in kinds else photos)


def example_merits(objective: Objective, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,), larger is better: of classes the calibrated probability of the true one, else `per_example_scores`."""
    if objective.link != "softmax":
        return per_example_scores(objective, scores, y)[1]
    temperature = calibrate(scores, y, "softmax").temperature
    return objective.probabilities(scores / temperature)[np.arange(len(y)), y]


def has_few_labels(data: Features, objective: Objective) -> bool:
    """Whether the median class has no more than FEW_LABELS examples."""
    return objective.link == "softmax" and labels_per_class(data.y) <= FEW_LABELS


def labels_per_class(y: np.ndarray) -> float:
    """Examples of the median class. y: (n,) int64"""
    return float(np.median(np.bincount(y)))
