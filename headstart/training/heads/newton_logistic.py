"""Penalised logistic regression, many fits at once: all folds are columns of the same matrix products.

Newton's method; each step is solved by conjugate gradients, so a fit costs a handful of products with the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from headstart.training.heads.label_columns import Columns
from headstart.training.heads.linear import Basis

MAX_STEPS = 25  # of Newton's method for a strength
MODEL_ERROR = 0.1  # of a step's gain that the quadratic model may have missed
FORCING = 0.2  # a step is solved to this fraction of its residual; smaller gains nothing before the last step
EXTRAPOLATIONS = (0.0, 0.5, 1.0, 1.5)  # how far the path is followed beyond its last point: where the loss is least


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """f fits to the same rows, which differ in their sample weights.

    rows:          (n, r + 1), a last column of ones takes the intercept; its dtype is that of all arithmetic
    targets:       (k, n) of 0 and 1
    sample_weight: (f, 1, n) or (f, k, n); of a fit they sum to about 1 over its rows
    mean_square:   (r + 1,) of each column, for preconditioning
    link:          "softmax" over the k columns, or "sigmoid" for each by itself
    """

    rows: np.ndarray
    targets: np.ndarray
    sample_weight: np.ndarray
    mean_square: np.ndarray
    link: Literal["softmax", "sigmoid"]

    def scores(self, b: np.ndarray) -> np.ndarray:
        """(f, k, r + 1) -> (f, k, n)"""
        # Rows first, then turned: OpenBLAS is a third faster with the long side first (0.3.31, 30 columns).
        flat = b.reshape(-1, self.rows.shape[1])
        return np.ascontiguousarray((self.rows @ flat.T).T).reshape(*b.shape[:2], len(self.rows))

    def gradient(self, by_row: np.ndarray) -> np.ndarray:
        """(f, k, n), by logits -> (f, k, r + 1), by coefficients"""
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
        losses *= self.sample_weight
        return losses.sum((1, 2), dtype=np.float64), p

    def hessian_product(self, p: np.ndarray, s: np.ndarray) -> np.ndarray:
        """The Hessian of the loss, by logits, times a step that moves them by s. p: probabilities"""
        out = p * s
        out -= p * (out if self.link == "sigmoid" else out.sum(1, keepdims=True))
        out *= self.sample_weight
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Coefficients b (f, k, r + 1), their logits s (f, k, n), and the steps and products it took to get there."""

    b: np.ndarray
    s: np.ndarray
    steps: int = 0
    products: int = 0


def build_problem(basis: Basis, columns: Columns, sample_weight: np.ndarray, dtype: type = np.float32) -> Problem:
    """Fits of these columns to the rows of a basis. sample_weight: as in Problem, in any dtype"""
    z = basis.z
    rows = np.ones((len(z), z.shape[1] + 1), dtype)
    rows[:, :-1] = z
    mean_square: np.ndarray = np.append(basis.power / max(1, len(z)), 1.0).astype(dtype)
    return Problem(rows, columns.targets.astype(dtype), sample_weight.astype(dtype), mean_square, columns.link)


def zero_start(problem: Problem) -> Point:
    """All coefficients 0."""
    shape = (len(problem.sample_weight), len(problem.targets))
    dtype = problem.rows.dtype
    return Point(np.zeros((*shape, problem.rows.shape[1]), dtype), np.zeros((*shape, len(problem.rows)), dtype))


def extrapolate(problem: Problem, point: Point, previous: Point, penalty: np.ndarray) -> Point:
    """A start for the next strength: on from `previous` through `point`, each fit as far as pays.

    Logits are linear in coefficients, so looking along the line costs no product with the rows.
    """
    db, ds = point.b - previous.b, point.s - previous.s
    values = []
    for factor in EXTRAPOLATIONS:
        step = problem.rows.dtype.type(factor)
        values.append(problem.loss(point.s + step * ds)[0] + _penalty(point.b + step * db, penalty))
    best = np.array(EXTRAPOLATIONS, problem.rows.dtype)[np.argmin(values, axis=0)][:, None, None]
    return Point(point.b + best * db, point.s + best * ds)


def solve(problem: Problem, start: Point, penalty: np.ndarray, tolerance: float, max_products: int) -> Point:
    """The minimum of loss + penalty / 2 * |b|^2 (without intercepts), each fit by itself, from `start`.

    penalty: (f,).  tolerance: stops when a step is predicted to lower no fit by more than this fraction of its value
    max_products: matrix products that a step may take
    """
    b, s = start.b, start.s
    dtype = problem.rows.dtype
    rounding = 8 * float(np.finfo(dtype).eps)
    ridge = penalty.astype(dtype)[:, None, None]
    loss, p = problem.loss(s)
    value = loss + _penalty(b, penalty)
    previous, steps, products = np.inf, 0, 0
    while steps < MAX_STEPS:
        steps += 1
        gradient = problem.gradient((p - problem.targets) * problem.sample_weight)
        gradient[..., :-1] += ridge * b[..., :-1]
        db, ds, residual, taken = _newton_step(problem, gradient, p, ridge, tolerance * value, max_products)
        products += taken
        gain = -_dot(gradient, db)
        length = np.ones(len(b))
        for _ in range(12):  # backtracking line search
            stride = length.astype(dtype)[:, None, None]
            b_new, s_new = b + stride * db, s + stride * ds
            loss, p = problem.loss(s_new)
            new = loss + _penalty(b_new, penalty)
            too_far = ~(new <= value - 1e-4 * length * gain + rounding * (1 + np.abs(value)))
            if not too_far.any():
                break
            length[too_far] /= 3
        b, s, value = b_new, s_new, new
        # What CG left over, and what the quadratic model may have missed.
        predicted = float((np.maximum(residual / 2, MODEL_ERROR * gain / 2) / np.maximum(value, 1e-6)).max())
        # Rounding keeps a nearly perfect fit from ever getting there: no progress over two steps ends it too.
        if predicted <= tolerance or (steps > 3 and predicted > previous / 2):
            break
        previous = predicted
    return Point(b, s, start.steps + steps, start.products + products)


def _newton_step(
    problem: Problem, gradient: np.ndarray, p: np.ndarray, ridge: np.ndarray, floor: np.ndarray, max_products: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Newton's step, by how much it moves the logits, its squared residual, and the products that it took.

    By preconditioned conjugate gradients, all fits side by side. The preconditioner takes the Hessian for diagonal:
    exact directions of z, one mean p (1 - p) a class.
    """
    dtype = problem.rows.dtype
    variance = ((p * (1 - p)) * problem.sample_weight).sum(2)
    diagonal = variance[..., None] * problem.mean_square
    diagonal[..., :-1] += ridge
    # A tag that is always on has an intercept without end: its curvature underflows, and a rounding error over it would
    # be a step without end. The Hessian alone is changed, so the answer is the same.
    least = np.finfo(dtype).eps
    diagonal[..., -1] += least
    preconditioner = 1 / np.maximum(diagonal, np.finfo(dtype).tiny * 1e8)
    db, ds = np.zeros_like(gradient), np.zeros_like(p)
    residual = -gradient
    scaled = preconditioner * residual
    direction = scaled.copy()
    square = _dot(residual, scaled)
    goal, going, products = np.maximum(FORCING**2 * square, floor), square > 0, 0
    while going.any() and products < max_products:
        ds_direction = problem.scores(direction)
        hessian = problem.gradient(problem.hessian_product(p, ds_direction))
        hessian[..., :-1] += ridge * direction[..., :-1]
        hessian[..., -1] += least * direction[..., -1]
        curvature = _dot(direction, hessian)
        going &= curvature > 0
        size = np.where(going, square / np.where(going, curvature, 1), 0).astype(dtype)[:, None, None]
        db += size * direction
        ds += size * ds_direction
        residual -= size * hessian
        np.multiply(preconditioner, residual, out=scaled)
        new = _dot(residual, scaled)
        going &= new > goal
        direction *= np.where(square > 0, new / np.where(square > 0, square, 1), 0).astype(dtype)[:, None, None]
        direction += scaled
        square = new
        products += 1
    return db, ds, square, products


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(f,) float64, over all but the first axis"""
    return np.einsum("fi,fi->f", a.reshape(len(a), -1), b.reshape(len(b), -1)).astype(np.float64)


def _penalty(b: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    return penalty / 2 * np.einsum("fkr,fkr->f", b[..., :-1], b[..., :-1]).astype(np.float64)
