"""Nearest neighbours: no training at all. A baseline on every fit, and a method of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from headstart.core.features import Features, unit_rows
from headstart.core.plan import Traits
from headstart.core.task import Objective
from headstart.training.heads.linear import check_learnable, check_rows
from headstart.training.heads.temperature_scaling import calibrate
from headstart.training.shared_settings import CrossValidatedHead

SIMILARITIES = 4_000_000  # held at once: 16 MB
VOTES = 4_000_000  # of neighbours for classes, held at once: 32 MB
TRIED = (1, 3, 5, 10, 20, 40)  # neighbours
QUERIES = 2_000  # rows that choose k; more do not change the choice


@dataclass(frozen=True, slots=True)
class Settings(CrossValidatedHead):
    """n_neighbors: how many vote, weighted by nearness; empty = chosen leaving one out."""

    traits: ClassVar[Traits] = Traits(best_for="a look without training; classes that come and go")
    n_neighbors: tuple[int, ...] = ()

    def fit_head(self, data: Features, objective: Objective, rng: np.random.Generator) -> Neighbours:
        """Keeps all rows; chooses how many vote, and calibrates, on rows that do not vote for themselves."""
        check_rows(data)
        if objective.link != "identity":
            check_learnable(data, objective)
        mean = data.x.mean(0, dtype=np.float64).astype(np.float32)
        x = _normalize(data.x, mean)
        t = objective.targets(data.y).astype(np.float32)
        t = t if objective.link == "identity" else (t > 0).astype(np.float32)
        prior = t.mean(0)
        queries = np.sort(rng.permutation(len(x))[:QUERIES])
        candidates = sorted({min(k, max(len(x) - 1, 1)) for k in (self.n_neighbors or TRIED)})
        similarity, index = _nearest(x[queries], x, max(candidates), own=queries)
        best: tuple[float, int, float] | None = None
        for k in candidates:
            scores = _vote(similarity[:, :k], t, index[:, :k], prior, objective.link)
            if objective.link == "identity":
                loss, temperature = float(((scores - t[queries]) ** 2).mean()), 1.0
            else:
                calibration = calibrate(scores, data.y[queries], objective.link)
                loss, temperature = calibration.loss, calibration.temperature
            if best is None or loss < best[0]:
                best = loss, k, temperature
        assert best is not None
        notes = {"neighbours": best[1], "temperature": best[2], "leave_one_out_loss": best[0]}
        return Neighbours(x, t, mean, prior, best[1], best[2], objective.link, notes)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """x: (n, d) unit rows, t: (n, width) what they vote for, prior: (width,) votes before any."""

    x: np.ndarray
    t: np.ndarray
    mean: np.ndarray
    prior: np.ndarray
    k: int
    temperature: float
    link: str
    notes: dict = field(default_factory=dict)

    def scores(self, x: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, width): logits of the votes, or the voted number"""
        similarity, index = _nearest(_normalize(x, self.mean), self.x, min(self.k, len(self.x)))
        return (_vote(similarity, self.t, index, self.prior, self.link) / self.temperature).astype(np.float32)

    def head(self) -> Neighbours:
        """Itself: no matrix, but some formats can vote too."""
        return self

    def state(self) -> dict[str, np.ndarray]:
        """The rows themselves: the delta grows with the data."""
        link = ("softmax", "sigmoid", "identity").index(self.link)
        facts = {"k": np.array([self.k, link], np.int64), "temperature": np.array([self.temperature], np.float64)}
        return {"x": self.x, "t": self.t, "mean": self.mean, "prior": self.prior, **facts}

    def files(self) -> dict[str, bytes]:
        """None."""
        return {}


def restore(state: dict[str, np.ndarray], above: object = None) -> Neighbours:
    """From its `state()`, without notes."""
    k, link = (int(v) for v in state["k"])
    kind = ("softmax", "sigmoid", "identity")[link]
    temperature = float(state["temperature"][0])
    return Neighbours(state["x"], state["t"], state["mean"], state["prior"], k, temperature, kind)


def _normalize(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Rows about their mean, of length 1; zeros for a row that is the mean but for rounding."""
    return unit_rows(x - mean, 1e-6 * float(np.linalg.norm(mean.astype(np.float64))))


def _nearest(x: np.ndarray, among: np.ndarray, k: int, own: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) cosine similarities, nearest first, and indices into `among`. own: the index of each row, to leave out"""
    nearest, index = np.empty((len(x), k), np.float32), np.empty((len(x), k), np.int64)
    step = max(1, SIMILARITIES // len(among))
    for start in range(0, len(x), step):
        block = x[start : start + step] @ among.T
        if own is not None:
            block[np.arange(len(block)), own[start : start + step]] = -2
        few = k < block.shape[1]
        top = np.argpartition(-block, k - 1, axis=1)[:, :k] if few else np.tile(np.arange(k), (len(block), 1))
        value = np.take_along_axis(block, top, 1)
        order = np.argsort(-value, axis=1, kind="stable")
        nearest[start : start + step] = np.take_along_axis(value, order, 1)
        index[start : start + step] = np.take_along_axis(top, order, 1)
    return nearest, index


def _vote(similarity: np.ndarray, targets: np.ndarray, index: np.ndarray, prior: np.ndarray, link: str) -> np.ndarray:
    """(n, width) of the rows `index` (n, k) of targets. One vote of the prior keeps every probability above 0."""
    out = np.empty((len(index), targets.shape[1]))
    step = max(1, VOTES // max(1, index.shape[1] * targets.shape[1]))
    for rows in (slice(i, i + step) for i in range(0, len(index), step)):
        weight, votes = np.exp(5 * (similarity[rows].astype(np.float64) - 1))[:, :, None], targets[index[rows]]
        if link == "identity":
            out[rows] = (weight * votes).sum(1) / weight.sum(1)
            continue
        p = ((weight * votes).sum(1) + 0.5 * prior + 1e-3) / (weight.sum(1) + 0.5 + 1e-3 * len(prior))
        p = np.clip(p, 1e-6, 1 - 1e-6)
        out[rows] = np.log(p) if link == "softmax" else np.log(p / (1 - p))
    return out
