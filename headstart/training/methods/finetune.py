"""Fine-tuning: the topmost blocks learn too, each slower than the one above it, from what left the cut below them.

Source: Howard and Ruder 2018 (discriminative rates); Kolesnikov et al. 2020, BiT (a budget in steps).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.task import Objective

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.tuned import Tuned


HEAD = 10.0  # times the rate of the topmost block is the head's
FEW, START = 50, 0.01  # examples a class below which weights are pulled toward the start, and how strongly


@dataclass(frozen=True, slots=True)
class Settings:
    """How the topmost blocks are fine-tuned.

    blocks: how many of them learn; 0 = a quarter of the backbone's
    steps, batch: how long; 0 steps = by the number of examples and the budget
    rate:   learning rate of the topmost block, 0 = what a range test finds; the head's is ten times that
    decay:  each block below learns at so many times the rate of the one above it
    smooth: label smoothing.  Below 50 labels a class weights are also pulled toward the borrowed ones (L2-SP)
    norms:  "frozen" keeps BatchNorm's statistics as borrowed; "adapt" lets those above the cut follow the batches
    views:  stored augmented views of each photo beside the plain one
    """

    blocks: int = 0
    steps: int = 0
    batch: int = 16
    rate: float = 1e-4
    decay: float = 0.8
    smooth: float = 0.1
    norms: Literal["frozen", "adapt"] = "frozen"
    views: int = 2

    @property
    def joins(self) -> bool:
        """Val chooses the step to keep."""
        return False

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that learn."""
        return below(backbone, self.blocks)

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Tuned:
        """Everything above the cut learns; the step with the least loss on val is kept."""
        return tuned(self, train, val, objective, above, rng)


def tuned(
    method: Any,
    train: Features,
    val: Features,
    objective: Objective,
    above: Callable[[], Above],
    rng: np.random.Generator,
    *,
    headed: bool = False,
    thaw: float = 0.0,
) -> Tuned:
    """Fine-tunes with the settings of a method of this kind. headed: from a head that is fitted first"""
    from headstart.training.heads import cross_validation
    from headstart.training.tuning import optim, trainer
    from headstart.training.tuning.tuned import opened, probed

    train, val = cross_validation.parted(
        train, val, objective, rng
    )  # before a head is fitted: it must not know what judges it
    learner, rows = opened(above, objective, train)
    alter(learner, asdict(method))
    rate = method.rate or 1.0
    head = HEAD * rate if not headed else 2 * rate  # a fitted head has little left to learn
    recipe = optim.Recipe(
        method.steps, method.batch, rate, head, method.decay, smooth=method.smooth, norms=method.norms, thaw=thaw,
        start=pull(train, objective), find=not method.rate,
    )  # fmt: skip
    if headed:
        notes: dict = {"probe": probed(learner, rows, train, objective, rng)}
    else:
        notes = {"acquainted": trainer.acquaint(learner, rows, train.y, objective, recipe, int(rng.integers(2**31)))}
    return trainer.learn(
        learner, rows, train, val, objective, recipe, asdict(method), rng, finish=lambda: notes, hold=False
    )


def evenly(
    method: Any,
    alter: Callable[[Learner, dict], None],
    train: Features,
    val: Features,
    objective: Objective,
    above: Callable[[], Above],
    rng: np.random.Generator,
) -> Tuned:
    """Trains what `alter` lets learn and the head, all at the method's one rate."""
    import torch

    from headstart.training.heads import cross_validation
    from headstart.training.tuning import optim, trainer
    from headstart.training.tuning.tuned import opened

    train, val = cross_validation.parted(train, val, objective, rng)
    learner, rows = opened(above, objective, train)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        alter(learner, asdict(method))
    rate = method.rate or 1.0
    recipe = optim.Recipe(method.steps, method.batch, rate, rate, 1.0, smooth=method.smooth, find=not method.rate)
    notes = {"acquainted": trainer.acquaint(learner, rows, train.y, objective, recipe, int(rng.integers(2**31)))}
    return trainer.learn(
        learner, rows, train, val, objective, recipe, asdict(method), rng, finish=lambda: notes, hold=False
    )


def pull(train: Features, objective: Objective) -> float:
    """How strongly weights are held to the start: for few labels alone. Source: Li et al. 2018, L2-SP."""
    each = len(train) / max(1, objective.width)
    return START if each < FEW else 0.0


def half(backbone: Backbone, blocks: int) -> Cut:
    """The cut below the topmost `blocks`; half of them for 0."""
    return below(backbone, blocks or -(-len(backbone.blocks) // 2))


def below(backbone: Backbone, blocks: int) -> Cut:
    """The cut below the topmost `blocks`; a quarter of them for 0. Raises PlanError where there are not so many."""
    count = len(backbone.blocks)
    blocks = blocks or -(-count // 4)
    if not 0 < blocks <= count:
        raise PlanError(f"blocks = {blocks}: {backbone.name} has {count} blocks; 1 to {count} can learn.")
    return backbone.cut(count - blocks)


def alter(learner: Learner, settings: dict) -> None:
    """All that lies above the cut learns."""
    learner.body.requires_grad_(True)
    learner.norms = settings["norms"]


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart.training.tuning.tuned import restored

    return restored(state, above, alter)
