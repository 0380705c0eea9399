"""Penalised logistic regression, many fits at once: all folds are columns of the same matrix products.

Newton's method; each step is solved by conjugate gradients, so a fit costs a handful of products with the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

OUTER = 25  # Newton steps a strength may take
TRUST = 0.1
FORCING = 0.2  # a step is solved to this share of its residual; smaller gains nothing before the last step
LEAPS = (0.0, 0.5, 1.0, 1.5)  # how far the path is followed beyond its last point: where the loss is least


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """f fits to the same rows, which differ in who counts.

    rows:    (n, r + 1), a last column of ones takes the intercept; its dtype is that of all arithmetic
    targets: (k, n) of 0 and 1
    weights: (f, 1, n) or (f, k, n); a fit's weights sum to about 1 over its rows
    bend:    (r + 1,) mean square of each column, for preconditioning
    link:    "softmax" over the k columns, or "sigmoid" for each by itself
    """

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    bend: np.ndarray
    link: Literal["softmax", "sigmoid"]

    def scores(self, b: np.ndarray) -> np.ndarray:
        """(f, k, r + 1) -> (f, k, n)"""
        # Rows first, then turned: OpenBLAS is a third faster with the long side first (0.3.31, 30 columns).
        flat = b.reshape(-1, self.rows.shape[1])
        return np.ascontiguousarray((self.rows @ flat.T).T).reshape(*b.shape[:2], len(self.rows))

    def pull(self, by_row: np.ndarray) -> np.ndarray:
        """(f, k, n) -> (f, k, r + 1), the other way"""
        flat = by_row.reshape(-1, len(self.rows))
        return (flat @ self.rows).reshape(*by_row.shape[:2], self.rows.shape[1])

    def loss(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(f,) float64 weighted log-loss in nats, and probabilities (f, k, n)."""
        if self.link == "softmax":
            p = s - s.max(1, keepdims=True)
            true = np.einsum("fkn,kn->fn", p, self.targets)
            np.exp(p, out=p)
            total = p.sum(1, keepdims=True)
            p /= total
            losses = np.log(total) - true[:, None]
        else:
            p = np.exp(-np.abs(s))
            losses = np.log1p(p)
            losses += np.maximum(s, 0)
            losses -= self.targets * s
            p = np.where(s >= 0, 1, p) / (1 + p)
        losses *= self.weights
        return losses.sum((1, 2), dtype=np.float64), p

    def bent(self, p: np.ndarray, s: np.ndarray) -> np.ndarray:
        """What the Hessian of the loss makes of a step that moves scores by s."""
        out = p * s
        out -= p * (out if self.link == "sigmoid" else out.sum(1, keepdims=True))
        out *= self.weights
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Coefficients b (f, k, r + 1), their scores s (f, k, n), and the steps and products it took to get there."""

    b: np.ndarray
    s: np.ndarray
    steps: int = 0
    products: int = 0


def problem(
    z: np.ndarray,
    power: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    link: Literal["softmax", "sigmoid"],
    dtype: type = np.float32,
) -> Problem:
    """From the rows of a Basis. z: (n, r), power: (r,) float64; the others as in Problem, in any dtype."""
    rows = np.ones((len(z), z.shape[1] + 1), dtype)
    rows[:, :-1] = z
    bend: np.ndarray = np.append(power / max(1, len(z)), 1.0).astype(dtype)
    return Problem(rows, targets.astype(dtype), weights.astype(dtype), bend, link)


def origin(problem: Problem) -> Point:
    """All coefficients 0."""
    shape = (len(problem.weights), len(problem.targets))
    dtype = problem.rows.dtype
    return Point(np.zeros((*shape, problem.rows.shape[1]), dtype), np.zeros((*shape, len(problem.rows)), dtype))


def follow(problem: Problem, now: Point, before: Point, penalty: np.ndarray) -> Point:
    """A start for the next strength: on from `before` through `now`, each fit as far as pays.

    Scores are linear in coefficients, so looking along the line costs no product with the rows.
    """
    db, ds = now.b - before.b, now.s - before.s
    values = []
    for leap in LEAPS:
        step = problem.rows.dtype.type(leap)
        values.append(problem.loss(now.s + step * ds)[0] + _penalty(now.b + step * db, penalty))
    best = np.array(LEAPS, problem.rows.dtype)[np.argmin(values, axis=0)][:, None, None]
    return Point(now.b + best * db, now.s + best * ds)


def solve(problem: Problem, start: Point, penalty: np.ndarray, tolerance: float, inner: int) -> Point:
    """The least of loss + penalty / 2 * |b|^2 (without intercepts), each fit by itself, from `start`.

    penalty: (f,).  tolerance: stops when a step is foreseen to lower no fit by more than this share of its value
    inner: matrix products that a step may take
    """
    b, s = start.b, start.s
    dtype = problem.rows.dtype
    slack = 8 * float(np.finfo(dtype).eps)
    ridge = penalty.astype(dtype)[:, None, None]
    loss, p = problem.loss(s)
    value = loss + _penalty(b, penalty)
    last, steps, products = np.inf, 0, 0
    while steps < OUTER:
        steps += 1
        slope = problem.pull((p - problem.targets) * problem.weights)
        slope[..., :-1] += ridge * b[..., :-1]
        db, ds, left, taken = _step(problem, slope, p, ridge, tolerance * value, inner)
        products += taken
        gain = -_dot(slope, db)
        length = np.ones(len(b))
        for _ in range(12):
            stride = length.astype(dtype)[:, None, None]
            b_new, s_new = b + stride * db, s + stride * ds
            loss, p = problem.loss(s_new)
            new = loss + _penalty(b_new, penalty)
            short = ~(new <= value - 1e-4 * length * gain + slack * (1 + np.abs(value)))
            if not short.any():
                break
            length[short] /= 3
        b, s, value = b_new, s_new, new
        # What CG left over, and what the quadratic model may have missed.
        foreseen = float((np.maximum(left / 2, TRUST * gain / 2) / np.maximum(value, 1e-6)).max())
        # Rounding keeps a nearly perfect fit from ever getting there: no progress over two steps ends it too.
        if foreseen <= tolerance or (steps > 3 and foreseen > last / 2):
            break
        last = foreseen
    return Point(b, s, start.steps + steps, start.products + products)


def _step(
    problem: Problem, slope: np.ndarray, p: np.ndarray, ridge: np.ndarray, floor: np.ndarray, inner: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Newton's step and the scores it moves, by preconditioned conjugate gradients, all fits side by side.

    The preconditioner takes the Hessian for diagonal: exact directions of z, one mean p (1 - p) a class.
    """
    dtype = problem.rows.dtype
    mean = ((p * (1 - p)) * problem.weights).sum(2)
    scale = mean[..., None] * problem.bend
    scale[..., :-1] += ridge
    # A tag that is always on has an intercept without end: its curvature underflows, and a rounding error over it would
    # be a step without end. The Hessian alone is changed, so the answer is the same.
    least = np.finfo(dtype).eps
    scale[..., -1] += least
    scale = 1 / np.maximum(scale, np.finfo(dtype).tiny * 1e8)
    db, ds = np.zeros_like(slope), np.zeros_like(p)
    rest = -slope
    turned = scale * rest
    way = turned.copy()
    square = _dot(rest, turned)
    goal, going, products = np.maximum(FORCING**2 * square, floor), square > 0, 0
    while going.any() and products < inner:
        ds_way = problem.scores(way)
        bent = problem.pull(problem.bent(p, ds_way))
        bent[..., :-1] += ridge * way[..., :-1]
        bent[..., -1] += least * way[..., -1]
        curve = _dot(way, bent)
        going &= curve > 0
        far = np.where(going, square / np.where(going, curve, 1), 0).astype(dtype)[:, None, None]
        db += far * way
        ds += far * ds_way
        rest -= far * bent
        np.multiply(scale, rest, out=turned)
        new = _dot(rest, turned)
        going &= new > goal
        way *= np.where(square > 0, new / np.where(square > 0, square, 1), 0).astype(dtype)[:, None, None]
        way += turned
        square = new
        products += 1
    return db, ds, square, products


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(f,) float64, over all but the first axis"""
    return np.einsum("fi,fi->f", a.reshape(len(a), -1), b.reshape(len(b), -1)).astype(np.float64)


def _penalty(b: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    return penalty / 2 * np.einsum("fkr,fkr->f", b[..., :-1], b[..., :-1]).astype(np.float64)
