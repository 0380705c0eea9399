"""A quick learning curve: heads on nested shares of the labels, and what twice the labels would give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
DRAWS = 3  # of each share but the whole
RESAMPLES = 400
LEAST = 6  # labels that a head learns from, at least

Split = tuple[np.ndarray, np.ndarray]  # (rows to learn from, rows to judge by)


@dataclass(frozen=True, slots=True)
class Point:
    """How good heads were that learned from so many labels: the mean over draws, and its 95 % interval."""

    labels: int
    share: float
    value: float
    low: float
    high: float
    draws: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of rising labels, and what follows from them; all in shares, larger is better.

    last:     (value, low, high) of the gain of the last doubling, as measured
    gain:     (value, low, high) of the gain of the next doubling, from a power law of the error
    expected: (value, low, high) at twice the labels
    power:    of the law, error ~ labels ** -power
    measure:  what an answer is worth
    """

    points: tuple[Point, ...]
    last: tuple[float, float, float]
    gain: tuple[float, float, float]
    expected: tuple[float, float, float]
    power: float
    measure: str

    def facts(self) -> dict:
        """JSON."""
        return asdict(self)


def order(strata: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) int64 in which every beginning holds its share of every stratum, and a longer one all of a shorter."""
    n = len(strata)
    mixed = rng.permutation(n)
    rank = np.empty(n)
    for stratum in np.unique(strata):
        mine = mixed[strata[mixed] == stratum]
        rank[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return mixed[np.argsort(rank[mixed], kind="stable")]


def subsets(strata: np.ndarray, shares: Sequence[float], rng: np.random.Generator) -> list[np.ndarray]:
    """Rows for each rising share, every one among those of the next."""
    whole = order(strata, rng)
    return [whole[: max(1, round(share * len(whole)))] for share in shares]


def measured(
    worth: Callable[[np.ndarray, np.ndarray], np.ndarray],
    whole: np.ndarray,
    splits: Sequence[Split],
    strata: np.ndarray,
    measure: str,
    seed: int,
) -> Curve | None:
    """The curve of a head; None where there are too few labels for two points.

    worth:  (rows to learn from, rows to judge by) -> (m,) what each answer is worth, 1 at best
    whole:  likewise of all labels, for all splits: it is known already
    splits: judged one after the other.  strata: (n,) of all rows
    """
    least = max(LEAST, *(len(np.unique(strata[learn])) for learn, _ in splits))
    smallest = min(len(learn) for learn, _ in splits)
    shares = [s for s in SHARES if round(s * smallest) >= least or s == 1]
    if len(shares) < 2:
        return None
    worths: list[list[np.ndarray]] = [[] for _ in shares]
    for draw in range(DRAWS):
        some: list[list[np.ndarray]] = [[] for _ in shares[:-1]]
        for number, (learn, judge) in enumerate(splits):
            nested = subsets(strata[learn], shares[:-1], np.random.default_rng([seed, draw, number]))
            for found, index in zip(some, nested, strict=True):
                found.append(worth(learn[index], judge))
        for at, found in enumerate(some):
            worths[at].append(np.concatenate(found))
    worths[-1].append(whole)
    labels = [round(s * np.mean([len(learn) for learn, _ in splits])) for s in shares]
    return fitted([np.array(w) for w in worths], labels, shares, measure, np.random.default_rng([seed, 5]))


def fitted(
    worths: Sequence[np.ndarray],
    labels: Sequence[int],
    shares: Sequence[float],
    measure: str,
    rng: np.random.Generator,
) -> Curve:
    """A curve of measured answers. worths: for each share (draws, m), of the same m examples

    Intervals: bootstrap over the judged examples and the draws. The whole was drawn once: what the draws of the share
    below it differ by is added to its doubt.
    """
    m = worths[0].shape[1]
    counts = np.stack([np.bincount(rng.integers(0, m, m), minlength=m) for _ in range(RESAMPLES)]) / m
    errors = np.array([1 - w.mean() for w in worths])
    drawn = np.array([_resampled(w, counts, rng) for w in worths])  # (shares, RESAMPLES)
    before = 1 - worths[-2].mean(1)
    drawn[-1] += rng.normal(0, before.std(ddof=1) if len(before) > 1 else 0.0, RESAMPLES)
    floor = 0.5 / m
    power, powers = _power(errors[:, None], labels, floor)[0], _power(drawn, labels, floor)
    now, nows = max(errors[-1], 0.0), np.maximum(drawn[-1], 0.0)
    gain, gains = now * (1 - 2.0**-power), nows * (1 - 2.0**-powers)
    last = (float(errors[-2] - errors[-1]), *_interval(errors[-2] - errors[-1], drawn[-2] - drawn[-1]))
    points = tuple(
        Point(n, share, float(1 - e), *_interval(1 - e, 1 - d), len(w))
        for n, share, e, d, w in zip(labels, shares, errors, drawn, worths, strict=True)
    )
    expected = (float(1 - now + gain), *_interval(1 - now + gain, 1 - nows + gains))
    return Curve(points, last, (float(gain), *_interval(gain, gains)), expected, float(power), measure)


def _resampled(worth: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(RESAMPLES,) errors of resampled examples under resampled draws."""
    draws = 1 - counts @ worth.T  # (RESAMPLES, draws)
    chosen = rng.integers(0, draws.shape[1], draws.shape)
    return np.take_along_axis(draws, chosen, 1).mean(1)


def _power(errors: np.ndarray, labels: Sequence[int], floor: float) -> np.ndarray:
    """(r,) power of the law through (shares, r) errors: a straight line in logarithms, later points weigh more.

    Never below 0: more labels do not harm. Source of the law: Hestness et al. 2017.
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
