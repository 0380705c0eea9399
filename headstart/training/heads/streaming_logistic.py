"""Penalised logistic regression on more rows than memory holds: Newton's method in passes over a memory map.

Only coefficients and one block of rows are held. A start near the end, from a sample of the rows, leaves few steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from headstart.training.heads.linear import Basis

BLOCK = 2**21  # numbers of x held at once: 8 MB
OUTER, INNER = 12, 30  # Newton steps, and passes that one may take
FORCING = 0.2  # a step is solved to this share of its slope
ENOUGH = 1e-6  # of the objective: a step that is foreseen to lower it by less is the last


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Rows of a basis that are made block by block: z = (x - mean) @ lift, and what each row counts.

    x:       (n, d), may be a memory map
    targets: (k, n) bool.  counts: (1, n) or (k, n), summing to about 1 over the rows of a column
    basis:   of a sample of the same rows
    link:    "softmax" over the k columns, or "sigmoid" for each by itself
    penalty: of the squared length of all coefficients but intercepts, halved
    """

    x: Any
    targets: np.ndarray
    counts: np.ndarray
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
        """((m, d) float32 less the mean, (m, k) targets, (m, 1 or k) counts)"""
        mean, step = self.basis.mean.astype(np.float32), max(1, BLOCK // self.x.shape[1])
        for first in range(0, len(self.x), step):
            rows = slice(first, first + step)
            block = np.subtract(self.x[rows], mean, dtype=np.float32)
            yield block, self.targets[:, rows].T, self.counts[:, rows].T


def fit(stream: Stream, start: np.ndarray, said: Callable[[int, float], None] = lambda step, value: None) -> np.ndarray:
    """(k, r + 1) float64 coefficients on the basis, the last of each the intercept, from `start` of the same shape.

    said: told of each step and the objective before it, in nats a row
    Source: Nash 1984, truncated Newton; each step by preconditioned conjugate gradients.
    """
    b, lift = start.astype(np.float64), stream.lift()
    ridge = np.full(b.shape[1], stream.penalty)
    ridge[-1] = 0.0
    bend = np.append(stream.basis.power / max(1, len(stream.basis.z)), 1.0)
    value, slope, spread = _value(stream, lift, b, ridge)
    for step in range(OUTER):
        said(step, value)
        way, foreseen = _newton(stream, lift, b, slope, ridge, spread[:, None] * bend + ridge)
        if foreseen <= ENOUGH * max(value, 1e-6):
            break
        for length in (1.0, 1 / 3, 1 / 9, 1 / 27):
            new, new_slope, new_spread = _value(stream, lift, b + length * way, ridge)
            if new <= value:
                break
        else:
            break  # rounding keeps it from falling further
        b, value, slope, spread = b + length * way, new, new_slope, new_spread
    return b


def _scores(block: np.ndarray, lift: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(m, k) float32"""
    return block @ (lift @ b[:, :-1].T.astype(np.float32)) + b[:, -1].astype(np.float32)


def _chances(link: str, s: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m, k) probabilities and (m, 1 or k) losses in nats."""
    if link == "softmax":
        s = s - s.max(1, keepdims=True)
        p = np.exp(s)
        total = p.sum(1, keepdims=True)
        return p / total, np.log(total) - (s * targets).sum(1, keepdims=True)
    e = np.exp(-np.abs(s))
    return np.where(s >= 0, 1, e) / (1 + e), np.log1p(e) + np.maximum(s, 0) - targets * s


def _back(lift: np.ndarray, by_row: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """(d, k) and (k,) -> (k, r + 1)"""
    return np.concatenate([(lift.T.astype(np.float64) @ by_row).T, sums[:, None]], axis=1)


def _value(stream: Stream, lift: np.ndarray, b: np.ndarray, ridge: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The objective in nats, its slope (k, r + 1), and the mean of p (1 - p) by column (k,)."""
    k, d = len(b), stream.x.shape[1]
    loss, by_row, sums, spread = 0.0, np.zeros((d, k)), np.zeros(k), np.zeros(k)
    for block, targets, counts in stream.blocks():
        p, losses = _chances(stream.link, _scores(block, lift, b), targets)
        loss += float((losses * counts).sum(dtype=np.float64))
        off = (p - targets) * counts
        by_row += block.T @ off.astype(np.float32)
        sums += off.sum(0, dtype=np.float64)
        spread += (p * (1 - p) * counts).sum(0, dtype=np.float64)
    return loss + float((ridge * b * b).sum() / 2), _back(lift, by_row, sums) + ridge * b, spread


def _newton(
    stream: Stream, lift: np.ndarray, b: np.ndarray, slope: np.ndarray, ridge: np.ndarray, diagonal: np.ndarray
) -> tuple[np.ndarray, float]:
    """A step, and by how much it is foreseen to lower the objective. diagonal: about that of the Hessian"""
    way, rest = np.zeros_like(b), -slope
    turned = rest / diagonal
    towards, square = turned.copy(), float((rest * turned).sum())
    goal = FORCING**2 * square
    for _ in range(INNER):
        bent = _bent(stream, lift, b, towards) + ridge * towards
        curve = float((towards * bent).sum())
        if curve <= 0:
            break
        far = square / curve
        way, rest = way + far * towards, rest - far * bent
        turned = rest / diagonal
        new = float((rest * turned).sum())
        if new <= goal:
            break
        towards, square = turned + new / square * towards, new
    return way, -float((slope * way).sum()) / 2


def _bent(stream: Stream, lift: np.ndarray, b: np.ndarray, v: np.ndarray) -> np.ndarray:
    """What the Hessian of the loss makes of a direction, (k, r + 1)."""
    by_row, sums = np.zeros((stream.x.shape[1], len(b))), np.zeros(len(b))
    both = np.concatenate([b, v])
    for block, targets, counts in stream.blocks():
        s = _scores(block, lift, both)
        p, _ = _chances(stream.link, s[:, : len(b)], targets)
        out = p * s[:, len(b) :]
        out -= p * (out if stream.link == "sigmoid" else out.sum(1, keepdims=True))
        out *= counts
        by_row += block.T @ out.astype(np.float32)
        sums += out.sum(0, dtype=np.float64)
    return _back(lift, by_row, sums)
