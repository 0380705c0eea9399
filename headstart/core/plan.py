"""Everything a run needs to be repeated, and why each thing was chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.plugins import name_of
from headstart.core.task import Objective

if TYPE_CHECKING:
    from torch import nn


class Fitted(Protocol):
    """What a method learned."""

    def scores(self, x: Any) -> np.ndarray:
        """What left the cut, as Features.x -> (n, k) calibrated logits (or the encoded number); larger is likelier."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """All of it, as arrays: the delta, nothing else. The module's `restore(state, above)` gives an equal Fitted."""
        ...

    def files(self) -> dict[str, bytes]:
        """Further files for the model folder, for other programs to read; mostly none."""
        ...

    @property
    def notes(self) -> dict:
        """JSON: what was chosen on the way (regularisation, temperature, cross-validated log-loss …)."""
        ...


@runtime_checkable
class Exportable(Protocol):
    """A Fitted that has a form as plain matrices, which exports need."""

    def head(self) -> Any:
        """Rows as they leave the network -> calibrated scores: a `head.Head`, or the Neighbours of knn."""
        ...


@runtime_checkable
class Trained(Protocol):
    """A Fitted whose network above the cut was trained or adapted. learner: a `tune.Learner`"""

    learner: Any


@runtime_checkable
class Raced(Protocol):
    """A Fitted that another method made and a race chose. by: the method's name, "" for a head on levels"""

    fitted: Fitted
    by: str


def learned(fitted: Fitted) -> Fitted:
    """What won, where a race was run; else what was given."""
    while isinstance(fitted, Raced):
        fitted = fitted.fitted
    return fitted


class Method(Protocol):
    """What happens above the cut. A frozen dataclass whose fields are all its settings (at most 8); one file each.

    The module has `Settings` (the dataclass) and `restore(state, above) -> Fitted`. A method that trains in steps has a
    setting `steps`, 0 for what the budget allows; one that learns from augmented views has a setting `views`.
    """

    @property
    def joins(self) -> bool:
        """Whether it learns from the validation part too, because it chooses by cross-validation."""
        ...

    def cut(self, backbone: Backbone) -> Cut:
        """Where it wants the network cut. Raises PlanError where it cannot work."""
        ...

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Fitted:
        """Learns from `train`, chooses by `val` (or joins them and cross-validates); never sees more. val may be empty.

        above: opens what lies above the cut
        """
        ...


def trains(method: Any) -> bool:
    """Whether a method trains in steps, so that it needs a network that can learn."""
    return "steps" in asdict(method)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to borrow, where to cut, what to do above, from which seed, and why."""

    backbone: Backbone
    cut: Cut
    method: Any  # a Method; Any because asdict must see the dataclass
    seed: int
    reasons: tuple[str, ...] = ()
    repeat: int = 0

    def facts(self) -> dict:
        """The `plan` section of result.json."""
        return {
            "backbone": self.backbone.name,
            "weights": self.backbone.weights,
            "cut": self.cut.at,
            "blocks": len(self.backbone.blocks),
            "precision": self.cut.precision,
            "method": name_of(self.method),
            "settings": asdict(self.method),
            "seed": self.seed,
            "repeat": self.repeat,
            "reasons": list(self.reasons),
        }


DEFAULT = {"classes": "logistic", "tags": "logistic", "number": "ridge"}


@dataclass(frozen=True, slots=True, eq=False)
class Above:
    """What lies above a cut, opened to learn.

    body: what leaves the cut -> (b, width), a copy that may learn, in eval mode; empty at the top
    say:  told of progress, (event, facts)
    thrifty: whether training keeps no activations but computes them again: a third slower, in less memory
    """

    body: nn.Sequential
    card: Backbone
    cut: Cut
    say: Callable[[str, dict], None] = lambda event, facts: None
    thrifty: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A saved task, ready to answer.

    facts: card.json as it lies
    """

    folder: Path
    backbone: Backbone
    cut: Cut
    objective: Objective
    fitted: Fitted
    facts: dict
