"""Ridge regression in closed form: every strength out of one eigendecomposition. The default head for numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.heads import cross_validation
from headstart.training.heads.linear import Basis, Linear, basis, check_rows, check_two, strengths_of
from headstart.training.heads.temperature_scaling import calibrate

if TYPE_CHECKING:
    pass


PATH = tuple(float(10**e) for e in np.arange(-3, 6.1, 0.25))
UNJUDGED = 10.0  # the strength where nothing can be held out
BETTER = 2e-3  # a share of the loss too small to follow the examples closer for


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
        check_two(data, objective)
        t = objective.targets(data.y).astype(np.float64)
        strengths = strengths_of(self.strengths, PATH)
        turned = basis(data.x)
        if any(data.groups):
            fold = cross_validation.deal(data, objective, self.folds, rng)
            held = _folds_out(data.x, t, fold, strengths) if fold.max() else None
            known = cross_validation.seen(data.y, fold, objective)
        else:
            held = _ones_out(turned, t, strengths) if len(data) > 2 else None
            known = _seen_elsewhere(data.y, objective)
        if held is None or not known.any():
            return _head(turned, t, strengths[-1] if self.strengths else UNJUDGED, {})
        trials = [_judged(s, scores, data.y, objective, known) for s, scores in zip(strengths, held, strict=True)]
        best = min(trial["loss"] for trial in trials)
        chosen = min((x for x in trials if x["loss"] <= (1 + BETTER) * best + 1e-12), key=lambda x: x["strength"])
        name = "held_out_mse" if objective.link == "identity" else "log_loss"
        notes = {
            "strength": chosen["strength"],
            "temperature": chosen["temperature"],
            name: chosen["loss"],
            "path": [{"strength": x["strength"], name: x["loss"]} for x in trials],
            "at_border": len(trials) > 1 and chosen in (trials[0], trials[-1]),
            "rows": len(data),
        }
        return _head(turned, t / chosen["temperature"], chosen["strength"], notes)


def _coefficients(turned: Basis, t: np.ndarray, strength: float) -> np.ndarray:
    """(r, k): the directions of z are orthogonal, so each is shrunk by itself."""
    return (turned.z.T.astype(np.float64) @ (t - t.mean(0))) / (turned.power + 1 / strength)[:, None]


def _head(turned: Basis, t: np.ndarray, strength: float, notes: dict) -> Linear:
    return turned.head(_coefficients(turned, t, strength), t.mean(0), notes)


def _ones_out(turned: Basis, t: np.ndarray, strengths: Sequence[float]) -> list[np.ndarray]:
    """For each strength (n, k): what each row is answered by the head that learned from all others. Exact.

    Source: the leave-one-out identity of least squares, e - e / (1 - h) with leverage h (Allen 1974, PRESS).
    """
    z = turned.z.astype(np.float64)
    centred, square = t - t.mean(0), z * z
    along = z.T @ centred
    found = []
    for strength in strengths:
        shrunk = 1 / (turned.power + 1 / strength)
        leverage = square @ shrunk + 1 / len(z)
        rest = centred - z @ (along * shrunk[:, None])
        found.append(t - rest / np.maximum(1 - leverage, 1e-9)[:, None])
    return found


def _folds_out(x: np.ndarray, t: np.ndarray, fold: np.ndarray, strengths: Sequence[float]) -> list[np.ndarray]:
    """Likewise for whole folds, one eigendecomposition each."""
    found = [np.zeros_like(t) for _ in strengths]
    for f in np.unique(fold):
        inside, outside = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        turned = basis(x[inside])
        for scores, strength in zip(found, strengths, strict=True):
            scores[outside] = _head(turned, t[inside], strength, {}).scores(x[outside])
    return found


def _seen_elsewhere(y: np.ndarray, objective: Objective) -> np.ndarray:
    """Whether another row has the same label (of a tag: is on or off too), so that a row left out can be judged."""
    if objective.link == "identity":
        return np.ones(len(y), bool)
    if objective.link == "softmax":
        return np.bincount(y)[y] > 1
    on = y > 0
    return np.where(on, on.sum(0) > 1, (~on).sum(0) > 1)


def _judged(strength: float, scores: np.ndarray, y: np.ndarray, objective: Objective, known: np.ndarray) -> dict:
    if objective.link == "identity":
        return {"strength": strength, "temperature": 1.0, "loss": -objective.score(scores, y)}
    found = calibrate(scores, y, objective.link, known.astype(np.float64))
    return {"strength": strength, "temperature": found.temperature, "loss": found.loss}
