"""Penalised logistic regression on more rows than memory holds: Newton's method in passes over a memory map.

Only coefficients and one block of rows are held. A start near the end, from a sample of the rows, leaves few steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from headstart.training.heads.linear import Basis

BLOCK = 2**21  # numbers of x held at once: 8 MB
MAX_STEPS, MAX_PASSES = 12, 30  # Newton steps, and passes that one may take
FORCING = 0.2  # a step is solved to this fraction of its gradient
TOLERANCE = 1e-6  # of the objective: a step that is predicted to lower it by less is the last


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Rows of a basis that are made block by block, z = (x - mean) @ lift, with targets and sample weights.

    x:             (n, d), may be a memory map
    targets:       (k, n) bool
    sample_weight: (1, n) or (k, n), summing to about 1 over the rows of a column
    basis:         of a sample of the same rows
    link:          "softmax" over the k columns, or "sigmoid" for each by itself
    penalty:       of the squared length of all coefficients but intercepts, halved
    """

    x: Any
    targets: np.ndarray
    sample_weight: np.ndarray
    basis: Basis
    link: Literal["softmax", "sigmoid"]
    penalty: float

    def lift(self) -> np.ndarray:
        """(d, r) float32, scaling in it."""
        out = self.basis.lift[0]
        for matrix in self.basis.lift[1:]:
            out = out @ matrix
        return (self.basis.gain[:, None] * out).astype(np.float32)

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """((m, d) float32 less the mean, (m, k) targets, (m, 1 or k) sample weights)"""
        mean, step = self.basis.mean.astype(np.float32), max(1, BLOCK // self.x.shape[1])
        for first in range(0, len(self.x), step):
            rows = slice(first, first + step)
            block = np.subtract(self.x[rows], mean, dtype=np.float32)
            yield block, self.targets[:, rows].T, self.sample_weight[:, rows].T


def fit(stream: Stream, start: np.ndarray) -> np.ndarray:
    """(k, r + 1) float64 coefficients on the basis, the last of each the intercept, from `start` of the same shape.

    Source: Nash 1984, truncated Newton; each step by preconditioned conjugate gradients.
    """
    b, lift = start.astype(np.float64), stream.lift()
    ridge = np.full(b.shape[1], stream.penalty)
    ridge[-1] = 0.0
    mean_square = np.append(stream.basis.power / max(1, len(stream.basis.z)), 1.0)
    value, gradient, variance = _value(stream, lift, b, ridge)
    for _ in range(MAX_STEPS):
        diagonal = variance[:, None] * mean_square + ridge
        direction, predicted = _newton_step(stream, lift, b, gradient, ridge, diagonal)
        if predicted <= TOLERANCE * max(value, 1e-6):
            break
        for length in (1.0, 1 / 3, 1 / 9, 1 / 27):
            new, new_gradient, new_variance = _value(stream, lift, b + length * direction, ridge)
            if new <= value:
                break
        else:
            break  # rounding keeps it from falling further
        b, value, gradient, variance = b + length * direction, new, new_gradient, new_variance
    return b


def _logits(block: np.ndarray, lift: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(m, k) float32"""
    return block @ (lift @ b[:, :-1].T.astype(np.float32)) + b[:, -1].astype(np.float32)


def _probabilities(link: str, s: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m, k) probabilities and (m, 1 or k) losses in nats."""
    if link == "softmax":
        s = s - s.max(1, keepdims=True)
        p = np.exp(s)
        total = p.sum(1, keepdims=True)
        return p / total, np.log(total) - (s * targets).sum(1, keepdims=True)
    e = np.exp(-np.abs(s))
    return np.where(s >= 0, 1, e) / (1 + e), np.log1p(e) + np.maximum(s, 0) - targets * s


def _by_coefficient(lift: np.ndarray, by_column: np.ndarray, by_bias: np.ndarray) -> np.ndarray:
    """A gradient by columns of x (d, k) and by intercepts (k,) -> by coefficients (k, r + 1)."""
    return np.concatenate([(lift.T.astype(np.float64) @ by_column).T, by_bias[:, None]], axis=1)


def _value(stream: Stream, lift: np.ndarray, b: np.ndarray, ridge: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The objective in nats, its gradient (k, r + 1), and the mean of p (1 - p) by column (k,)."""
    k, d = len(b), stream.x.shape[1]
    loss, by_column, by_bias, variance = 0.0, np.zeros((d, k)), np.zeros(k), np.zeros(k)
    for block, targets, weight in stream.blocks():
        p, losses = _probabilities(stream.link, _logits(block, lift, b), targets)
        loss += float((losses * weight).sum(dtype=np.float64))
        by_logit = (p - targets) * weight
        by_column += block.T @ by_logit.astype(np.float32)
        by_bias += by_logit.sum(0, dtype=np.float64)
        variance += (p * (1 - p) * weight).sum(0, dtype=np.float64)
    gradient = _by_coefficient(lift, by_column, by_bias) + ridge * b
    return loss + float((ridge * b * b).sum() / 2), gradient, variance


def _newton_step(
    stream: Stream, lift: np.ndarray, b: np.ndarray, gradient: np.ndarray, ridge: np.ndarray, diagonal: np.ndarray
) -> tuple[np.ndarray, float]:
    """A step, and by how much it is predicted to lower the objective. diagonal: about that of the Hessian"""
    step, residual = np.zeros_like(b), -gradient
    scaled = residual / diagonal
    direction, square = scaled.copy(), float((residual * scaled).sum())
    goal = FORCING**2 * square
    for _ in range(MAX_PASSES):
        product = _hessian_product(stream, lift, b, direction) + ridge * direction
        curvature = float((direction * product).sum())
        if curvature <= 0:
            break
        size = square / curvature
        step, residual = step + size * direction, residual - size * product
        scaled = residual / diagonal
        new = float((residual * scaled).sum())
        if new <= goal:
            break
        direction, square = scaled + new / square * direction, new
    return step, -float((gradient * step).sum()) / 2


def _hessian_product(stream: Stream, lift: np.ndarray, b: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The Hessian of the loss times a direction, (k, r + 1)."""
    by_column, by_bias = np.zeros((stream.x.shape[1], len(b))), np.zeros(len(b))
    both = np.concatenate([b, v])
    for block, targets, weight in stream.blocks():
        s = _logits(block, lift, both)
        p, _ = _probabilities(stream.link, s[:, : len(b)], targets)
        product = p * s[:, len(b) :]
        product -= p * (product if stream.link == "sigmoid" else product.sum(1, keepdims=True))
        product *= weight
        by_column += block.T @ product.astype(np.float32)
        by_bias += product.sum(0, dtype=np.float64)
    return _by_coefficient(lift, by_column, by_bias)
