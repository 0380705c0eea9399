"""One hidden layer of 64 units: the head of the classic recipe, trained by Adam in numpy, stopped by validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.head import Head
from headstart.core.task import Objective
from headstart.training.heads import cross_validation
from headstart.training.heads.linear import check_rows, check_two
from headstart.training.heads.temperature_scaling import calibrate

if TYPE_CHECKING:
    from headstart.core.plan import Above


BATCH = 32
HELD = 7  # folds, one of which chooses when no validation part is given
BLOCK = 8192  # rows scored at a time
BETA1, BETA2, SMALL = 0.9, 0.999, 1e-8  # Kingma and Ba 2015


@dataclass(frozen=True, slots=True)
class Settings:
    """How the two layers are trained.

    units:    of the hidden layer.  dropout: share of them that sits out each step
    rate:     Adam's learning rate.  decay: of weights, decoupled (Loshchilov and Hutter 2019)
    passes:   over the training rows, at most.  patience: passes without a better validation loss that end it
    weights:  "balanced" lets every class (of a tag: on and off) count alike, however rare
    """

    units: int = 64
    rate: float = 1e-3
    decay: float = 1e-2
    dropout: float = 0.2
    passes: int = 100
    patience: int = 10
    weights: Literal["none", "balanced"] = "none"

    @property
    def joins(self) -> bool:
        """It stops by the validation part."""
        return False

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
    ) -> Perceptron:
        """Learns from train; val stops and calibrates it. Without one, a seventh of train is held back for that.

        Raises PlanError for settings that cannot train.
        """
        if min(self.units, self.passes, self.patience) < 1 or not (self.rate > 0 and 0 <= self.dropout < 1):
            raise PlanError("units, passes and patience are 1 or more, rate is positive, dropout from 0 to below 1.")
        check_rows(train)
        check_two(train, objective)
        if not len(val):
            fold = cross_validation.deal(train, objective, HELD, rng)
            if fold.max():
                train, val = train.rows(np.flatnonzero(fold > 0)), train.rows(np.flatnonzero(fold == 0))
        judges = val if len(val) else train
        best, notes = self._train(self._start(train.x, objective, rng), train, judges, objective, rng)
        if objective.link == "identity":
            return replace(best, notes=notes)
        found = calibrate(best.scores(judges.x), judges.y, objective.link)
        notes |= {"temperature": found.temperature, "log_loss": found.loss}
        cold = np.float32(1 / found.temperature)
        return replace(best, w2=best.w2 * cold, b2=best.b2 * cold, notes=notes)

    def _start(self, x: np.ndarray, objective: Objective, rng: np.random.Generator) -> Perceptron:
        """Columns scaled to equal spread; weights after He et al. 2015, the last layer at 0."""
        mean, spread = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
        gain = np.where(spread > 1e-6 * (1 + np.abs(mean)), 1 / np.maximum(spread, 1e-30), 0)
        w1 = rng.standard_normal((x.shape[1], self.units)) * np.sqrt(2 / x.shape[1])
        u, k = self.units, objective.width
        b1, w2, b2 = (np.zeros(shape, np.float32) for shape in (u, (u, k), k))
        return Perceptron(mean.astype(np.float32), gain.astype(np.float32), w1.astype(np.float32), b1, w2, b2)

    def _train(
        self, net: Perceptron, train: Features, judges: Features, objective: Objective, rng: np.random.Generator
    ) -> tuple[Perceptron, dict]:
        """The layers as they were when the judges' loss was least, and how it went."""
        t, w = _wanted(train.y, objective), _counts(train.y, objective, self.weights)
        goal = _wanted(judges.y, objective)
        layers = [net.w1, net.b1, net.w2, net.b2]
        first, second = ([np.zeros_like(a) for a in layers] for _ in range(2))
        step, best, least, since = 0, net, np.inf, 0
        curve: list[float] = []
        for _ in range(self.passes):
            order = rng.permutation(len(train))
            for start in range(0, len(order), BATCH):
                some = np.sort(order[start : start + BATCH])
                step += 1
                slopes = self._slopes(net, train.x[some], t[some], w[some], objective.link, rng)
                for a, g, m, v in zip(layers, slopes, first, second, strict=True):
                    m += (1 - BETA1) * (g - m)
                    v += (1 - BETA2) * (g * g - v)
                    size = np.float32(self.rate * np.sqrt(1 - BETA2**step) / (1 - BETA1**step))
                    if a.ndim == 2:
                        a *= np.float32(1 - self.rate * self.decay)
                    a -= size * m / (np.sqrt(v) + np.float32(SMALL))
            loss = _loss(net.scores(judges.x), goal, objective.link)
            curve.append(round(loss, 6))
            since = since + 1
            if loss < least:
                w1, b1, w2, b2 = (a.copy() for a in layers)
                best, least, since = Perceptron(net.mean, net.gain, w1, b1, w2, b2), loss, 0
            if since >= self.patience:
                break
        return best, {"passes": len(curve), "best_pass": len(curve) - since, "validation_loss": curve, "steps": step}

    def _slopes(
        self,
        net: Perceptron,
        x: np.ndarray,
        t: np.ndarray,
        w: np.ndarray,
        link: str,
        rng: np.random.Generator,
    ) -> list[np.ndarray]:
        """Gradients of the two layers on one batch."""
        z = (x - net.mean) * net.gain
        hidden = np.maximum(z @ net.w1 + net.b1, 0)
        if self.dropout:
            hidden *= (rng.random(hidden.shape, np.float32) >= self.dropout) * np.float32(1 / (1 - self.dropout))
        off = (
            (_answers(hidden @ net.w2 + net.b2, link) - t)
            * w
            / np.float32(len(x) * (t.shape[1] if link == "sigmoid" else 1))
        )
        back = (off @ net.w2.T) * (hidden > 0)
        if self.dropout:
            back *= np.float32(1 / (1 - self.dropout))
        return [z.T @ back, back.sum(0), hidden.T @ off, off.sum(0)]


@dataclass(frozen=True, slots=True, eq=False)
class Perceptron:
    """mean, gain: (d,); w1: (d, u), b1: (u,); w2: (u, k), b2: (k,); all float32."""

    mean: np.ndarray
    gain: np.ndarray
    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    notes: dict = field(default_factory=dict)

    def scores(self, x: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, k) float32"""
        out = np.empty((len(x), len(self.b2)), np.float32)
        for i in range(0, len(x), BLOCK):
            hidden = np.maximum(((x[i : i + BLOCK] - self.mean) * self.gain) @ self.w1 + self.b1, 0)
            out[i : i + BLOCK] = hidden @ self.w2 + self.b2
        return out

    def head(self) -> Head:
        """Two matrices: the scaling of columns is taken into the first."""
        gain, w1 = self.gain.astype(np.float64), self.w1.astype(np.float64)
        first = gain[:, None] * w1, self.b1 - (self.mean.astype(np.float64) * gain) @ w1
        return Head((first, (self.w2.astype(np.float64), self.b2.astype(np.float64))))

    def state(self) -> dict[str, np.ndarray]:
        """Both layers, and how columns are scaled before them."""
        return {name: getattr(self, name) for name in ("mean", "gain", "w1", "b1", "w2", "b2")}

    def files(self) -> dict[str, bytes]:
        """None."""
        return {}


def restore(state: dict[str, np.ndarray], above: object = None) -> Perceptron:
    """From its `state()`, without notes."""
    return Perceptron(state["mean"], state["gain"], state["w1"], state["b1"], state["w2"], state["b2"])


def _wanted(y: np.ndarray, objective: Objective) -> np.ndarray:
    """(n, k) float32: what the answers should be."""
    t = objective.targets(y)
    return t if objective.link == "identity" else (t > 0).astype(np.float32)


def _counts(y: np.ndarray, objective: Objective, weights: str) -> np.ndarray:
    """(n, 1 or k) float32, what each row counts, about 1 on average."""
    if weights != "balanced" or objective.link == "identity":
        return np.ones((len(y), 1), np.float32)
    on = _wanted(y, objective)
    if objective.link == "softmax":
        many = on.sum(0)
        return (len(y) / ((many > 0).sum() * (on @ many)))[:, None].astype(np.float32)
    share = np.clip(on.mean(0), 1 / (len(y) + 1), len(y) / (len(y) + 1))
    return np.where(on > 0, 0.5 / share, 0.5 / (1 - share)).astype(np.float32)


def _answers(s: np.ndarray, link: str) -> np.ndarray:
    if link == "identity":
        return s
    if link == "sigmoid":
        return 0.5 * (1 + np.tanh(s / 2))
    p = np.exp(s - s.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def _loss(s: np.ndarray, t: np.ndarray, link: str) -> float:
    """Mean log-loss in nats (a tag: of each by itself), or mean squared error."""
    s = s.astype(np.float64)
    if link == "identity":
        return float(((s - t) ** 2).mean())
    if link == "sigmoid":
        return float((np.logaddexp(0, s) - s * t).mean())
    top = s.max(1)
    return float((np.log(np.exp(s - top[:, None]).sum(1)) + top - (s * t).sum(1)).mean())
