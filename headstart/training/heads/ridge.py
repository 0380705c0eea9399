"""Ridge regression in closed form: every strength out of one eigendecomposition. The default head for numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.heads import cross_validation
from headstart.training.heads.linear import Basis, Linear, build_basis, check_learnable, check_rows, resolve_strengths
from headstart.training.heads.temperature_scaling import calibrate

PATH = tuple(float(10**e) for e in np.arange(-3, 6.1, 0.25))
DEFAULT_STRENGTH = 10.0  # where nothing can be held out
MIN_GAIN = 2e-3  # a fraction of the loss: a stronger penalty is taken for less


@dataclass(frozen=True, slots=True)
class RidgePath:
    """Ridge regression along a path of strengths. The fields are the settings of methods/ridge.py."""

    strengths: tuple[float, ...] = ()
    folds: int = 5

    def fit(self, data: Features, objective: Objective, rng: np.random.Generator) -> Linear:
        """The head of all rows at the chosen strength. Raises PlanError where folds cannot be made."""
        if self.folds < 2:
            raise PlanError(f"folds = {self.folds}: cross-validation needs 2 or more.")
        check_rows(data)
        check_learnable(data, objective)
        t = objective.targets(data.y).astype(np.float64)
        strengths = resolve_strengths(self.strengths, PATH)
        basis = build_basis(data.x)
        if any(data.groups):
            fold = cross_validation.assign_folds(data, objective, self.folds, rng)
            held_out = _leave_folds_out(data.x, t, fold, strengths) if fold.max() else None
            judgeable = cross_validation.judgeable(data.y, fold, objective)
        else:
            held_out = _leave_one_out(basis, t, strengths) if len(data) > 2 else None
            judgeable = _seen_elsewhere(data.y, objective)
        if held_out is None or not judgeable.any():
            return _fit(basis, t, strengths[-1] if self.strengths else DEFAULT_STRENGTH, {})
        trials = [
            _judge(s, scores, data.y, objective, judgeable) for s, scores in zip(strengths, held_out, strict=True)
        ]
        best = min(trial["loss"] for trial in trials)
        chosen = min((x for x in trials if x["loss"] <= (1 + MIN_GAIN) * best + 1e-12), key=lambda x: x["strength"])
        name = "held_out_mse" if objective.link == "identity" else "log_loss"
        notes = {
            "strength": chosen["strength"],
            "temperature": chosen["temperature"],
            name: chosen["loss"],
            "path": [{"strength": x["strength"], name: x["loss"]} for x in trials],
            "at_border": len(trials) > 1 and chosen in (trials[0], trials[-1]),
            "rows": len(data),
        }
        return _fit(basis, t / chosen["temperature"], chosen["strength"], notes)


def _fit(basis: Basis, t: np.ndarray, strength: float, notes: dict) -> Linear:
    """The directions of z are orthogonal, so each coefficient is shrunk by itself."""
    b = (basis.z.T.astype(np.float64) @ (t - t.mean(0))) / (basis.power + 1 / strength)[:, None]
    return basis.head(b, t.mean(0), notes)


def _leave_one_out(basis: Basis, t: np.ndarray, strengths: Sequence[float]) -> list[np.ndarray]:
    """For each strength the scores (n, k) of each row by the head that learned from all others. Exact.

    Source: the leave-one-out identity of least squares, e - e / (1 - h) with leverage h (Allen 1974, PRESS).
    """
    z = basis.z.astype(np.float64)
    centred, square = t - t.mean(0), z * z
    projected = z.T @ centred
    scores = []
    for strength in strengths:
        shrinkage = 1 / (basis.power + 1 / strength)
        leverage = square @ shrinkage + 1 / len(z)
        residual = centred - z @ (projected * shrinkage[:, None])
        scores.append(t - residual / np.maximum(1 - leverage, 1e-9)[:, None])
    return scores


def _leave_folds_out(x: np.ndarray, t: np.ndarray, fold: np.ndarray, strengths: Sequence[float]) -> list[np.ndarray]:
    """Likewise for whole folds, one eigendecomposition each."""
    all_scores = [np.zeros_like(t) for _ in strengths]
    for f in np.unique(fold):
        inside, outside = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        basis = build_basis(x[inside])
        for scores, strength in zip(all_scores, strengths, strict=True):
            scores[outside] = _fit(basis, t[inside], strength, {}).scores(x[outside])
    return all_scores


def _seen_elsewhere(y: np.ndarray, objective: Objective) -> np.ndarray:
    """Whether another row has the same label (of a tag: is on or off too), so that a row left out can be judged."""
    if objective.link == "identity":
        return np.ones(len(y), bool)
    if objective.link == "softmax":
        return np.bincount(y)[y] > 1
    on = y > 0
    return np.where(on, on.sum(0) > 1, (~on).sum(0) > 1)


def _judge(strength: float, scores: np.ndarray, y: np.ndarray, objective: Objective, judgeable: np.ndarray) -> dict:
    if objective.link == "identity":
        return {"strength": strength, "temperature": 1.0, "loss": -objective.score(scores, y)}
    calibration = calibrate(scores, y, objective.link, judgeable.astype(np.float64))
    return {"strength": strength, "temperature": calibration.temperature, "loss": calibration.loss}
