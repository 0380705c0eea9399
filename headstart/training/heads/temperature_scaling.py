"""Temperature scaling: the temperature of logits that minimises the log-loss on held-out rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-3, 1e3  # least-squares scores need about 0.1, logits about 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """temperature: divide logits by it.  raw, loss: log-loss in nats before, and at its minimum"""

    temperature: float
    raw: float
    loss: float


def calibrate(
    scores: np.ndarray, y: np.ndarray, link: Literal["softmax", "sigmoid"], weight: np.ndarray | None = None
) -> Calibration:
    """The temperature for scores of rows that the head did not learn from; m rows.

    scores: (m, k).  y: (m,) int64 for softmax, (m, k) of 0 and 1 for sigmoid.  weight: (m,) or (m, k); 0 = not judged
    However faultless the m answers, confidence is at most (m + 1) / (m + 2) on average: the rule of succession.
    Source: Guo et al. 2017, "On calibration of modern neural networks".
    """
    scores = scores.astype(np.float64)
    shape = y.shape if link == "softmax" else scores.shape
    w = np.ones(shape) if weight is None else np.broadcast_to(weight, shape).astype(np.float64)
    judged = w > 0
    scores, y, w = scores[judged], y[judged], w[judged] / max(w.sum(), 1e-300)
    if not len(w):
        return Calibration(1.0, float("nan"), float("nan"))
    curve = _softmax(scores, y) if link == "softmax" else _sigmoid(scores, y)

    def slope(u: float) -> tuple[float, float]:
        _, first, second, _ = curve(u)
        return float(w @ first), float(w @ second)

    best = _root(slope, 1.0)
    ceiling = (len(w) + 1) / (len(w) + 2)
    capped = best

    def excess(u: float) -> tuple[float, float]:
        return float(w @ curve(u)[3]) - ceiling, 0.0

    if excess(best)[0] > 0:
        capped = min(best, _root(excess, best))
    return Calibration(1 / capped, float(w @ curve(1.0)[0]), float(w @ curve(best)[0]))


def _root(function: Callable[[float], tuple[float, float]], start: float) -> float:
    """Where a rising function crosses 0. function: u -> (value, derivative); a derivative of 0 is taken as unknown."""
    u, low, high = start, 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    for _ in range(50):
        value, slope = function(u)
        low, high = (low, u) if value > 0 else (u, high)
        new = u - value / slope if slope > 0 else 0.0
        # Newton where it stays inside of what is known, bisection (of the logarithm) where it does not.
        new = new if low < new < high else float(np.sqrt(low * high))
        if abs(new - u) <= 1e-5 * u:
            return new
        u = new
    return u


def _softmax(scores: np.ndarray, y: np.ndarray):
    """u -> of each row at scores times u: its loss, the first two derivatives in u, its highest probability."""
    scores = scores - scores.max(1, keepdims=True)
    true = scores[np.arange(len(y)), y]

    def curve(u: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        e = np.exp(u * scores)
        total = e.sum(1)
        e /= total[:, None]
        mean = np.einsum("ij,ij->i", e, scores)
        square = np.einsum("ij,ij,ij->i", e, scores, scores)
        return np.log(total) - u * true, mean - true, square - mean**2, 1 / total

    return curve


def _sigmoid(scores: np.ndarray, y: np.ndarray):
    """Likewise for tags, each entry by itself."""
    on = (y > 0).astype(np.float64)

    def curve(u: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        z = u * scores
        p = 0.5 * (1 + np.tanh(z / 2))
        return np.logaddexp(0, z) - on * z, (p - on) * scores, p * (1 - p) * scores**2, np.maximum(p, 1 - p)

    return curve
