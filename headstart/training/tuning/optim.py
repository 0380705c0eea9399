"""Who learns how fast: AdamW without decay on norms and biases, and a learning rate that warms up and fades out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from headstart.training.tuning.learner import Learner


def adamw(module: nn.Module, rate: float, decay: float) -> torch.optim.AdamW:
    """Every parameter that learns; matrices and kernels decay, vectors do not. Source: Loshchilov and Hutter 2019."""
    learns = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learns if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in learns if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return fused([g for g in groups if g["params"]], rate)


def fused(groups: list[dict], rate: float = 1.0) -> torch.optim.AdamW:
    """AdamW in one pass over each parameter: 7.5 ms a step where torch takes 20 (3.5 million, one thread)."""
    place = next(iter(groups[0]["params"])).device.type
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=place in ("cpu", "cuda"))


def cosine(rate: float, total: int, warm: float = 0.05) -> Callable[[int], float]:
    """Learning rate at a step: up to `rate` over the first `warm` share, then down to 1 % along a cosine."""
    first = max(1, round(warm * total))

    def at(index: int) -> float:
        if index < first:
            return rate * (index + 1) / first
        done = (index - first) / max(1, total - first)
        return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    return at


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
