"""One hidden layer of 64 units: the head of the classic recipe, trained by Adam in numpy, stopped by validation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.head import Head
from headstart.core.plan import OpenAbove, Traits
from headstart.core.task import Objective
from headstart.training.heads import cross_validation
from headstart.training.heads.linear import check_learnable, check_rows, column_scaling
from headstart.training.heads.temperature_scaling import calibrate

BATCH = 32
HOLD_OUT_FOLDS = 7  # one of which is held out where no validation part is given
INFERENCE_BATCH = 8192
FARTHEST = 1e9  # spreads of a column: what lies farther out counts as so far, as infinities cancel to NaN
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Kingma and Ba 2015


@dataclass(frozen=True, slots=True)
class Settings:
    """How the two layers are trained.

    hidden_units:  width of the hidden layer
    learning_rate: Adam's
    weight_decay:  decoupled, of matrices (Loshchilov and Hutter 2019)
    dropout:       fraction of the hidden units that is dropped in each step
    epochs:        passes over the training rows, at most
    patience:      epochs without a better validation loss that stop the training
    class_weight:  "balanced" lets every class (of a tag: on and off) count alike, however rare
    """

    traits: ClassVar[Traits] = Traits(best_for="many labels whose classes no straight line parts")
    trains_on_validation: ClassVar[bool] = False  # it stops by the validation part
    has_range_test: ClassVar[bool] = False

    hidden_units: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    dropout: float = 0.2
    epochs: int = 100
    patience: int = 10
    class_weight: Literal["none", "balanced"] = "none"

    def cut(self, backbone: Backbone) -> Cut:
        """At the top."""
        return backbone.cut(len(backbone.blocks))

    def fit(
        self, train: Features, val: Features, objective: Objective, *, above: OpenAbove, rng: np.random.Generator
    ) -> Perceptron:
        """Learns from train; val stops and calibrates it. Without one, a seventh of train is held out for that.

        Raises PlanError for settings that cannot train.
        """
        self._check()
        check_rows(train)
        check_learnable(train, objective)
        if not len(val):
            fold = cross_validation.assign_folds(train, objective, HOLD_OUT_FOLDS, rng)
            if fold.max():
                train, val = train.rows(np.flatnonzero(fold > 0)), train.rows(np.flatnonzero(fold == 0))
        val = val if len(val) else train
        best, notes = self._train(self._initial(train.x, objective, rng), train, val, objective, rng)
        if objective.link == "identity":
            return replace(best, notes=notes)
        calibration = calibrate(best.scores(val.x), val.y, objective.link)
        notes |= {"temperature": calibration.temperature, "log_loss": calibration.loss}
        factor = np.float32(1 / calibration.temperature)
        return replace(best, w2=best.w2 * factor, b2=best.b2 * factor, notes=notes)

    def _check(self) -> None:
        positive = min(self.hidden_units, self.epochs, self.patience) >= 1 and self.learning_rate > 0
        if not (positive and 0 <= self.dropout < 1):
            raise PlanError(
                "hidden_units, epochs and patience are 1 or more, learning_rate is positive, dropout from 0 to below 1."
            )

    def _initial(self, x: np.ndarray, objective: Objective, rng: np.random.Generator) -> Perceptron:
        """Columns scaled to equal spread; weights after He et al. 2015, the last layer at 0."""
        mean, std = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
        gain = np.where(column_scaling(x)[1] > 0, 1 / np.maximum(std, 1e-30), 0)
        w1 = rng.standard_normal((x.shape[1], self.hidden_units)) * np.sqrt(2 / x.shape[1])
        u, k = self.hidden_units, objective.width
        b1, w2, b2 = (np.zeros(shape, np.float32) for shape in (u, (u, k), k))
        return Perceptron(mean.astype(np.float32), gain.astype(np.float32), w1.astype(np.float32), b1, w2, b2)

    def _train(
        self, net: Perceptron, train: Features, val: Features, objective: Objective, rng: np.random.Generator
    ) -> tuple[Perceptron, dict]:
        """The layers at the least validation loss, and how training went."""
        t, weight = _targets(train.y, objective), _sample_weight(train.y, objective, self.class_weight)
        val_t = _targets(val.y, objective)
        layers = [net.w1, net.b1, net.w2, net.b2]
        first, second = ([np.zeros_like(a) for a in layers] for _ in range(2))  # Adam's moments
        step, best, best_loss, stale = 0, net, np.inf, 0
        losses: list[float] = []
        for _ in range(self.epochs):
            order = rng.permutation(len(train))
            for start in range(0, len(order), BATCH):
                batch = np.sort(order[start : start + BATCH])
                step += 1
                gradients = self._gradients(net, train.x[batch], t[batch], weight[batch], objective.link, rng)
                for a, g, m, v in zip(layers, gradients, first, second, strict=True):
                    m += (1 - BETA1) * (g - m)
                    v += (1 - BETA2) * (g * g - v)
                    size = np.float32(self.learning_rate * np.sqrt(1 - BETA2**step) / (1 - BETA1**step))
                    if a.ndim == 2:
                        a *= np.float32(1 - self.learning_rate * self.weight_decay)
                    a -= size * m / (np.sqrt(v) + np.float32(EPSILON))
            loss = _loss(net.scores(val.x), val_t, objective.link)
            losses.append(round(loss, 6))
            stale = stale + 1
            if loss < best_loss:
                w1, b1, w2, b2 = (a.copy() for a in layers)
                best, best_loss, stale = Perceptron(net.mean, net.gain, w1, b1, w2, b2), loss, 0
            if stale >= self.patience:
                break
        epochs = len(losses)
        return best, {"passes": epochs, "best_pass": epochs - stale, "validation_loss": losses, "steps": step}

    def _gradients(
        self, net: Perceptron, x: np.ndarray, t: np.ndarray, weight: np.ndarray, link: str, rng: np.random.Generator
    ) -> list[np.ndarray]:
        """Gradients of the two layers on one batch."""
        z = (x - net.mean) * net.gain
        hidden = np.maximum(z @ net.w1 + net.b1, 0)
        if self.dropout:
            hidden *= (rng.random(hidden.shape, np.float32) >= self.dropout) * np.float32(1 / (1 - self.dropout))
        count = np.float32(len(x) * (t.shape[1] if link == "sigmoid" else 1))
        d_out = (_inverse_link(hidden @ net.w2 + net.b2, link) - t) * weight / count
        d_hidden = (d_out @ net.w2.T) * (hidden > 0)
        if self.dropout:
            d_hidden *= np.float32(1 / (1 - self.dropout))
        return [z.T @ d_hidden, d_hidden.sum(0), hidden.T @ d_out, d_out.sum(0)]


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
        for i in range(0, len(x), INFERENCE_BATCH):
            with np.errstate(over="ignore"):  # what lies that far out is brought back at once
                z = np.clip((x[i : i + INFERENCE_BATCH] - self.mean) * self.gain, -FARTHEST, FARTHEST)
            out[i : i + INFERENCE_BATCH] = np.maximum(z @ self.w1 + self.b1, 0) @ self.w2 + self.b2
        return out

    def head(self) -> Head:
        """Two matrices: the scaling of columns goes into the first."""
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


def _targets(y: np.ndarray, objective: Objective) -> np.ndarray:
    """(n, k) float32: probabilities, or the encoded number."""
    t = objective.targets(y)
    return t if objective.link == "identity" else (t > 0).astype(np.float32)


def _sample_weight(y: np.ndarray, objective: Objective, class_weight: str) -> np.ndarray:
    """(n, 1 or k) float32, about 1 on average."""
    if class_weight != "balanced" or objective.link == "identity":
        return np.ones((len(y), 1), np.float32)
    on = _targets(y, objective)
    if objective.link == "softmax":
        count = on.sum(0)
        return (len(y) / ((count > 0).sum() * (on @ count)))[:, None].astype(np.float32)
    share = np.clip(on.mean(0), 1 / (len(y) + 1), len(y) / (len(y) + 1))
    return np.where(on > 0, 0.5 / share, 0.5 / (1 - share)).astype(np.float32)


def _inverse_link(s: np.ndarray, link: str) -> np.ndarray:
    """Logits -> probabilities; numbers as they are."""
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
