"""What a method put on an embedding, as plain matrices that any format can write down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart.errors import PlanError
from headstart.find import name_of
from headstart.methods.knn import Neighbours
from headstart.plan import Fitted


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Matrices with ReLU between them: rows (n, d) -> calibrated scores (n, k).

    layers: (weight (d, k), bias (k,)) float64 each.  unit: rows are brought to length 1 first
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    unit: bool = False

    def scores(self, x: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, k) float32."""
        x = x.astype(np.float64)
        if self.unit:
            x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        for i, (weight, bias) in enumerate(self.layers):
            x = (np.maximum(x, 0) if i else x) @ weight + bias
        return x.astype(np.float32)


def learned(fitted: Fitted) -> Any:
    """What won, where a race was run; else what was given."""
    some: Any = fitted
    while name_of(some) == "auto":
        some = some.fitted
    return some


def head_of(fitted: Fitted) -> Head | Neighbours:
    """The head of whatever a method gave. Raises PlanError for one that has no such form."""
    some = learned(fitted)
    make = KINDS.get(name_of(some))
    if make is None:
        raise PlanError(f"What {name_of(some)} learned has no form as plain matrices: it cannot be exported.")
    return make(some)


def _linear(some: Any) -> Head:
    return Head(((some.weight.astype(np.float64), np.asarray(some.bias, np.float64)),))


def _perceptron(some: Any) -> Head:
    gain, w1 = some.gain.astype(np.float64), some.w1.astype(np.float64)
    first = gain[:, None] * w1, some.b1 - (some.mean.astype(np.float64) * gain) @ w1
    return Head((first, (some.w2.astype(np.float64), some.b2.astype(np.float64))))


def _tuned(some: Any) -> Head:
    learner = some.learner
    weight, bias, mean = (
        t.detach().cpu().numpy().astype(np.float64) for t in (learner.head.weight, learner.head.bias, learner.mean)
    )
    matrix = weight.T * (float(learner.gain) / some.temperature)
    return Head(((matrix, bias / some.temperature - mean @ matrix),))


def _worded(some: Any) -> Head:
    words = some.words.astype(np.float64).T * some.factor
    return Head(((words, np.full(words.shape[1], some.offset)),), unit=True)


def _neighbours(some: Any) -> Neighbours:
    return some


KINDS: dict[str, Callable[[Any], Head | Neighbours]] = {
    "linear": _linear,
    "mlp": _perceptron,
    "tune": _tuned,
    "zeroshot": _worded,
    "knn": _neighbours,
}
