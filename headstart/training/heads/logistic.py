"""Logistic regression: the default head for classes and tags. Its strength is chosen by cross-validated log-loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.heads import cross_validation, streaming_logistic
from headstart.training.heads.label_columns import Columns, coded
from headstart.training.heads.linear import Basis, Linear, basis, check_rows, check_two, strengths_of
from headstart.training.heads.newton_logistic import Point, follow, origin, problem, solve
from headstart.training.heads.temperature_scaling import Calibration, calibrate

if TYPE_CHECKING:
    pass


PATH = tuple(float(10**e) for e in np.arange(-0.5, 4.1, 0.5))
FACTOR, LEAST, MOST = 10**0.5, 1e-6, 1e6  # how the path goes on beyond its ends
UNJUDGED = 10.0  # the strength where no fold can be judged; near the best of most photo and text sets
BETTER, NOTHING = 5e-3, 1e-5  # a share of the log-loss, and nats, too small to follow the examples closer for
PATIENCE = 2  # strengths in a row that do not gain so much end the path; beyond its planned end, one
ROUGH, INNER = 1e-3, 20  # of solve() for the folds: moves their log-loss by about 0.2 % (3 photo sets)
EXACT = {np.float64: (1e-9, 200), np.float32: (1e-6, 50)}  # and for the last fit
WORK = 1e12  # floating-point operations that choosing may take: about 10 s on 2 cores
CELLS = 4e7  # scores held at once: 160 MB each in half a dozen arrays
HELD = 2**25  # numbers in rows that are held in memory, 134 MB; of more, a sample chooses and passes over all fit
SAMPLED, RARE = 2**24, 50  # numbers in that sample, and rows of a stratum that are all in it
DOUBLE = 4e6  # numbers in rows up to which the last fit is made in double precision


@dataclass(frozen=True, slots=True)
class LogisticPath:
    """Logistic regression along a path of strengths. The fields are the settings of methods/logistic.py."""

    strengths: tuple[float, ...] = ()
    folds: int = 5
    weights: Literal["none", "balanced"] = "none"
    calibrate: Literal["temperature", "none"] = "temperature"

    def fit(self, data: Features, objective: Objective, rng: np.random.Generator) -> Linear:
        """The head of all rows at the chosen strength. Raises PlanError for numbers, and where folds cannot be made."""
        if objective.link == "identity":
            raise PlanError("A logistic head is for classes and tags. For numbers use --method ridge.")
        if self.folds < 2:
            raise PlanError(f"folds = {self.folds}: cross-validation needs 2 or more.")
        check_rows(data)
        check_two(data, objective)
        some = _sample(data, objective, rng)
        turned = basis(some.x)
        columns = coded(some.y, objective, self.weights)
        fold = cross_validation.deal(some, objective, self.folds, rng)
        search = _Search(turned, columns, fold, cross_validation.seen(some.y, fold, objective), self)
        trials = list(search.trials(strengths_of(self.strengths, PATH)))
        chosen = _choose(trials, self.calibrate)
        last = _refit(turned, columns, chosen)
        b, notes = last.b[0].astype(np.float64), search.notes(trials, chosen, last)
        if some is not data:
            columns, b = _all(data, objective, self.weights, turned, (columns, b), chosen)
            notes |= {"rows": len(data), "rows_chosen_on": len(some)}
        b = b / chosen.calibration.temperature
        weight, bias = columns.spread(b[:, :-1], b[:, -1])
        return turned.head(weight.T, bias, notes)


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """One strength, judged on rows its fits had not seen. point is None where nothing can be judged."""

    strength: float
    calibration: Calibration
    point: Point | None = None

    def loss(self, calibrated: str) -> float:
        return self.calibration.loss if calibrated == "temperature" else self.calibration.raw


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """Fits without each fold, along a path of strengths. fold: (n,). seen: (n,) or (n, width), what can be judged"""

    turned: Basis
    columns: Columns
    fold: np.ndarray
    seen: np.ndarray
    settings: LogisticPath

    @property
    def judged(self) -> int:
        """How many of the folds are held out: all, but fewer where that would take too long or too much memory."""
        made = int(self.fold.max()) + 1
        (n, r), c = self.turned.z.shape, len(self.columns.targets)
        return 0 if made < 2 else int(np.clip(min(WORK / (280 * n * r * c), CELLS / (n * c)), 1, made))

    def trials(self, strengths: tuple[float, ...]) -> Iterator[_Trial]:
        """One a strength; without settings it ends early, or goes on beyond either end, as the losses tell."""
        if not self.judged or not self._held()[2].any():
            yield _Trial(self.settings.strengths[-1] if self.settings.strengths else UNJUDGED, Calibration(1, 0, 0))
            return
        kept = (self.fold != np.arange(self.judged)[:, None])[:, None] * self.columns.counts
        many = kept.mean(1).sum(1)
        fits = problem(
            self.turned.z,
            self.turned.power,
            self.columns.targets,
            kept / many[:, None, None],
            self.columns.link,
        )
        at = before = origin(fits)
        automatic = not self.settings.strengths
        done: list[_Trial] = []
        for strength in _onward(strengths, automatic):
            penalty = 1 / (strength * many)
            start = follow(fits, at, before, penalty) if done else at
            before, at = at, solve(fits, start, penalty, ROUGH, INNER)
            done.append(self._judge(strength, at))
            yield done[-1]
            if automatic and self._stale(done):
                break
        best = min(self._loss(t) for t in done)
        while automatic and self._loss(done[0]) <= best and done[0].point and done[0].strength > LEAST:
            strength, b = done[0].strength / FACTOR, done[0].point.b
            at = solve(fits, Point(b, fits.scores(b)), 1 / (strength * many), ROUGH, INNER)
            done.insert(0, self._judge(strength, at))
            yield done[0]

    def _loss(self, trial: _Trial) -> float:
        return trial.loss(self.settings.calibrate)

    def _stale(self, done: list[_Trial]) -> bool:
        losses = [self._loss(t) for t in done]
        last = PATIENCE if len(done) <= len(PATH) else 1
        return len(done) > last and min(losses[-last:]) > (1 - BETTER) * min(losses[:-last]) - NOTHING

    def _held(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows that are held out, their fold, and what each counts: (m,) or (m, c), 0 where it cannot be judged."""
        rows = np.flatnonzero(self.fold < self.judged)
        if self.columns.link == "softmax":
            return rows, self.fold[rows], self.columns.counts[0, rows] * self.seen[rows]
        seen = self.seen[:, self.columns.at] if self.seen.ndim == 2 else self.seen[:, None]
        counts = np.broadcast_to(self.columns.counts, self.columns.targets.shape).T
        return rows, self.fold[rows], (counts * seen)[rows]

    def _judge(self, strength: float, point: Point) -> _Trial:
        rows, fold, counts = self._held()
        found = calibrate(point.s[fold, :, rows], self.columns.truth[rows], self.columns.link, counts)
        if self.settings.calibrate == "none":
            found = replace(found, temperature=1.0, loss=found.raw)
        return _Trial(strength, found, replace(point, s=np.zeros(0)))

    def notes(self, trials: list[_Trial], chosen: _Trial, last: Point) -> dict:
        """What was tried and chosen, for the report."""
        path = sorted(trials, key=lambda t: t.strength)
        absent = sorted(set(range(len(self.columns.rest))) - set(self.columns.at.tolist()))
        facts = {
            "strength": chosen.strength,
            "temperature": chosen.calibration.temperature,
            "log_loss": chosen.calibration.loss if chosen.point else None,
            "log_loss_uncalibrated": chosen.calibration.raw if chosen.point else None,
            "path": [_entry(t.strength, t.calibration, t.point) for t in path if t.point],
            "at_border": len(path) > 1 and chosen in (path[0], path[-1]),
            "folds": int(self.fold.max()) + 1,
            "folds_judged": self.judged if chosen.point else 0,
            "rows": len(self.fold),
            "steps": last.steps,
            "products": last.products,
            "without_examples": absent,
        }
        return facts


def _entry(strength: float, found: Calibration, point: Point) -> dict:
    facts = {"strength": strength, "log_loss": found.loss, "log_loss_uncalibrated": found.raw}
    return {**facts, "temperature": found.temperature, "steps": point.steps, "products": point.products}


def _onward(strengths: tuple[float, ...], automatic: bool) -> Iterator[float]:
    yield from strengths
    strength = strengths[-1] * FACTOR
    while automatic and strength <= MOST:
        yield strength
        strength *= FACTOR


def _choose(trials: list[_Trial], calibrated: str) -> _Trial:
    """The strongest penalty among those as good as the best."""
    best = min(t.loss(calibrated) for t in trials)
    return min((t for t in trials if t.loss(calibrated) <= (1 + BETTER) * best + NOTHING), key=lambda t: t.strength)


def _sample(data: Features, objective: Objective, rng: np.random.Generator) -> Features:
    """All rows; of more than fit into memory, some of every stratum: rare ones whole, the others in proportion."""
    n, d = data.x.shape
    most = max(1, SAMPLED // d)
    if n * d <= HELD or n <= most:
        return data
    stratum = cross_validation.strata(data.y, objective)
    count = np.bincount(stratum)
    share = np.maximum(most / n, RARE / np.maximum(count, 1))
    return data.rows(np.flatnonzero(rng.random(n) < share[stratum]))


def _all(
    data: Features,
    objective: Objective,
    weights: str,
    turned: Basis,
    start: tuple[Columns, np.ndarray],
    chosen: _Trial,
) -> tuple[Columns, np.ndarray]:
    """Columns of every row, and their coefficients (c, r + 1) on the basis of the sample, from those of the sample."""
    columns, (before, b) = coded(data.y, objective, weights), start
    many = columns.counts.mean(0).sum()
    if not np.array_equal(columns.at, before.at):  # a tag that was not in the sample
        b = np.zeros((len(columns.targets), b.shape[1]))
    stream = streaming_logistic.Stream(
        data.x, columns.targets, (columns.counts / many).astype(np.float32), turned, columns.link,
        penalty=1 / (chosen.strength * many),
    )  # fmt: skip
    return columns, streaming_logistic.fit(stream, b)


def _refit(turned: Basis, columns: Columns, chosen: _Trial) -> Point:
    """All rows at the chosen strength, to the end, starting from the mean of the folds' fits."""
    dtype = np.float64 if turned.z.size <= DOUBLE else np.float32
    counts = columns.counts[None] / columns.counts.mean(0).sum()
    fits = problem(turned.z, turned.power, columns.targets, counts, columns.link, dtype)
    start = origin(fits)
    if chosen.point:
        b = chosen.point.b.mean(0, keepdims=True).astype(dtype)
        start = Point(b, fits.scores(b))
    penalty = np.array([1 / (chosen.strength * columns.counts.mean(0).sum())])
    return solve(fits, start, penalty, *EXACT[dtype])
