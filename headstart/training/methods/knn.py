"""Nearest neighbours: no training at all. A baseline on every fit, and a method of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features, join
from headstart.core.task import Objective
from headstart.training.heads.linear import check_rows, check_two
from headstart.training.heads.temperature_scaling import calibrate

if TYPE_CHECKING:
    from headstart.core.plan import Above


CELLS = 4_000_000  # similarities held at once: 16 MB
NEAR = (1, 3, 5, 10, 20, 40)
JUDGES = 2_000  # rows that choose k; more do not change the choice


@dataclass(frozen=True, slots=True)
class Settings:
    """neighbours: how many vote, weighted by nearness; empty = chosen leaving one out."""

    neighbours: tuple[int, ...] = ()

    @property
    def joins(self) -> bool:
        """Val is joined to train."""
        return True

    def cut(self, backbone: Backbone) -> Cut:
        """At the top."""
        return backbone.cut(len(backbone.blocks))

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Neighbours:
        """Keeps train and val; chooses how many vote, and calibrates, on rows that do not vote for themselves."""
        data = join(train, val) if len(val) else train
        check_rows(data)
        if objective.link != "identity":
            check_two(data, objective)
        mean = data.x.mean(0, dtype=np.float64).astype(np.float32)
        x = _unit(data.x, mean)
        t = objective.targets(data.y).astype(np.float32)
        t = t if objective.link == "identity" else (t > 0).astype(np.float32)
        prior = t.mean(0)
        judges = np.sort(rng.permutation(len(x))[:JUDGES])
        tries = sorted({min(k, max(len(x) - 1, 1)) for k in (self.neighbours or NEAR)})
        near, found = _nearest(x[judges], x, max(tries), own=judges)
        best: tuple[float, int, float] | None = None
        for k in tries:
            s = _scores(near[:, :k], t[found[:, :k]], prior, objective.link)
            if objective.link == "identity":
                loss, temperature = float(((s - t[judges]) ** 2).mean()), 1.0
            else:
                made = calibrate(s, data.y[judges], objective.link)
                loss, temperature = made.loss, made.temperature
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
        near, found = _nearest(_unit(x, self.mean), self.x, min(self.k, len(self.x)))
        return (_scores(near, self.t[found], self.prior, self.link) / self.temperature).astype(np.float32)

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


def _unit(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Rows about their mean, of length 1."""
    centred = x - mean
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def _nearest(x: np.ndarray, among: np.ndarray, k: int, own: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) cosines, nearest first, and whose they are. own: which of `among` each row is itself, to leave out."""
    near, found = np.empty((len(x), k), np.float32), np.empty((len(x), k), np.int64)
    step = max(1, CELLS // len(among))
    for start in range(0, len(x), step):
        some = x[start : start + step] @ among.T
        if own is not None:
            some[np.arange(len(some)), own[start : start + step]] = -2
        top = (
            np.argpartition(-some, k - 1, axis=1)[:, :k] if k < some.shape[1] else np.tile(np.arange(k), (len(some), 1))
        )
        value = np.take_along_axis(some, top, 1)
        order = np.argsort(-value, axis=1, kind="stable")
        near[start : start + step] = np.take_along_axis(value, order, 1)
        found[start : start + step] = np.take_along_axis(top, order, 1)
    return near, found


def _scores(near: np.ndarray, votes: np.ndarray, prior: np.ndarray, link: str) -> np.ndarray:
    """near: (n, k) cosines, votes: (n, k, width). One vote of the prior keeps every probability above 0."""
    weight = np.exp(5 * (near.astype(np.float64) - 1))[:, :, None]
    if link == "identity":
        return (weight * votes).sum(1) / weight.sum(1)
    share = ((weight * votes).sum(1) + 0.5 * prior + 1e-3) / (weight.sum(1) + 0.5 + 1e-3 * len(prior))
    share = np.clip(share, 1e-6, 1 - 1e-6)
    return np.log(share) if link == "softmax" else np.log(share / (1 - share))
