"""Logistic regression: the default head for classes and tags. Its strength is chosen by cross-validated log-loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.heads import cross_validation, streaming_logistic
from headstart.training.heads.label_columns import Columns, encode_columns
from headstart.training.heads.linear import Basis, Linear, build_basis, check_learnable, check_rows, resolve_strengths
from headstart.training.heads.newton_logistic import Point, build_problem, extrapolate, solve, zero_start
from headstart.training.heads.temperature_scaling import Calibration, calibrate

PATH = tuple(float(10**e) for e in np.arange(-0.5, 4.1, 0.5))
FACTOR, MIN_STRENGTH, MAX_STRENGTH = 10**0.5, 1e-6, 1e6  # how the path goes on beyond its ends
DEFAULT_STRENGTH = 10.0  # where no fold can be judged; near the best of most photo and text sets
MIN_GAIN, MIN_GAIN_NATS = 5e-3, 1e-5  # of the log-loss, a fraction and nats: a stronger penalty is taken for less
PATIENCE = 2  # strengths in a row that do not gain so much end the path; beyond its planned end, one
FOLD_TOLERANCE, FOLD_PRODUCTS = 1e-3, 20  # of solve() for the folds: moves their log-loss by about 0.2 % (3 photo sets)
FINAL = {np.float64: (1e-9, 200), np.float32: (1e-6, 50)}  # and for the last fit
MAX_FLOPS = 1e12  # that choosing may take: about 10 s on 2 cores
MAX_LOGITS = 4e7  # held at once: 160 MB each in half a dozen arrays
IN_MEMORY = 2**25  # numbers in rows that are held in memory, 134 MB; of more, a sample chooses and passes over all fit
SAMPLE, RARE = 2**24, 50  # numbers in that sample, and rows of a stratum that are all in it
DOUBLE_PRECISION = 4e6  # numbers in rows up to which the last fit is made in double precision


@dataclass(frozen=True, slots=True)
class LogisticPath:
    """Logistic regression along a path of strengths. The fields are the settings of methods/logistic.py."""

    strengths: tuple[float, ...] = ()
    folds: int = 5
    class_weight: Literal["none", "balanced"] = "none"
    calibration: Literal["temperature", "none"] = "temperature"

    def fit(self, data: Features, objective: Objective, rng: np.random.Generator) -> Linear:
        """The head of all rows at the chosen strength. Raises PlanError for numbers, and where folds cannot be made."""
        if objective.link == "identity":
            raise PlanError("A logistic head is for classes and tags. For numbers use --method ridge.")
        if self.folds < 2:
            raise PlanError(f"folds = {self.folds}: cross-validation needs 2 or more.")
        check_rows(data)
        check_learnable(data, objective)
        sample = _sample(data, objective, rng)
        basis = build_basis(sample.x)
        columns = encode_columns(sample.y, objective, self.class_weight)
        fold = cross_validation.assign_folds(sample, objective, self.folds, rng)
        search = _Search(basis, columns, fold, cross_validation.judgeable(sample.y, fold, objective), self)
        trials = list(search.trials(resolve_strengths(self.strengths, PATH)))
        chosen = _choose(trials)
        final = _refit(basis, columns, chosen)
        b, notes = final.b[0].astype(np.float64), search.notes(trials, chosen, final)
        if sample is not data:
            sampled, columns = columns, encode_columns(data.y, objective, self.class_weight)
            b = _fit_all(data.x, columns, basis, (sampled, b), chosen)
            notes |= {"rows": len(data), "rows_chosen_on": len(sample)}
        b = b / chosen.calibration.temperature
        weight, bias = columns.expand(b[:, :-1], b[:, -1])
        return basis.head(weight.T, bias, notes)


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """One strength, judged on held-out folds. point: None where nothing can be judged"""

    strength: float
    calibration: Calibration
    point: Point | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """Fits without each fold, along a path of strengths. fold: (n,).  judgeable: (n,) or (n, width) bool"""

    basis: Basis
    columns: Columns
    fold: np.ndarray
    judgeable: np.ndarray
    settings: LogisticPath

    @property
    def judged_folds(self) -> int:
        """How many of the folds are held out: all, but fewer where that would take too long or too much memory."""
        folds = int(self.fold.max()) + 1
        (n, r), c = self.basis.z.shape, len(self.columns.targets)
        affordable = min(MAX_FLOPS / (280 * n * max(r, 1) * c), MAX_LOGITS / (n * c))
        return 0 if folds < 2 else int(np.clip(affordable, 1, folds))

    def trials(self, strengths: tuple[float, ...]) -> Iterator[_Trial]:
        """One a strength; without settings it ends early, or goes on beyond either end, as the losses tell."""
        if not self.judged_folds or not self._held_out()[2].any():
            strength = self.settings.strengths[-1] if self.settings.strengths else DEFAULT_STRENGTH
            yield _Trial(strength, Calibration(1, 0, 0))
            return
        inside = (self.fold != np.arange(self.judged_folds)[:, None])[:, None] * self.columns.sample_weight
        total = inside.mean(1).sum(1)
        weight = inside / total[:, None, None]
        problem = build_problem(self.basis, self.columns, weight)
        point = previous = zero_start(problem)
        automatic = not self.settings.strengths
        done: list[_Trial] = []
        for strength in _extend(strengths, automatic):
            penalty = 1 / (strength * total)
            start = extrapolate(problem, point, previous, penalty) if done else point
            previous, point = point, solve(problem, start, penalty, FOLD_TOLERANCE, FOLD_PRODUCTS)
            done.append(self._judge(strength, point))
            yield done[-1]
            if automatic and self._is_stale(done):
                break
        best = min(t.calibration.loss for t in done)
        while automatic and done[0].calibration.loss <= best and done[0].point and done[0].strength > MIN_STRENGTH:
            strength, b = done[0].strength / FACTOR, done[0].point.b
            start = Point(b, problem.scores(b))
            point = solve(problem, start, 1 / (strength * total), FOLD_TOLERANCE, FOLD_PRODUCTS)
            done.insert(0, self._judge(strength, point))
            yield done[0]

    def _is_stale(self, done: list[_Trial]) -> bool:
        losses = [t.calibration.loss for t in done]
        latest = PATIENCE if len(done) <= len(PATH) else 1
        return len(done) > latest and min(losses[-latest:]) > (1 - MIN_GAIN) * min(losses[:-latest]) - MIN_GAIN_NATS

    def _held_out(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows that are held out, their fold, and their weights: (m,) or (m, c), 0 where one cannot be judged."""
        rows = np.flatnonzero(self.fold < self.judged_folds)
        if self.columns.link == "softmax":
            return rows, self.fold[rows], self.columns.sample_weight[0, rows] * self.judgeable[rows]
        judgeable = self.judgeable[:, self.columns.outputs] if self.judgeable.ndim == 2 else self.judgeable[:, None]
        weight = np.broadcast_to(self.columns.sample_weight, self.columns.targets.shape).T
        return rows, self.fold[rows], (weight * judgeable)[rows]

    def _judge(self, strength: float, point: Point) -> _Trial:
        rows, fold, weight = self._held_out()
        calibration = calibrate(point.s[fold, :, rows], self.columns.labels[rows], self.columns.link, weight)
        if self.settings.calibration == "none":
            calibration = replace(calibration, temperature=1.0, loss=calibration.raw)
        return _Trial(strength, calibration, replace(point, s=np.zeros(0)))

    def notes(self, trials: list[_Trial], chosen: _Trial, final: Point) -> dict:
        """What was tried and chosen, for the report."""
        path = sorted(trials, key=lambda t: t.strength)
        without_examples = set(range(len(self.columns.fixed_bias))) - set(self.columns.outputs.tolist())
        return {
            "strength": chosen.strength,
            "temperature": chosen.calibration.temperature,
            "log_loss": chosen.calibration.loss if chosen.point else None,
            "log_loss_uncalibrated": chosen.calibration.raw if chosen.point else None,
            "path": [_path_entry(t.strength, t.calibration, t.point) for t in path if t.point],
            "at_border": len(path) > 1 and chosen in (path[0], path[-1]),
            "folds": int(self.fold.max()) + 1,
            "folds_judged": self.judged_folds if chosen.point else 0,
            "rows": len(self.fold),
            "steps": final.steps,
            "products": final.products,
            "without_examples": sorted(without_examples),
        }


def _path_entry(strength: float, calibration: Calibration, point: Point) -> dict:
    facts = {"strength": strength, "log_loss": calibration.loss, "log_loss_uncalibrated": calibration.raw}
    return {**facts, "temperature": calibration.temperature, "steps": point.steps, "products": point.products}


def _extend(strengths: tuple[float, ...], automatic: bool) -> Iterator[float]:
    yield from strengths
    strength = strengths[-1] * FACTOR
    while automatic and strength <= MAX_STRENGTH:
        yield strength
        strength *= FACTOR


def _choose(trials: list[_Trial]) -> _Trial:
    """The strongest penalty among those as good as the best."""
    best = min(t.calibration.loss for t in trials)
    good = [t for t in trials if t.calibration.loss <= (1 + MIN_GAIN) * best + MIN_GAIN_NATS]
    return min(good, key=lambda t: t.strength)


def _sample(data: Features, objective: Objective, rng: np.random.Generator) -> Features:
    """All rows; of more than fit into memory, some of every stratum: rare ones whole, the others in proportion."""
    n, d = data.x.shape
    size = max(1, SAMPLE // d)
    if n * d <= IN_MEMORY or n <= size:
        return data
    stratum = cross_validation.strata(data.y, objective)
    count = np.bincount(stratum)
    fraction = np.maximum(size / n, RARE / np.maximum(count, 1))
    return data.rows(np.flatnonzero(rng.random(n) < fraction[stratum]))


def _fit_all(
    x: np.ndarray, columns: Columns, basis: Basis, start: tuple[Columns, np.ndarray], chosen: _Trial
) -> np.ndarray:
    """Coefficients (c, r + 1) of all rows' columns on the basis of a sample. start: the sample's columns, and theirs"""
    sampled, b = start
    total = columns.sample_weight.mean(0).sum()
    if not np.array_equal(columns.outputs, sampled.outputs):  # a tag that was not in the sample
        b = np.zeros((len(columns.targets), b.shape[1]))
    weight = (columns.sample_weight / total).astype(np.float32)
    penalty = 1 / (chosen.strength * total)
    stream = streaming_logistic.Stream(x, columns.targets, weight, basis, columns.link, penalty)
    return streaming_logistic.fit(stream, b)


def _refit(basis: Basis, columns: Columns, chosen: _Trial) -> Point:
    """All rows at the chosen strength, to the end, starting from the mean of the folds' fits."""
    dtype = np.float64 if basis.z.size <= DOUBLE_PRECISION else np.float32
    total = columns.sample_weight.mean(0).sum()
    problem = build_problem(basis, columns, columns.sample_weight[None] / total, dtype)
    start = zero_start(problem)
    if chosen.point:
        b = chosen.point.b.mean(0, keepdims=True).astype(dtype)
        start = Point(b, problem.scores(b))
    penalty = np.array([1 / (chosen.strength * total)])
    return solve(problem, start, penalty, *FINAL[dtype])
