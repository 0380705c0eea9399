"""Is one better than the other? Two answers to the same examples, compared example by example."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import comb, erfc, sqrt

import numpy as np

from headstart.task import Objective

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
