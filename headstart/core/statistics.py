"""How far a figure from few examples can be trusted: intervals, calibration curves; and similarity of features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import sqrt

import numpy as np

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
RESAMPLES = 1000
CHUNK_WEIGHTS = 200_000  # held at once: 1.6 MB stay in the cache of a core, a tenth faster than 16 MB


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """95 % interval of a share, `successes` of `n`; all of 0..1 where n is 0.

    Source: E. B. Wilson, JASA 22 (1927), 209-212.
    """
    if not n:
        return 0.0, 1.0
    p, z2 = successes / n, Z * Z
    middle, half = p + z2 / (2 * n), Z * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, float((middle - half) / (1 + z2 / n))), min(1.0, float((middle + half) / (1 + z2 / n)))


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], n: int, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """The statistics of a sample of n, (s,), and of its bootstrap resamples, (resamples, s).

    statistic: how often each example counts, (r, n) float64, -> (r, s)
    """
    return statistic(np.ones((1, n)))[0], np.concatenate([statistic(w) for w in _resample_weights(n, rng, resamples)])


def bootstrap_interval(
    value: float, draws: np.ndarray, lowest: float = -np.inf, highest: float = np.inf
) -> tuple[float, float]:
    """95 % bootstrap interval, moved so that its middle is the value, and kept within what is possible.

    Moved, because resamples of a biased figure (a calibration error) lie beside it: the plain percentiles can miss it.
    """
    low, middle, high = np.quantile(draws, (0.025, 0.5, 0.975))
    shift = value - middle
    return float(np.clip(low + shift, lowest, value)), float(np.clip(high + shift, value, highest))


def share_interval(value: float, draws: np.ndarray, n: int) -> tuple[float, float]:
    """Likewise for a mean of shares, never narrower than Wilson's for `value` of n.

    Resamples of faultless answers are faultless too: the bootstrap alone would claim that 18 of 18 proves all.
    """
    low, high = bootstrap_interval(value, draws, 0, 1)
    least, most = wilson_interval(value * n, n)
    return min(low, least), max(high, most)


def reliability_curve(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> list[dict]:
    """How often predictions of each confidence were right; bins of equal width, empty ones left out."""
    assigned = confidence_bins(confidence, bins)
    rows = []
    for b in range(bins):
        inside = assigned == b
        if n := int(inside.sum()):
            means = {"confidence": float(confidence[inside].mean()), "accuracy": float(correct[inside].mean())}
            rows.append({"low": b / bins, "high": (b + 1) / bins, "n": n, **means})
    return rows


def confidence_bins(confidence: np.ndarray, bins: int = 15) -> np.ndarray:
    """(n,) int64 bin of each confidence; a bin holds its upper border.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2.
    """
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def precision_recall_f1(hits: int, true: int, positives: int) -> dict[str, float]:
    """Of one class or tag with `true` examples, predicted for `positives`, rightly for `hits`; 0 where undefined."""
    precision, recall = hits / max(positives, 1), hits / max(true, 1)
    return {"precision": precision, "recall": recall, "f1": 2 * hits / max(true + positives, 1)}


def linear_cka(a: np.ndarray, b: np.ndarray) -> float:
    """Linear CKA of two (n, d) sets of rows of the same examples, 1 for equal up to rotation and scale.

    Source: Kornblith et al. 2019.
    """
    a, b = (x.astype(np.float64) - x.mean(0, dtype=np.float64) for x in (a, b))
    ab, aa, bb = (float(np.linalg.norm(p.T @ q) ** 2) for p, q in ((a, b), (a, a), (b, b)))
    return ab / max(sqrt(aa * bb), 1e-300)


def _resample_weights(n: int, rng: np.random.Generator, resamples: int) -> Iterator[np.ndarray]:
    """How often each example is in a resample, in chunks of (r, n) float64."""
    chunk = max(1, CHUNK_WEIGHTS // max(n, 1))
    for start in range(0, resamples, chunk):
        r = min(chunk, resamples - start)
        drawn = rng.integers(0, n, (r, n), dtype=np.int32) + np.arange(r, dtype=np.int64)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=r * n).reshape(r, n).astype(np.float64)
