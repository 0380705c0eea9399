"""Preprocessing of embeddings for a linear head, and the head: x @ weight + bias."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from headstart.core.errors import PlanError, SourceError
from headstart.core.features import LARGEST_FEATURE, Features
from headstart.core.head import Head
from headstart.core.task import Objective

BLOCK = 2**22  # numbers taken into double precision at once: 32 MB
LARGEST_SCORE = 1e38  # in size
MAX_SPREAD_RATIO = 3.0  # of a column to the typical one, after scaling
SMALLEST_SPREAD = 1e-30  # of a column: the weight of one that varies less has no place in float32
MAX_RANK = 6000  # principal axes that are computed: about a minute on 2 cores, and the cube of their number
CONSTANT = 3e-7  # spread over size below which float32 holds a constant and its rounding


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Rows on their principal axes, so that a penalty acts on each direction alone.

    z:     (n, r) float32, columns of mean 0, orthogonal, r <= min(n - 1, d); mean squared row length 1
           r is 0 where no column varies: a head on it has a bias alone
    power: (r,) float64, squared lengths of z's columns, largest first
    mean:  (d,) float64 and gain (d,) float64: z comes from (x - mean) * gain, 0 for a constant column
    lift:  matrices whose product (d, r) takes coefficients on z back to the scaled columns
    """

    z: np.ndarray
    power: np.ndarray
    mean: np.ndarray
    gain: np.ndarray
    lift: tuple[np.ndarray, ...] = field(repr=False)

    def head(self, b: np.ndarray, bias: np.ndarray, notes: dict) -> Linear:
        """The head on x that gives z @ b + bias. b: (r, k), bias: (k,)."""
        b = b.astype(np.float64)
        for matrix in reversed(self.lift):
            b = matrix.astype(np.float64, copy=False) @ b
        weight = (b * self.gain[:, None]).astype(np.float32)
        # The bias answers to the rounded weight, so a column far from 0 costs no precision.
        return Linear(weight, np.asarray(bias, np.float64) - self.mean @ weight.astype(np.float64), notes)


def column_scaling(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and gain of each column, (d,) float64 both: (x - mean) * gain has rows of mean squared length 1.

    Columns are brought half of the way (in logarithms) to equal spread, never leaving one with more than
    MAX_SPREAD_RATIO times the typical spread. Half way beat both ends in cross-validated log-loss on 6 of 8 photo sets
    (2 backbones); texts do not care; and columns in unlike units end up comparable. Constant columns, and those that
    vary by rounding alone, have gain 0.
    """
    n, d = x.shape
    mean = np.zeros(d)
    for rows in _blocks(x):
        mean += x[rows].sum(0, dtype=np.float64)
    mean /= n
    square, size = np.zeros(d), np.abs(mean)
    for rows in _blocks(x):
        centred = x[rows] - mean
        square += np.einsum("ij,ij->j", centred, centred)
    spread = np.sqrt(square / n)
    varying = spread > np.maximum(CONSTANT * size, SMALLEST_SPREAD)
    if not varying.any():
        return mean, np.zeros(d)
    # What varies less than single precision resolves of a typical column is noise, and would be blown up.
    varying &= spread > np.finfo(np.float32).eps * np.median(spread[varying])
    typical = np.median(spread[varying])
    ratio = np.sqrt(spread[varying] / typical)
    gain = np.zeros(d)
    gain[varying] = np.clip(ratio, 1 / MAX_SPREAD_RATIO, MAX_SPREAD_RATIO) / spread[varying]
    return mean, gain / np.sqrt(((spread * gain) ** 2).sum())


def scale_columns(x: np.ndarray, mean: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """(x - mean) * gain as (n, d) float32, taken in double precision block by block."""
    out = np.empty(x.shape, np.float32)
    for rows in _blocks(x):
        np.multiply(x[rows] - mean, gain, out=out[rows], casting="same_kind")
    return out


def build_basis(x: np.ndarray) -> Basis:
    """Scaled rows on their principal axes; one eigendecomposition of the smaller Gram matrix. x: (n, d)"""
    mean, gain = column_scaling(x)
    rows = scale_columns(x, mean, gain)
    n, d = rows.shape
    if min(n, d) > MAX_RANK:
        return _sampled_basis(rows, mean, gain)
    if n <= d:
        wide = rows.astype(np.float64)
        power, left = np.linalg.eigh(wide @ wide.T)
        power, left = _keep_varying(power, left)
        return Basis((left * np.sqrt(power)).astype(np.float32), power, mean, gain, (rows.T, left / np.sqrt(power)))
    power, axes = _principal_axes(rows)
    return Basis(rows @ axes, power, mean, gain, (axes,))


def _sampled_basis(rows: np.ndarray, mean: np.ndarray, gain: np.ndarray) -> Basis:
    """Of scaled rows so many and so wide that their own axes would take hours: those that a sample of rows spans."""
    sample = rows[np.linspace(0, len(rows) - 1, MAX_RANK).astype(np.int64)].astype(np.float64)
    power, left = _keep_varying(*np.linalg.eigh(sample @ sample.T))
    span = (sample.T @ (left / np.sqrt(power))).astype(np.float32)
    low = rows @ span
    power, axes = _principal_axes(low)
    return Basis(low @ axes, power, mean, gain, (span, axes))


def _principal_axes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power (r,) float64 and axes (d, r) float32 of rows (n, d), n > d."""
    gram = np.zeros((rows.shape[1], rows.shape[1]))
    for part in _blocks(rows):
        wide = rows[part].astype(np.float64)
        gram += wide.T @ wide
    power, axes = _keep_varying(*np.linalg.eigh(gram))
    return power, axes.astype(np.float32)


def _keep_varying(power: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest first, without the directions that are rounding."""
    power, vectors = power[::-1], vectors[:, ::-1]
    keep = power > 1e-9 * max(power[0], np.finfo(np.float64).tiny)
    return np.ascontiguousarray(power[keep]), np.ascontiguousarray(vectors[:, keep])


def _blocks(x: np.ndarray) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, x.shape[1]))
    return (slice(i, i + step) for i in range(0, len(x), step))


def as_scores(scores: np.ndarray) -> np.ndarray:
    """Scores as float32; what lies beyond its range as a very large number, since infinities cancel to NaN."""
    return np.clip(scores, -LARGEST_SCORE, LARGEST_SCORE).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A fitted linear head. weight: (d, k) float32, bias: (k,) float64."""

    weight: np.ndarray
    bias: np.ndarray
    notes: dict = field(default_factory=dict)

    def scores(self, x: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, k) float32. Summed in double precision: a row's scores do not depend on its neighbours."""
        weight = self.weight.astype(np.float64)
        parts = [as_scores(x[rows].astype(np.float64) @ weight + self.bias) for rows in _blocks(x)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.bias)), np.float32)

    def head(self) -> Head:
        """Itself."""
        return Head(((self.weight.astype(np.float64), np.asarray(self.bias, np.float64)),))

    def state(self) -> dict[str, np.ndarray]:
        """Weight and bias."""
        return {"weight": self.weight, "bias": self.bias}

    def files(self) -> dict[str, bytes]:
        """None."""
        return {}


def restore(state: dict[str, np.ndarray], above: object = None) -> Linear:
    """The head whose `state()` this is, without its notes. above: not needed"""
    return Linear(state["weight"], state["bias"])


def check_rows(data: Features) -> None:
    """Raises SourceError, naming the first, when a row holds NaN, infinity or what comes near it.

    Raises PlanError when rows are not vectors.
    """
    if data.x.ndim != 2:
        raise PlanError(f"A head takes one vector an example; these features have the shape {data.x.shape}.")
    bad: list[int] = []
    for rows in _blocks(data.x):
        block = data.x[rows]
        # Both ends are within bounds only if every number is; NaN is within none.
        if block.size and not -LARGEST_FEATURE <= block.min() <= block.max() <= LARGEST_FEATURE:
            bad += (rows.start + np.flatnonzero(~(np.abs(block) <= LARGEST_FEATURE).all(1))).tolist()
    if bad:
        first = ", ".join(data.ids[i] for i in bad[:3])
        raise SourceError(
            f"{len(bad):,} of {len(data):,} rows of features hold NaN, infinity or a number beyond "
            f"{LARGEST_FEATURE:g}: {first}{' …' if len(bad) > 3 else ''}. Mend or leave out these examples."
        )


def check_learnable(data: Features, objective: Objective) -> None:
    """Raises PlanError when the labels leave nothing to learn: fewer than two classes, or no tag that varies."""
    y = data.y
    if not len(data):
        raise PlanError("There are no training examples.")
    if objective.link == "softmax" and len(np.unique(y)) < 2:
        raise PlanError(
            f"All {len(data):,} training examples are of one class. Two are the least: add examples of another class."
        )
    if objective.link == "sigmoid" and not ((y > 0).any(0) & (y <= 0).any(0)).any():
        raise PlanError(f"No tag is on some of the {len(data):,} training examples and off others: nothing to learn.")


def resolve_strengths(strengths: Sequence[float], default: Sequence[float]) -> tuple[float, ...]:
    """The strengths to try, ascending. Raises PlanError unless all are positive numbers."""
    if any(not (np.isfinite(s) and s > 0) for s in strengths):
        raise PlanError(f"Strengths are positive numbers; these were given: {', '.join(map(str, strengths))}.")
    return tuple(sorted(set(map(float, strengths or default))))
