"""How like the examples are to what a backbone has seen: measures, each with its doubt and its border, and one score.

No picture of the pretraining is needed. A network carries traces of it: the statistics that BatchNorm kept, the
classifier that it was trained under, the pieces of words that its tokenizer knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from headstart.core.statistics import around, wilson

DRAWS = 200  # bootstrap resamples of the examples
Z = 1.96
# Borders: between what was seen on real data on either side; the figures are in tests/test_plan.py, BORDERS_SEEN.
CERTAINTY = 0.22
NORMS = 0.12
# Its kept statistics are of augmented views of small photos, so that even ImageNet's photos lie at 0.35.
NORMS_OF = {"own:vision-small": 0.5}
PIECES = 2.2
LEAD = 0.9
MOST = 4.0  # of one layer: two standard deviations away
NEAR = 0.35  # doublings: a score nearer to the border than this is called near it whatever its interval

# What a backbone is compared with, as words after "than".
RIVALS = {"stats": "hand-made numbers", "untrained": "the same network with random weights"}


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of likeness with its 95 % interval, and where similar ends.

    better: which direction is more similar.  says: what it is, in words
    """

    name: str
    value: float
    low: float
    high: float
    border: float
    better: Literal["higher", "lower"]
    says: str

    def scores(self) -> tuple[float, float, float]:
        """(score, low, high): how many doublings the figure lies on the similar side of its border."""
        sign = 1 if self.better == "higher" else -1
        some = sorted(sign * math.log2(max(v, 1e-4) / self.border) for v in (self.low, self.high))
        return sign * math.log2(max(self.value, 1e-4) / self.border), some[0], some[1]


@dataclass(frozen=True, slots=True)
class Likeness:
    """What the measures say together.

    score, low, high: doublings on the similar side of the border, and their 95 % interval; measures that disagree
                      widen it
    near:             the interval holds the border
    """

    verdict: Literal["similar", "different"]
    score: float
    low: float
    high: float
    near: bool
    measures: tuple[Measure, ...]

    def facts(self) -> dict:
        """JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Compared:
    """What a plan measured of borrowing, for the guard that looks for harm in it.

    against: "stats", "untrained" -> a Paired as JSON, of the backbone's probe against a probe on those features
    verdict: "helped", "cannot tell" or "hurt"
    skip:    the floor does as well, so nothing need be borrowed
    instead: what to do then, in words
    """

    backbone: str
    kind: str
    verdict: str
    against: dict[str, dict]
    skip: bool
    similarity: str
    instead: str


def together(measures: Sequence[Measure]) -> Likeness:
    """One score of at least one measure: their mean."""
    scores = np.array([m.scores() for m in measures])
    count = len(scores)
    sampling = ((scores[:, 2] - scores[:, 1]) / (2 * Z)) ** 2
    disagreement = scores[:, 0].var(ddof=1) / count if count > 1 else 0.0
    half = max(Z * math.sqrt(sampling.sum() / count**2 + disagreement), NEAR)
    score = float(scores[:, 0].mean())
    verdict: Literal["similar", "different"] = "similar" if score >= 0 else "different"
    return Likeness(verdict, score, score - half, score + half, abs(score) < half, tuple(measures))


def certainty(rows: np.ndarray, weight: np.ndarray, bias: np.ndarray, rng: np.random.Generator) -> Measure:
    """The share of its doubt that a look at an example takes from the classifier that the backbone came with.

    rows: (n, d).  weight: (k, d).  bias: (k,)
    Classes that are guessed alike for every example give 0, another sure class for each gives 1.
    Source: the uncertainty coefficient of Theil 1970 on the quantities of the Inception Score, Salimans et al. 2016.
    """
    z = rows @ weight.T + bias
    p = np.exp(z - z.max(1, keepdims=True))
    p = (p / p.sum(1, keepdims=True)).astype(np.float64)
    own = -(p * np.log(p + 1e-12)).sum(1)

    def share(counts: np.ndarray) -> np.ndarray:
        w = counts / counts.sum(1, keepdims=True)
        mean = w @ p
        whole = -(mean * np.log(mean + 1e-12)).sum(1)
        return 1 - (w @ own) / np.maximum(whole, 1e-12)

    value, low, high = _figured(share, len(rows), rng, 0.0, 1.0)
    says = "of the doubt of the classifier it was trained with, the share that a look at an example removes"
    return Measure("certainty", value, low, high, CERTAINTY, "higher", says)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What one BatchNorm layer met in n examples: (n, c) means and mean squares, and the (c,) statistics it keeps."""

    mean: np.ndarray
    square: np.ndarray
    kept_mean: np.ndarray
    kept_variance: np.ndarray


def norms(layers: Sequence[Moments], backbone: str, rng: np.random.Generator) -> Measure:
    """How far the channels lie from the statistics that BatchNorm kept of the pretraining; 0 is the same.

    Squared Fréchet distance of two normals in each channel, in the kept variance: the median over channels, because a
    few that the pretraining left dead would outweigh all others, and the mean over layers, of each at most MOST.
    Source: Dowson and Landau 1982 for the distance.
    """

    def distance(counts: np.ndarray) -> np.ndarray:
        w = counts / counts.sum(1, keepdims=True)
        found = []
        for layer in layers:
            mean = w @ layer.mean
            spread = np.sqrt(np.maximum(w @ layer.square - mean * mean, 0))
            kept = np.sqrt(layer.kept_variance)
            apart = ((mean - layer.kept_mean) ** 2 + (spread - kept) ** 2) / layer.kept_variance
            found.append(np.minimum(np.median(apart, axis=1), MOST))
        return np.mean(np.array(found), axis=0)

    value, low, high = _figured(distance, len(layers[0].mean), rng, 0.0, np.inf)
    says = "Fréchet distance of its upper layers' channels from the BatchNorm statistics of the pretraining"
    return Measure("norms", value, low, high, NORMS_OF.get(backbone, NORMS), "lower", says)


def pieces(counts: np.ndarray, words: np.ndarray, rng: np.random.Generator) -> Measure:
    """Pieces that the tokenizer needs for a word: near 1 where it has met such words, 3 and more where it spells.

    counts, words: (n,), of each text
    """

    def ratio(weights: np.ndarray) -> np.ndarray:
        return (weights @ counts) / np.maximum(weights @ words, 1)

    value, low, high = _figured(ratio, len(counts), rng, 0.0, np.inf)
    says = "pieces that its tokenizer breaks a word into"
    return Measure("pieces", value, low, high, PIECES, "lower", says)


def lead(pair: dict) -> Measure:
    """Of the floor's errors, the share that is left on the backbone: for one that carries no trace of its pretraining.

    pair: a Paired as JSON of the backbone against the floor, with what both are worth. What is left of the errors of
    random weights would not do: between 2 and 50 % on photos as on spectrograms.
    """
    wrong = max(1 - pair["other"], 0.5 / max(pair["n"], 1))
    value, low, high = (max((wrong - pair[key]) / wrong, 0.05) for key in ("difference", "high", "low"))
    says = "of the errors of hand-made numbers, the share that is left on the backbone"
    return Measure("lead", value, low, max(high, value), LEAD, "lower", says)


def _figured(
    statistic: Callable[[np.ndarray], np.ndarray], n: int, rng: np.random.Generator, lowest: float, highest: float
) -> tuple[float, float, float]:
    """A statistic of n examples with its bootstrap interval. statistic: (r, n) counts -> (r,)"""
    counts = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(DRAWS)]).astype(np.float64)
    value = float(statistic(np.ones((1, n)))[0])
    low, high = around(value, statistic(counts), lowest, highest)
    return value, max(low, 0.2 * value), high


def purity(x: np.ndarray, y: np.ndarray) -> dict:
    """{"value", "low", "high", "chance", "n"}: how often the nearest other example (cosine) has the same class.

    x: (n, d).  y: (n,) classes
    """
    unit = x - x.mean(0)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    right = int((y[near.argmax(1)] == y).sum())
    low, high = wilson(right, len(y))
    shares = np.bincount(y) / len(y)
    return {"value": right / len(y), "low": low, "high": high, "chance": float((shares**2).sum()), "n": len(y)}


def apart(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """Three distances between two sets of rows, (n, d) and (m, d), float32; 0 is the same, larger is farther.

    frechet: of two normals, as a share of the mean variance of both (Heusel et al. 2017, FID)
    mmd:     unbiased squared maximum mean discrepancy under a Gaussian kernel of median width (Gretton et al. 2012)
    proxy_a: 2 - 4 times the error of a linear head that tells them apart, at most 2 (Ben-David et al. 2007)
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    one, other = a - a.mean(0), b - b.mean(0)
    n, m = len(a), len(b)
    traces = (one**2).sum() / (n - 1) + (other**2).sum() / (m - 1)
    # The trace of the root of a product of covariances is the nuclear norm of this n x m matrix.
    crossed = np.linalg.svd(one @ other.T, compute_uv=False).sum() / math.sqrt((n - 1) * (m - 1))
    frechet = ((a.mean(0) - b.mean(0)) ** 2).sum() + traces - 2 * crossed
    return {"frechet": float(frechet / (traces / 2)), "mmd": _mmd(a, b), "proxy_a": _proxy_a(a, b, rng)}


def _mmd(a: np.ndarray, b: np.ndarray) -> float:
    both = np.concatenate([a, b])
    lengths = (both**2).sum(1)
    square = np.maximum(lengths[:, None] + lengths[None] - 2 * both @ both.T, 0)
    near = np.exp(-square / np.median(square[square > 0]))
    n, m = len(a), len(b)
    inside = (near[:n, :n].sum() - n) / (n * (n - 1)) + (near[n:, n:].sum() - m) / (m * (m - 1))
    return float(inside - 2 * near[:n, n:].mean())


def _proxy_a(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> float:
    """Each half is told by a ridge that learned from the other; both sets count alike."""
    x = np.concatenate([a, b])
    x = (x - x.mean(0)) / (x.std(0) + 1e-9)
    t = np.concatenate([np.ones(len(a)), -np.ones(len(b))])
    half = np.concatenate([rng.permutation(np.arange(len(s)) % 2) for s in (a, b)])
    wrong = np.zeros(len(x))
    for side in (0, 1):
        learn, held = half != side, half == side
        gram = x[learn] @ x[learn].T
        weight = x[learn].T @ np.linalg.solve(gram + gram.diagonal().mean() * np.eye(len(gram)), t[learn])
        wrong[held] = np.sign(x[held] @ weight) != t[held]
    error = (wrong[: len(a)].mean() + wrong[len(a) :].mean()) / 2
    return float(min(2.0, max(0.0, 2 - 4 * error)))
