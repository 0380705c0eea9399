"""Everything a run needs to be repeated, and why each thing was chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
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
        """Features at the cut, as Features.x -> (n, k) calibrated logits (or the encoded number)."""

    def state(self) -> dict[str, np.ndarray]:
        """All of it, as arrays: the delta. The module's `restore(state, above)` gives an equal Fitted."""

    def files(self) -> dict[str, bytes]:
        """Further files for the model folder, for other programs to read; mostly none."""

    @property
    def notes(self) -> dict:
        """JSON: what was chosen on the way (regularisation, temperature, cross-validated log-loss …)."""


@runtime_checkable
class Exportable(Protocol):
    """A Fitted whose head is plain matrices, which exports need."""

    def head(self) -> Any:
        """Embeddings as the network gives them -> calibrated logits: a `head.Head`, or the Neighbours of knn."""


@runtime_checkable
class Trained(Protocol):
    """A Fitted whose network above the cut was trained or adapted. learner: a `tuning.learner.Learner`"""

    learner: Any


@runtime_checkable
class Raced(Protocol):
    """A Fitted that won a race of several. by: the winner's method, "" for a head on intermediate features"""

    fitted: Fitted
    by: str


def winner_of(fitted: Fitted) -> Fitted:
    """The winner where methods were raced, else `fitted` itself."""
    while isinstance(fitted, Raced):
        fitted = fitted.fitted
    return fitted


@dataclass(frozen=True, slots=True)
class Traits:
    """What the rest of the program knows of a method beside its settings. The defaults suit a method of any kind.

    best_for:         when to take it, in half a sentence, for the table of methods
    is_probe:         a head on frozen features that the other methods are compared with
    from_scratch:     it is meant to forget the pretraining, so that drift and forgetting are no findings
    is_plain_network: once adapters are merged, what it trained has the library's own architecture: timm and
                      transformers can open it
    needs_pairs:      it learns from pairs of the same class: for classes alone, and for few labels
    step_factor:      times as many steps as fine-tuning, of the same budget
    parameters:       that it trains, where their number does not depend on the backbone; 0 = those above the cut
    few_shot_gain:    kind of data -> (mean, standard deviation) of its accuracy gain over the probe with few labels,
                      a fraction; of a kind that is not named, what training usually gains
    """

    best_for: str = ""
    is_probe: bool = False
    from_scratch: bool = False
    is_plain_network: bool = False
    needs_pairs: bool = False
    step_factor: float = 1.0
    parameters: int = 0
    few_shot_gain: Mapping[str, tuple[float, float]] = field(default_factory=dict)


class Method(Protocol):
    """What happens above the cut. A frozen dataclass whose fields are all its settings (at most 8); one file each.

    The module has `Settings` (the dataclass) and `restore(state, above) -> Fitted`. A method that trains in steps has a
    setting `steps`, 0 for what the budget allows, and `batch_size`; one that learns from augmented views has a setting
    `views`; one with a `learning_rate` takes 0 for what a range test finds, or says `has_range_test = False`.
    `Settings` may have a class variable `traits: ClassVar[Traits]`. training/shared_settings.py has what methods of one
    kind share.
    """

    @property
    def trains_on_validation(self) -> bool:
        """Whether it learns from the validation part too, because it chooses by cross-validation."""

    def cut(self, backbone: Backbone) -> Cut:
        """Where it wants the network cut. Raises PlanError where it cannot work."""

    def fit(
        self, train: Features, val: Features, objective: Objective, *, above: OpenAbove, rng: np.random.Generator
    ) -> Fitted:
        """Learns from `train`, chooses by `val` (or joins them and cross-validates); never sees more. val may be empty.

        above: opens the blocks above the cut
        """


def traits_of(method: Any) -> Traits:
    """Traits of a method, given its settings or their class; the defaults where it states none."""
    return getattr(method, "traits", None) or Traits(step_factor=getattr(method, "longer", 1.0))


def trains_on_validation(method: Any) -> bool:
    """Whether a method learns from the validation part too; in methods of Headstart 0.1 this is called `joins`."""
    return bool(getattr(method, "trains_on_validation", getattr(method, "joins", False)))


def has_range_test(method: Any) -> bool:
    """Whether a method, given its settings or their class, takes a learning rate of 0 for what a range test finds."""
    return bool(getattr(method, "has_range_test", True))


def trains_in_steps(method: Any) -> bool:
    """Whether a method trains in steps, so that it needs a network that can learn."""
    return "steps" in asdict(method)


@dataclass(frozen=True, slots=True)
class Plan:
    """The backbone, the cut, the method above it, the seed, and why each was chosen."""

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


@dataclass(frozen=True, slots=True, eq=False)
class Above:
    """The blocks above a cut, opened to be trained.

    body: features at the cut -> embeddings (b, width); a copy that may be trained, in eval mode; empty at the top
    say:  takes progress, (event, facts)
    gradient_checkpointing: training computes activations again instead of keeping them: a third slower, less memory
    """

    body: nn.Sequential
    card: Backbone
    cut: Cut
    say: Callable[[str, dict], None] = lambda event, facts: None
    gradient_checkpointing: bool = False


OpenAbove = Callable[[], Above]


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
