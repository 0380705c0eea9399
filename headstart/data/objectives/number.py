"""Each example has one number."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from headstart.core.errors import SourceError
from headstart.core.result import Metric
from headstart.core.schema import check, number, record, shorten, text
from headstart.core.statistics import bootstrap, bootstrap_interval
from headstart.data.objectives.classes import are_class_codes

QUANTILE_BINS = 4
LARGEST_LABEL = 1e100  # in size: the squares of errors, which are reported, stay finite in double precision
MOST_SPREADS = 1e12  # of a label from the mean of the training labels: squares stay finite in single precision
ROUNDING = 1e-15  # of the size of the labels: a spread below it is rounding
LARGEST, SMALLEST = sys.float_info.max, sys.float_info.min * sys.float_info.epsilon
FACTS = record({"mean": number(-LARGEST, LARGEST), "spread": number(SMALLEST, LARGEST)}, {"name": text(64)})
MAX_PLOT_POINTS = 500  # points of the report's scatter plot


def fits(labels: Sequence) -> bool:
    """Whether labels can be quantities: numbers that are not surely the codes of classes."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in labels)
    return bool(labels) and numbers and not are_class_codes(labels)


def of(labels: Sequence) -> Number:
    """The scale of the labels. Raises SourceError when one is no number, or all are the same."""
    values = _floats(labels)
    size = float(np.abs(values).max(initial=0.0))
    spread = size * float((values / size).std()) if size else 0.0  # squares of small numbers would be 0
    if spread <= ROUNDING * size:
        # A spread below that is how the last digits of equal numbers differ.
        raise SourceError(f"All labels are {values[0] if len(values) else 'missing'}: there is nothing to learn.")
    if spread < 1 / LARGEST_LABEL:
        raise SourceError(f"The labels differ by {spread:g}: too little to compute with. Give them in another unit.")
    return Number(float(values.mean()), spread)


def restore(facts: dict) -> Number:
    """Equal to the one that gave the facts. Raises ArtifactError where they are none."""
    check(facts, FACTS, "its scale", "Fit again, or restore it from a copy.")
    return Number(float(facts["mean"]), float(facts["spread"]))


def _floats(labels: Sequence) -> np.ndarray:
    values = []
    for label in labels:
        try:
            value = float(label)
        except (TypeError, ValueError, OverflowError) as error:
            raise SourceError(f"The label {shorten(label)} is not a number. For words say --task classes.") from error
        if not math.isfinite(value):
            raise SourceError(f"The label {label!r} is not finite.")
        if abs(value) > LARGEST_LABEL:
            raise SourceError(
                f"The label {label!r} is beyond {LARGEST_LABEL:g}, where squares of errors have no end. Leave it out, "
                "or give the labels in another unit."
            )
        values.append(value)
    return np.array(values, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Number:
    """The number itself; y is (n,) float32 in spreads from the mean.

    mean, spread: of the training labels, in their own unit
    """

    link: ClassVar[Literal["softmax", "sigmoid", "identity"]] = "identity"
    width: ClassVar[int] = 1
    mean: float
    spread: float

    def facts(self) -> dict:
        """JSON for `restore`."""
        return {"mean": self.mean, "spread": self.spread}

    def strata(self, labels: Sequence) -> list:
        """The quarter that each label falls into."""
        values = _floats(labels)
        borders = np.unique(np.quantile(values, np.arange(1, QUANTILE_BINS) / QUANTILE_BINS))
        return np.searchsorted(borders, values).tolist()

    def encode(self, labels: Sequence) -> np.ndarray:
        """(n,) float32, in spreads from the mean."""
        values = _floats(labels)
        encoded = (values - self.mean) / self.spread
        far = np.flatnonzero(np.abs(encoded) > MOST_SPREADS)
        if len(far):
            raise SourceError(
                f"The label {values[far[0]]:g} is {MOST_SPREADS:g} times farther from the mean of the training labels "
                f"({self.mean:g}) than those are from each other. Mend it or leave it out."
            )
        return encoded.astype(np.float32)

    def decode(self, scores: np.ndarray) -> list:
        """Numbers in the labels' own unit."""
        return self._unscaled(scores[:, 0]).tolist()

    def targets(self, y: np.ndarray) -> np.ndarray:
        """(n, 1) float32, as encoded."""
        return y[:, None].astype(np.float32)

    def loss(self, scores, y):
        """Mean squared error in spreads; torch tensors (b, 1) and (b,)."""
        return ((scores[:, 0] - y) ** 2).mean()

    def score(self, scores: np.ndarray, y: np.ndarray) -> float:
        """Mean squared error in spreads, negative."""
        return -float(((scores[:, 0].astype(np.float64) - y) ** 2).mean())

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(n, 1) float64: the scores; a number has no probabilities."""
        return scores.astype(np.float64)

    def measure(self, scores: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[Metric, ...]:
        """Mean absolute and root mean squared error in the labels' own unit, R², Spearman's rank correlation.

        Chance is the mean of the training labels for every example. Where y does not vary, R² is 1 for a perfect
        answer, else 0, and the correlation is 0. Resamples keep the ranks of the whole sample.
        """
        truth, predicted = self._unscaled(y), self._unscaled(scores[:, 0])
        errors, n = predicted - truth, len(y)
        centred = truth - truth.mean()
        a, b = _ranks(truth), _ranks(predicted)
        columns = np.column_stack([np.abs(errors), errors**2, centred, centred**2, a, b, a * a, b * b, a * b]) / n

        def statistic(w: np.ndarray) -> np.ndarray:
            mae, mse, mean, square, ra, rb, raa, rbb, rab = (w @ columns).T
            varies = square - mean**2
            r2 = np.where(varies > 0, 1 - mse / np.where(varies > 0, varies, 1), (mse == 0).astype(float))
            spread = np.sqrt(np.maximum(raa - ra**2, 0) * np.maximum(rbb - rb**2, 0))
            rank = np.where(spread > 0, (rab - ra * rb) / np.where(spread > 0, spread, 1), 0.0)
            return np.column_stack([mae, np.sqrt(mse), r2, rank])

        values, draws = bootstrap(statistic, n, rng)
        mae, rmse, r2, rank = values.tolist()
        constant = truth - self.mean
        mae_chance, rmse_chance = float(np.abs(constant).mean()), float(np.sqrt((constant**2).mean()))
        return (
            Metric("mae", mae, *bootstrap_interval(mae, draws[:, 0], 0), mae_chance, n, better="lower"),
            Metric("rmse", rmse, *bootstrap_interval(rmse, draws[:, 1], 0), rmse_chance, n, better="lower"),
            Metric("r2", r2, *bootstrap_interval(r2, draws[:, 2], highest=1), 0.0, n),
            Metric("spearman", rank, *bootstrap_interval(rank, draws[:, 3], -1, 1), 0.0, n),
        )

    def details(self, scores: np.ndarray, y: np.ndarray) -> dict:
        """Truth against answer of at most 500 examples evenly through the part, and how the errors spread."""
        truth, predicted = self._unscaled(y), self._unscaled(scores[:, 0])
        index = np.unique(np.linspace(0, len(y) - 1, min(MAX_PLOT_POINTS, len(y))).astype(np.int64))
        levels = (0.05, 0.25, 0.5, 0.75, 0.95)
        quantiles = dict(zip(map(str, levels), np.quantile(predicted - truth, levels).tolist(), strict=True))
        shown = {"truth": truth[index].tolist(), "predicted": predicted[index].tolist()}
        return {"kind": "number", **shown, "residual_quantiles": quantiles}

    def _unscaled(self, encoded: np.ndarray) -> np.ndarray:
        return encoded.astype(np.float64) * self.spread + self.mean


def _ranks(values: np.ndarray) -> np.ndarray:
    """(n,) ranks from -1 to 1, equal values the mean of theirs; centred, so that sums of products keep their digits."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[where]
    return (ranks - ranks.mean()) / max(len(values), 1) * 2
