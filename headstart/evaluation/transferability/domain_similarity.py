"""Domain similarity between the data and a backbone's pretraining, without any pretraining data.

What the checkpoint carries of its pretraining is compared with the data: BatchNorm running statistics, the original
classifier, the tokenizer's vocabulary. Each measure has a 95 % interval and a border between similar and different.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from headstart.core.features import unit_rows
from headstart.core.statistics import bootstrap_interval, wilson_interval

RESAMPLES = 200  # bootstrap, over examples
Z = 1.96
# Borders between similar and different, set on real data: BORDERS_SEEN in the tests holds what was measured.
CERTAINTY_BORDER = 0.22
BATCHNORM_BORDER = 0.12
# Its running statistics are of augmented views of small photos: even ImageNet's photos lie at 0.35.
BATCHNORM_BORDERS = {"own:vision-small": 0.5}
SUBWORDS_BORDER = 2.2
REMAINING_ERROR_BORDER = 0.9
MAX_LAYER_DISTANCE = 4.0  # of one BatchNorm layer: two standard deviations away
FARTHEST = 1e6  # the largest Fréchet distance that is told, in variances
NEAR_BORDER = 0.35  # in log2: half the width that an interval has at least

# Baselines without transfer, as words after "than".
BASELINE_NAMES = {"stats": "hand-made numbers", "untrained": "the same network with random weights"}


@dataclass(frozen=True, slots=True)
class SimilarityMeasure:
    """One measure of domain similarity with its 95 % interval and its border.

    better: which direction is more similar.  says: what is measured, for the reports
    """

    name: str
    value: float
    low: float
    high: float
    border: float
    better: Literal["higher", "lower"]
    says: str

    def margin(self) -> tuple[float, float, float]:
        """(margin, low, high): log2 distance from the border, above 0 on the similar side."""
        sign = 1 if self.better == "higher" else -1
        low, high = sorted(sign * math.log2(max(v, 1e-4) / self.border) for v in (self.low, self.high))
        return sign * math.log2(max(self.value, 1e-4) / self.border), low, high


@dataclass(frozen=True, slots=True)
class SimilarityEstimate:
    """All measures in one score.

    score, low, high: mean margin in log2 with its 95 % interval, which disagreement between the measures widens
    near:             the interval holds the border
    """

    verdict: Literal["similar", "different"]
    score: float
    low: float
    high: float
    near: bool
    measures: tuple[SimilarityMeasure, ...]


@dataclass(frozen=True, slots=True)
class TransferComparison:
    """A probe on the pretrained backbone against baselines without transfer, for the guard of negative transfer.

    against: "stats", "untrained" -> a paired comparison as JSON, of the backbone's probe with one on those features
    verdict: "helped", "cannot tell" or "hurt"
    skip:    the floor does as well, so transfer is not needed
    instead: what to do then, in words
    """

    backbone: str
    kind: str
    verdict: str
    against: dict[str, dict]
    skip: bool
    similarity: str
    instead: str


def combine_measures(measures: Sequence[SimilarityMeasure]) -> SimilarityEstimate:
    """The mean margin of at least one measure."""
    margins = np.array([m.margin() for m in measures])
    n = len(margins)
    sampling_variance = ((margins[:, 2] - margins[:, 1]) / (2 * Z)) ** 2
    disagreement = margins[:, 0].var(ddof=1) / n if n > 1 else 0.0
    half_width = max(Z * math.sqrt(sampling_variance.sum() / n**2 + disagreement), NEAR_BORDER)
    score = float(margins[:, 0].mean())
    verdict: Literal["similar", "different"] = "similar" if score >= 0 else "different"
    low, high, near = score - half_width, score + half_width, abs(score) < half_width
    return SimilarityEstimate(verdict, score, low, high, near, tuple(measures))


def classifier_certainty(
    rows: np.ndarray, weight: np.ndarray, bias: np.ndarray, rng: np.random.Generator
) -> SimilarityMeasure:
    """Uncertainty coefficient of the backbone's original classifier: mutual information over label entropy.

    rows: (n, d) embeddings.  weight: (k, d).  bias: (k,)
    The same prediction for every example gives 0, a different confident class for each gives 1.
    Source: the uncertainty coefficient of Theil 1970 on the quantities of the Inception Score, Salimans et al. 2016.
    """
    logits = rows @ weight.T + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    p = (p / p.sum(1, keepdims=True)).astype(np.float64)
    entropy = -(p * np.log(p + 1e-12)).sum(1)

    def uncertainty_coefficient(counts: np.ndarray) -> np.ndarray:
        w = counts / counts.sum(1, keepdims=True)
        mean = w @ p
        marginal_entropy = -(mean * np.log(mean + 1e-12)).sum(1)
        return 1 - (w @ entropy) / np.maximum(marginal_entropy, 1e-12)

    value, low, high = _bootstrap(uncertainty_coefficient, len(rows), rng, 0.0, 1.0)
    says = "of the doubt of the classifier it was trained with, the share that a look at an example removes"
    return SimilarityMeasure("certainty", value, low, high, CERTAINTY_BORDER, "higher", says)


@dataclass(frozen=True, slots=True, eq=False)
class BatchNormMoments:
    """Inputs of one BatchNorm layer, (n, c) means and mean squares of n examples, and its (c,) running statistics."""

    mean: np.ndarray
    square: np.ndarray
    kept_mean: np.ndarray
    kept_variance: np.ndarray


def batchnorm_distance(
    layers: Sequence[BatchNormMoments], backbone: str, rng: np.random.Generator
) -> SimilarityMeasure:
    """Distribution shift in the channels, against the BatchNorm running statistics of the pretraining; 0 is none.

    Squared Fréchet distance of two normals in each channel, in units of the running variance: the median over
    channels, because a few dead ones would outweigh all others, and the mean over layers, each at most
    MAX_LAYER_DISTANCE.  Source: Dowson and Landau 1982 for the distance.
    """

    def distance(counts: np.ndarray) -> np.ndarray:
        w = counts / counts.sum(1, keepdims=True)
        by_layer = []
        for layer in layers:
            mean = w @ layer.mean
            std = np.sqrt(np.maximum(w @ layer.square - mean * mean, 0))
            running_std = np.sqrt(layer.kept_variance)
            by_channel = ((mean - layer.kept_mean) ** 2 + (std - running_std) ** 2) / layer.kept_variance
            by_layer.append(np.minimum(np.median(by_channel, axis=1), MAX_LAYER_DISTANCE))
        return np.mean(np.array(by_layer), axis=0)

    value, low, high = _bootstrap(distance, len(layers[0].mean), rng, 0.0, np.inf)
    border = BATCHNORM_BORDERS.get(backbone, BATCHNORM_BORDER)
    says = "Fréchet distance of its upper layers' channels from the BatchNorm statistics of the pretraining"
    return SimilarityMeasure("norms", value, low, high, border, "lower", says)


def subwords_per_word(counts: np.ndarray, words: np.ndarray, rng: np.random.Generator) -> SimilarityMeasure:
    """Tokenizer fertility, subword tokens a word: near 1 on text like its training corpus, 3 and more on unlike text.

    counts, words: (n,) tokens and words of each text
    """

    def ratio(weights: np.ndarray) -> np.ndarray:
        return (weights @ counts) / np.maximum(weights @ words, 1)

    value, low, high = _bootstrap(ratio, len(counts), rng, 0.0, np.inf)
    says = "pieces that its tokenizer breaks a word into"
    return SimilarityMeasure("pieces", value, low, high, SUBWORDS_BORDER, "lower", says)


def remaining_error(pair: dict) -> SimilarityMeasure:
    """Error of the backbone's probe relative to the floor's: for a checkpoint without traces of its pretraining.

    pair: a paired comparison as JSON of the backbone against the floor, with the score of both. Error relative to
    random weights would not do: 2 to 50 % on photos as on spectrograms.
    """
    floor_error = max(1 - pair["other"], 0.5 / max(pair["n"], 1))
    value, low, high = (max((floor_error - pair[key]) / floor_error, 0.05) for key in ("difference", "high", "low"))
    says = "of the errors of hand-made numbers, the share that is left on the backbone"
    return SimilarityMeasure("lead", value, low, max(high, value), REMAINING_ERROR_BORDER, "lower", says)


def _bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], n: int, rng: np.random.Generator, lowest: float, highest: float
) -> tuple[float, float, float]:
    """(value, low, high) of a statistic of n examples by the bootstrap. statistic: (r, n) counts -> (r,)"""
    counts = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(RESAMPLES)]).astype(np.float64)
    value = float(statistic(np.ones((1, n)))[0])
    low, high = bootstrap_interval(value, statistic(counts), lowest, highest)
    return value, max(low, 0.2 * value), high


def nearest_neighbour_purity(x: np.ndarray, y: np.ndarray) -> dict:
    """{"value", "low", "high", "chance", "n"}: leave-one-out accuracy of 1-NN by cosine similarity.

    x: (n, d) embeddings.  y: (n,) classes
    """
    unit = unit_rows(x - x.mean(0))
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    right = int((y[similarity.argmax(1)] == y).sum())
    low, high = wilson_interval(right, len(y))
    shares = np.bincount(y) / len(y)
    return {"value": right / len(y), "low": low, "high": high, "chance": float((shares**2).sum()), "n": len(y)}


def distribution_distances(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """Distribution shift between two sets of embeddings, (n, d) and (m, d) float32, by three distances; 0 is none.

    frechet: of two normals, as a share of the mean variance of both (Heusel et al. 2017, FID)
    mmd:     unbiased squared maximum mean discrepancy under a Gaussian kernel of median width (Gretton et al. 2012)
    proxy_a: 2 - 4 times the error of a linear domain classifier, at most 2 (Ben-David et al. 2007)
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    centred_a, centred_b = a - a.mean(0), b - b.mean(0)
    n, m = len(a), len(b)
    traces = (centred_a**2).sum() / (n - 1) + (centred_b**2).sum() / (m - 1)
    # The trace of the root of a product of covariances is the nuclear norm of this n x m matrix.
    cross = np.linalg.svd(centred_a @ centred_b.T, compute_uv=False).sum() / math.sqrt((n - 1) * (m - 1))
    frechet = ((a.mean(0) - b.mean(0)) ** 2).sum() + traces - 2 * cross
    if traces <= 1e-12 * max((a**2).sum() / n, (b**2).sum() / m):  # rows that do not vary: equal, or worlds apart
        frechet, traces = (0.0 if np.allclose(a.mean(0), b.mean(0)) else FARTHEST), 2.0
    return {"frechet": float(min(frechet / (traces / 2), FARTHEST)), "mmd": _mmd(a, b), "proxy_a": _proxy_a(a, b, rng)}


def _mmd(a: np.ndarray, b: np.ndarray) -> float:
    x = np.concatenate([a, b])
    norms = (x**2).sum(1)
    squared = np.maximum(norms[:, None] + norms[None] - 2 * x @ x.T, 0)
    apart = squared[squared > 0]
    kernel = np.exp(-squared / np.median(apart)) if len(apart) else np.ones_like(squared)
    n, m = len(a), len(b)
    within = (kernel[:n, :n].sum() - n) / (n * (n - 1)) + (kernel[n:, n:].sum() - m) / (m * (m - 1))
    return float(within - 2 * kernel[:n, n:].mean())


def _proxy_a(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> float:
    """Twofold cross-validation of a ridge domain classifier; both sets weigh the same."""
    x = np.concatenate([a, b])
    x = (x - x.mean(0)) / (x.std(0) + 1e-9)
    t = np.concatenate([np.ones(len(a)), -np.ones(len(b))])
    folds = np.concatenate([rng.permutation(np.arange(len(s)) % 2) for s in (a, b)])
    wrong = np.zeros(len(x))
    for fold in (0, 1):
        train, test = folds != fold, folds == fold
        gram = x[train] @ x[train].T
        weight = x[train].T @ np.linalg.solve(gram + max(gram.diagonal().mean(), 1e-9) * np.eye(len(gram)), t[train])
        wrong[test] = np.sign(x[test] @ weight) != t[test]
    error = (wrong[: len(a)].mean() + wrong[len(a) :].mean()) / 2
    return float(min(2.0, max(0.0, 2 - 4 * error)))
