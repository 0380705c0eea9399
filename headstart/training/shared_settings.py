"""What methods of one kind share: abstract dataclasses that a method's `Settings` extends. Imports nothing heavy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.plan import Fitted, OpenAbove, Traits
from headstart.core.settings import stored_settings
from headstart.core.task import Objective
from headstart.training.heads.cross_validation import hold_out, join_parts

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.tuned import Tuned


@dataclass(frozen=True, slots=True)
class CrossValidatedHead(ABC):
    """A head on the frozen backbone's embeddings that chooses by cross-validation, so nothing need be held out."""

    traits: ClassVar[Traits] = Traits()
    trains_on_validation: ClassVar[bool] = True

    def cut(self, backbone: Backbone) -> Cut:
        """At the top."""
        return backbone.cut(len(backbone.blocks))

    def fit(
        self, train: Features, val: Features, objective: Objective, *, above: OpenAbove, rng: np.random.Generator
    ) -> Any:
        """Learns from train and val together, as `fit_head` does."""
        return self.fit_head(join_parts(train, val), objective, rng)

    @abstractmethod
    def fit_head(self, data: Features, objective: Objective, rng: np.random.Generator) -> Fitted:
        """The head. data: all labelled embeddings (n, d)"""


@dataclass(frozen=True, slots=True)
class Stepwise(ABC):
    """What trains in steps above a cut.

    steps:         0 = by the number of examples and the budget
    batch_size:    examples of a step
    learning_rate: AdamW's, of the topmost block; 0 = what a range test finds, of a method that has one
    views:         stored augmented views of each photo beside the plain one
    """

    traits: ClassVar[Traits] = Traits()
    trains_on_validation: ClassVar[bool] = False  # the validation set chooses the checkpoint
    has_range_test: ClassVar[bool] = False  # whether a learning rate of 0 is found by one
    starts_from_probe: ClassVar[bool] = False  # whether the head is fitted to convergence first
    head_factor: ClassVar[float] = 1.0  # times the topmost block's learning rate is the head's
    draws_weights: ClassVar[bool] = False  # whether `modify` draws from torch's generator
    l2_sp: ClassVar[float] = 0.0  # strength of the pull toward the borrowed weights, for few labels
    unfreezing: ClassVar[float] = 0.0  # fraction of the steps over which blocks begin to learn one by one, from the top

    steps: int = 0
    batch_size: int = 16
    learning_rate: float = 1e-3
    views: int = 2

    @abstractmethod
    def cut(self, backbone: Backbone) -> Cut:
        """Below what is trained."""

    def fit(
        self, train: Features, val: Features, objective: Objective, *, above: OpenAbove, rng: np.random.Generator
    ) -> Tuned:
        """Trains everything that `modify` lets learn, and the head; val chooses the checkpoint."""
        from headstart.training.tuning.fine_tuning import fine_tune

        return fine_tune(self, train, val, objective, above, rng)

    @abstractmethod
    def modify(self, learner: Learner) -> None:
        """Adds what the method adds to the network, and says what learns."""


@dataclass(frozen=True, slots=True)
class AdapterTuning(Stepwise):
    """A few parameters beside frozen weights of the topmost blocks, all at one learning rate with the head.

    label_smoothing: fraction of each target that is spread over all classes
    blocks:          how many of the topmost blocks are adapted; 0 = half of the backbone's
    """

    has_range_test: ClassVar[bool] = True
    draws_weights: ClassVar[bool] = True

    label_smoothing: float = 0.1
    blocks: int = 0

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that are adapted."""
        return cut_below_half(backbone, self.blocks)


@dataclass(frozen=True, slots=True)
class FineTuning(Stepwise):
    """The borrowed weights above the cut themselves, each block slower than the one above it.

    layer_decay:     learning rate of a block, relative to that of the block above it (layer-wise lr decay)
    label_smoothing: fraction of each target that is spread over all classes
    batch_norm:      "frozen" keeps BatchNorm's statistics as borrowed; "adapt" lets those above the cut follow the data
    """

    has_range_test: ClassVar[bool] = True
    head_factor: ClassVar[float] = 10.0
    l2_sp: ClassVar[float] = 0.01

    learning_rate: float = 1e-4
    layer_decay: float = 0.8
    label_smoothing: float = 0.1
    batch_norm: Literal["frozen", "adapt"] = "frozen"

    def modify(self, learner: Learner) -> None:
        """Everything above the cut learns."""
        learner.body.requires_grad_(True)
        learner.batch_norm = self.batch_norm


@dataclass(frozen=True, slots=True)
class TopBlocksTuning(FineTuning):
    """Fine-tuning of the topmost blocks. blocks: how many of them learn; 0 = a quarter of the backbone's"""

    blocks: int = 0

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that learn."""
        return cut_below(backbone, self.blocks)


@dataclass(frozen=True, slots=True)
class FromScratch(Stepwise):
    """A network with random weights, of which everything learns.

    weight_decay:    AdamW's, of matrices and kernels
    label_smoothing: fraction of each target that is spread over all classes
    """

    weight_decay: float = 0.05
    label_smoothing: float = 0.1

    def cut(self, backbone: Backbone) -> Cut:
        """Below everything: no weights are borrowed."""
        return backbone.cut(0)

    def fit(
        self, train: Features, val: Features, objective: Objective, *, above: OpenAbove, rng: np.random.Generator
    ) -> Tuned:
        """Random weights, then everything learns; val chooses the checkpoint."""
        from headstart.training.tuning import optim, trainer, tuned

        weights_seed, seed = (int(rng.integers(2**31)) for _ in range(2))
        draw = partial(self.initialize, seed=weights_seed)
        learner, embeddings = tuned.open_learner(above, objective, train, draw)
        learn_from, val = hold_out(train, val, objective, rng)
        data = trainer.TrainingData(learn_from, val, objective, train, embeddings)
        return trainer.run_training(learner, data, optim.recipe_of(self, batch_norm="adapt"), asdict(self), seed)

    @abstractmethod
    def initialize(self, learner: Learner, seed: int) -> None:
        """`modify`, with weights drawn from `seed`."""


def restore_for(settings: type[Stepwise]) -> Callable[[dict[str, np.ndarray], OpenAbove], Tuned]:
    """The `restore(state, above)` of a method's module: its network is built again, and takes the stored tensors."""

    def modify(learner: Learner, stored: dict) -> dict:
        method = stored_settings(settings, stored)
        method.modify(learner)
        return asdict(method)

    def restore(state: dict[str, np.ndarray], above: OpenAbove) -> Tuned:
        from headstart.training.tuning.tuned import restore_tuned

        return restore_tuned(state, above, modify)

    return restore


def cut_below(backbone: Backbone, blocks: int) -> Cut:
    """The cut below the topmost `blocks`; a quarter of them for 0. Raises PlanError where there are not so many."""
    count = len(backbone.blocks)
    blocks = blocks or -(-count // 4)
    if not 0 < blocks <= count:
        raise PlanError(f"blocks = {blocks}: {backbone.name} has {count} blocks; 1 to {count} can learn.")
    return backbone.cut(count - blocks)


def cut_below_half(backbone: Backbone, blocks: int) -> Cut:
    """The cut below the topmost `blocks`; half of them for 0."""
    return cut_below(backbone, blocks or -(-len(backbone.blocks) // 2))
