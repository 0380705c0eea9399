"""How far a figure from few examples can be trusted: Wilson's interval and the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import comb, erfc, sqrt

import numpy as np

from headstart.core.task import Objective

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
RESAMPLES = 1000
CELLS = 200_000  # weights held at once: 1.6 MB stay in the cache of a core, a tenth faster than 16 MB


def wilson(right: float, n: int) -> tuple[float, float]:
    """95 % interval of a share, `right` of `n`; all of 0..1 where n is 0.

    Source: E. B. Wilson, JASA 22 (1927), 209-212.
    """
    if not n:
        return 0.0, 1.0
    p, z2 = right / n, Z * Z
    middle, half = p + z2 / (2 * n), Z * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, float((middle - half) / (1 + z2 / n))), min(1.0, float((middle + half) / (1 + z2 / n)))


def resampled(
    statistic: Callable[[np.ndarray], np.ndarray], n: int, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """The statistics of a sample of n, (s,), and of its bootstrap resamples, (resamples, s).

    statistic: how often each example counts, (r, n) float64, -> (r, s)
    """
    return statistic(np.ones((1, n)))[0], np.concatenate([statistic(w) for w in _weights(n, rng, resamples)])


def _weights(n: int, rng: np.random.Generator, resamples: int) -> Iterator[np.ndarray]:
    """How often each example is in a resample, in blocks of (some, n) float64."""
    size = max(1, CELLS // max(n, 1))
    for start in range(0, resamples, size):
        some = min(size, resamples - start)
        drawn = rng.integers(0, n, (some, n), dtype=np.int32) + np.arange(some, dtype=np.int64)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=some * n).reshape(some, n).astype(np.float64)


def around(value: float, draws: np.ndarray, lowest: float = -np.inf, highest: float = np.inf) -> tuple[float, float]:
    """95 % bootstrap interval, moved so that its middle is the value, and kept within what is possible.

    Moved, because resamples of a biased figure (a calibration error) lie beside it: the plain percentiles can miss it.
    """
    low, middle, high = np.quantile(draws, (0.025, 0.5, 0.975))
    shift = value - middle
    return float(np.clip(low + shift, lowest, value)), float(np.clip(high + shift, value, highest))


def around_share(value: float, draws: np.ndarray, n: int) -> tuple[float, float]:
    """Likewise for a mean of shares, never narrower than Wilson's for `value` of n.

    Resamples of faultless answers are faultless too: the bootstrap alone would claim that 18 of 18 proves all.
    """
    low, high = around(value, draws, 0, 1)
    least, most = wilson(value * n, n)
    return min(low, least), max(high, most)


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> list[dict]:
    """How often predictions of each confidence were right; bins of equal width, empty ones left out."""
    where = bin_of(confidence, bins)
    found = []
    for b in range(bins):
        here = where == b
        if n := int(here.sum()):
            facts = {"low": b / bins, "high": (b + 1) / bins, "n": n}
            found.append({**facts, "confidence": float(confidence[here].mean()), "accuracy": float(right[here].mean())})
    return found


def bin_of(confidence: np.ndarray, bins: int = 15) -> np.ndarray:
    """(n,) int64 bin of each confidence; a bin holds its upper border.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2.
    """
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


DRAWS = 2000  # bootstrap samples, and flips of signs
SURE = 0.05  # p-values below it are a claim


@dataclass(frozen=True, slots=True)
class Paired:
    """How much better the first is than the second on the same n examples.

    difference, low, high: of the mean of `measure`, and its 95 % interval by the bootstrap over examples
    p:       two-sided; exact McNemar for right and wrong, else by flips of signs
    verdict: "better", "worse" or "cannot tell"
    """

    measure: str
    difference: float
    low: float
    high: float
    p: float
    n: int
    verdict: str


def merits(objective: Objective, scores: np.ndarray, y: np.ndarray) -> tuple[str, np.ndarray]:
    """What each answer is worth, (n,) float64, larger is better, and its name: right or not, F1 of the tags, -error."""
    if objective.link == "softmax":
        return "accuracy", (scores.argmax(1) == y).astype(np.float64)
    if objective.link == "identity":
        return "minus squared error", -((scores[:, 0].astype(np.float64) - y) ** 2)
    said = scores >= 0
    return "F1 of a row's tags", 2 * (said * y).sum(1) / np.maximum(said.sum(1) + y.sum(1), 1)


def paired(objective: Objective, a: np.ndarray, b: np.ndarray, y: np.ndarray, seed: int) -> Paired:
    """Scores a against scores b, both (n, k), of the same examples. Source: McNemar 1947; Efron 1979."""
    name, one = merits(objective, a, y)
    return compared(name, one, merits(objective, b, y)[1], seed)


def compared(name: str, one: np.ndarray, other: np.ndarray, seed: int) -> Paired:
    """(n,) merits of the first and of the second."""
    apart = one - other
    n = len(apart)
    if not n:
        return Paired(name, 0.0, 0.0, 0.0, 1.0, 0, "cannot tell")
    rng = np.random.default_rng([seed, 3])
    means = np.array([apart[rng.integers(0, n, n)].mean() for _ in range(DRAWS)])
    low, high = np.quantile(means, (0.025, 0.975))
    if set(np.unique(apart)) <= {-1.0, 0.0, 1.0}:
        p = mcnemar(int((apart > 0).sum()), int((apart < 0).sum()))
    else:
        p = flipped(apart, rng)
    mean = float(apart.mean())
    verdict = "cannot tell" if p >= SURE else "better" if mean > 0 else "worse"
    return Paired(name, mean, float(low), float(high), p, n, verdict)


def flipped(apart: np.ndarray, rng: np.random.Generator) -> float:
    """Two-sided p-value of (n,) differences: how often a sum as far from 0 comes of their sizes with signs by chance.

    Not the bootstrap's share beyond 0: where few of 40 to 80 examples differ, that one claims a difference in 8 to 9 %
    of comparisons of equals, and this one in 3 to 5 % (400 simulated comparisons of three runs with one).
    Source: Fisher 1935; Phipson and Smyth 2010 for the one that is added.
    """
    apart = apart[apart != 0]
    far = abs(apart.sum()) - 1e-9
    as_far = sum(abs(apart @ (2.0 * rng.integers(0, 2, len(apart)) - 1)) >= far for _ in range(DRAWS))
    return (as_far + 1) / (DRAWS + 1)


def mcnemar(won: int, lost: int) -> float:
    """Exact two-sided p-value that of won + lost disagreements so uneven a share falls to one side by chance."""
    total = won + lost
    if not total:
        return 1.0
    if total > 1000:  # the binomial is a normal by then
        return erfc(max(abs(won - lost) - 1, 0) / sqrt(2 * total))
    return min(1.0, 2 * sum(comb(total, k) for k in range(min(won, lost) + 1)) / 2**total)


def facts(result: Paired) -> dict:
    """As JSON."""
    return asdict(result)


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """Linear CKA of two (n, d) sets of rows of the same examples, 1 for equal up to turning and scale.

    Source: Kornblith et al. 2019.
    """
    a, b = (x.astype(np.float64) - x.mean(0, dtype=np.float64) for x in (a, b))
    both, one, other = (float(np.linalg.norm(p.T @ q) ** 2) for p, q in ((a, b), (a, a), (b, b)))
    return both / max(sqrt(one * other), 1e-300)
