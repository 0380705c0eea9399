"""Learning curve of the probe on nested subsets of the labels, extrapolated to twice the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

TRAIN_SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
DRAWS_PER_SHARE = 3  # random subsets of each share below 1
RESAMPLES = 400
MIN_LABELS = 6  # a head is trained on

Split = tuple[np.ndarray, np.ndarray]  # (train rows, test rows)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Mean score over draws of heads trained on so many labels, with its 95 % interval."""

    labels: int
    share: float
    value: float
    low: float
    high: float
    draws: int


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Points by number of labels and their extrapolation; scores are shares, larger is better.

    last:     (value, low, high) gain of the last doubling, as measured
    gain:     (value, low, high) gain of the next doubling, from a power law of the error
    expected: (value, low, high) score at twice the labels
    power:    exponent of the law, error ~ labels ** -power
    measure:  name of the score
    """

    points: tuple[CurvePoint, ...]
    last: tuple[float, float, float]
    gain: tuple[float, float, float]
    expected: tuple[float, float, float]
    power: float
    measure: str


def stratified_order(strata: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) int64 permutation whose every prefix is a stratified sample."""
    n = len(strata)
    shuffled = rng.permutation(n)
    rank = np.empty(n)
    for stratum in np.unique(strata):
        members = shuffled[strata[shuffled] == stratum]
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(rank[shuffled], kind="stable")]


def nested_subsets(strata: np.ndarray, shares: Sequence[float], rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of a stratified subset for each rising share, each subset part of the next."""
    order = stratified_order(strata, rng)
    return [order[: max(1, round(share * len(order)))] for share in shares]


def measure_curve(
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
    full_scores: np.ndarray,
    splits: Sequence[Split],
    strata: np.ndarray,
    measure: str,
    seed: int,
) -> LearningCurve | None:
    """The learning curve of a head; None where the labels are too few for two points.

    score:       (train rows, test rows) -> (m,) score of each test example, 1 at best
    full_scores: likewise with all labels, over all splits; already known
    measure:     name of the score.  strata: (n,) of all rows
    """
    min_labels = max(MIN_LABELS, *(len(np.unique(strata[train])) for train, _ in splits))
    smallest = min(len(train) for train, _ in splits)
    shares = [s for s in TRAIN_SHARES if round(s * smallest) >= min_labels or s == 1]
    if len(shares) < 2:
        return None
    scores: list[list[np.ndarray]] = [[] for _ in shares]
    for draw in range(DRAWS_PER_SHARE):
        by_split: list[list[np.ndarray]] = [[] for _ in shares[:-1]]
        for i, (train, test) in enumerate(splits):
            subsets = nested_subsets(strata[train], shares[:-1], np.random.default_rng([seed, draw, i]))
            for split_scores, subset in zip(by_split, subsets, strict=True):
                split_scores.append(score(train[subset], test))
        for share_scores, split_scores in zip(scores, by_split, strict=False):
            share_scores.append(np.concatenate(split_scores))
    scores[-1].append(full_scores)
    labels = [round(s * np.mean([len(train) for train, _ in splits])) for s in shares]
    return fit_curve([np.array(s) for s in scores], labels, shares, measure, np.random.default_rng([seed, 5]))


def fit_curve(
    scores: Sequence[np.ndarray], labels: Sequence[int], shares: Sequence[float], measure: str, rng: np.random.Generator
) -> LearningCurve:
    """A curve from scores of the same m test examples, (draws, m) for each share.

    Intervals: bootstrap over the test examples and the draws. All labels allow one draw only: the spread over draws of
    the share below is added.
    """
    m = scores[0].shape[1]
    counts = np.stack([np.bincount(rng.integers(0, m, m), minlength=m) for _ in range(RESAMPLES)]) / m
    errors = np.array([1 - s.mean() for s in scores])
    resampled = np.array([_resample_errors(s, counts, rng) for s in scores])  # (shares, RESAMPLES)
    draw_errors = 1 - scores[-2].mean(1)
    resampled[-1] += rng.normal(0, draw_errors.std(ddof=1) if len(draw_errors) > 1 else 0.0, RESAMPLES)
    floor = 0.5 / m
    power, powers = _fit_power_law(errors[:, None], labels, floor)[0], _fit_power_law(resampled, labels, floor)
    now, nows = max(errors[-1], 0.0), np.maximum(resampled[-1], 0.0)
    gain, gains = now * (1 - 2.0**-power), nows * (1 - 2.0**-powers)
    last = (float(errors[-2] - errors[-1]), *_interval(errors[-2] - errors[-1], resampled[-2] - resampled[-1]))
    points = tuple(
        CurvePoint(n, share, float(1 - e), *_interval(1 - e, 1 - r), len(s))
        for n, share, e, r, s in zip(labels, shares, errors, resampled, scores, strict=True)
    )
    expected = (float(1 - now + gain), *_interval(1 - now + gain, 1 - nows + gains))
    return LearningCurve(points, last, (float(gain), *_interval(gain, gains)), expected, float(power), measure)


def _resample_errors(scores: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(RESAMPLES,) mean errors of resampled examples, each in one resampled draw."""
    draws = 1 - counts @ scores.T  # (RESAMPLES, draws)
    chosen = rng.integers(0, draws.shape[1], draws.shape)
    return np.take_along_axis(draws, chosen, 1).mean(1)


def _fit_power_law(errors: np.ndarray, labels: Sequence[int], floor: float) -> np.ndarray:
    """(r,) exponent of a power law through (shares, r) errors: a weighted least-squares line in log-log.

    More labels weigh more; never below 0, since more labels do no harm. Source of the law: Hestness et al. 2017.
    """
    x = np.log2(np.asarray(labels, np.float64))
    weight = np.sqrt(np.asarray(labels, np.float64))
    weight /= weight.sum()
    y = np.log2(np.maximum(errors, floor))
    x = x - weight @ x
    slope = (weight * x) @ (y - weight @ y) / (weight @ x**2)
    return np.maximum(-slope, 0.0)


def _interval(value: float, draws: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(min(low, value)), float(max(high, value))
