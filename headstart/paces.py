"""How fast each part above a cut learns, and from when. For lesson.py.

Imports torch when it is imported: methods open it inside their functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from headstart.tune import Learner


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    steps, batch: how long.  rate: AdamW's learning rate of the topmost block; head: of the head
    find:   a range test finds the rate first, and both are times that
    decay:  the rate of a block is so many times that of the block above it. Source: Howard and Ruder 2018
    weight: AdamW's decay of matrices.  start: pull toward the weights at the start (L2-SP, Li et al. 2018)
    smooth: label smoothing.  warm: share of the steps in which the rate rises; it falls along a cosine
    norms:  "frozen" keeps BatchNorm's statistics; "adapt" lets them follow the batches
    thaw:   share of the steps over which blocks begin to learn one by one, from the top; 0 = all at once
    """

    steps: int
    batch: int = 16
    rate: float = 1e-4
    head: float = 1e-3
    decay: float = 0.8
    weight: float = 0.01
    start: float = 0.0
    smooth: float = 0.0
    warm: float = 0.1
    norms: str = "frozen"
    thaw: float = 0.0
    find: bool = False


def rates(learner: Learner, recipe: Recipe) -> list[dict]:
    """The optimizer's groups: every parameter that learns in exactly one, with its share of the schedule as "scale"."""
    groups: dict[tuple[float, float], dict] = {}
    last = max(len(learner.body) - 2, 0)  # the pool counts to the topmost block
    for name, parameter in learner.body.named_parameters():
        if parameter.requires_grad:
            rate = recipe.rate * recipe.decay ** max(0, last - int(name.partition(".")[0]))
            _into(groups, parameter, rate, recipe.weight)
    for parameter in learner.head.parameters():
        _into(groups, parameter, recipe.head, recipe.weight)
    return list(groups.values())


def _into(groups: dict, parameter: nn.Parameter, rate: float, weight: float) -> None:
    # Vectors, class tokens and positions do not decay.
    decay = weight if parameter.ndim > 1 and parameter.shape[0] > 1 else 0.0
    group = groups.setdefault((rate, decay), {"params": [], "scale": rate, "weight_decay": decay})
    group["params"].append(parameter)


def thaw(learner: Learner, done: int, recipe: Recipe) -> None:
    """Before step `done`: the blocks that may learn by then ask for gradients; their optimizer's state stays.

    The head learns alone for a fifth of the time, then block after block from the top. Source: Howard and Ruder 2018.
    """
    if not recipe.thaw:
        return
    count = max(len(learner.body) - 1, 1)
    share = done / (recipe.thaw * recipe.steps)
    awake = 0 if share < 0.2 else min(count, 1 + int((share - 0.2) / 0.8 * count))
    own = dict(learner.body.named_parameters())
    for name in learner.learns or ():
        own[name].requires_grad_(min(int(name.partition(".")[0]), count - 1) >= count - awake)  # the pool with the top
