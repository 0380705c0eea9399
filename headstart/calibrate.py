"""How much to believe scores: log-loss, and the temperature that makes it least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

COLDEST, HOTTEST = 1e-3, 1e3  # least-squares scores need about 0.1, logits about 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """temperature: divide scores by it.  raw, loss: log-loss in nats before and after"""

    temperature: float
    raw: float
    loss: float


def calibrate(
    scores: np.ndarray, y: np.ndarray, link: Literal["softmax", "sigmoid"], weight: np.ndarray | None = None
) -> Calibration:
    """The temperature for scores of rows that the head did not learn from; m rows.

    scores: (m, k).  y: (m,) int64 for softmax, (m, k) of 0 and 1 for sigmoid.  weight: (m,) or (m, k); 0 = not judged
    The truth is counted as (m + 1) / (m + 2) sure, so that m faultless answers do not make an infinitely sure head.
    Source: Guo et al. 2017 (temperature); Platt 1999 (targets by the rule of succession).
    """
    scores = scores.astype(np.float64)
    if link == "softmax":
        w = np.ones(len(scores)) if weight is None else weight.astype(np.float64)
        scores, y, w = scores[w > 0], y[w > 0], w[w > 0]
        curve, m = _softmax(scores, y), len(scores)
    else:
        w = np.ones(scores.shape) if weight is None else np.broadcast_to(weight, scores.shape).astype(np.float64)
        scores, y, w, m = scores[w > 0], y[w > 0], w[w > 0], len(scores)
        curve = _sigmoid(scores, y)
    if not len(w):
        return Calibration(1.0, float("nan"), float("nan"))
    w = w / w.sum()
    doubt = 1 / (m + 2)
    low, high, at = 1 / HOTTEST, 1 / COLDEST, 1.0
    for _ in range(50):
        _, slope, bend = (w @ values for values in curve(at, doubt))
        low, high = (low, at) if slope > 0 else (at, high)
        new = at - slope / bend if bend > 0 else low
        # Newton where it stays inside of what is known, halving (of the logarithm) where it does not.
        new = new if low < new < high else float(np.sqrt(low * high))
        if abs(new - at) <= 1e-6 * at:
            break
        at = new
    return Calibration(1 / at, float(w @ curve(1.0, 0.0)[0]), float(w @ curve(at, 0.0)[0]))


def _softmax(scores: np.ndarray, y: np.ndarray):
    """Loss of each row at scores times u, with its first two derivatives in u."""
    k = scores.shape[1]
    scores = scores - scores.max(1, keepdims=True)
    true = scores[np.arange(len(y)), y]
    others = (scores.sum(1) - true) / max(1, k - 1)

    def curve(u: float, doubt: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        e = np.exp(u * scores)
        total = e.sum(1)
        e /= total[:, None]
        mean = np.einsum("ij,ij->i", e, scores)
        square = np.einsum("ij,ij,ij->i", e, scores, scores)
        goal = (1 - doubt) * true + doubt * others
        return np.log(total) - u * goal, mean - goal, square - mean**2

    return curve


def _sigmoid(scores: np.ndarray, y: np.ndarray):
    """Likewise for tags, each entry by itself."""

    def curve(u: float, doubt: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        z = u * scores
        p = 0.5 * (1 + np.tanh(z / 2))
        goal = (y > 0) * (1 - 2 * doubt) + doubt
        return np.logaddexp(0, z) - goal * z, (p - goal) * scores, p * (1 - p) * scores**2

    return curve
