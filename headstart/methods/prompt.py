"""Prompts: learned tokens stand beside the input's own above the cut, and are taken off before pooling.

Source: Lester et al. 2021 for texts; Jia et al. 2022, visual prompt tuning, for photos. Transformers only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbone import Backbone, Cut
from headstart.errors import PlanError
from headstart.features import Features
from headstart.methods.finetune import evenly, half
from headstart.task import Objective

if TYPE_CHECKING:
    from headstart.network import Above
    from headstart.tune import Learner, Tuned


@dataclass(frozen=True, slots=True)
class Settings:
    """How many tokens are learned.

    blocks: how many of the topmost blocks see them; 0 = half of the backbone's
    tokens: of each prompt
    steps, batch: how long; 0 steps = by the number of examples and the budget
    rate:   learning rate of the tokens and of the head
    smooth: label smoothing.  views: stored augmented views of each photo beside the plain one
    """

    blocks: int = 0
    tokens: int = 8
    steps: int = 0
    batch: int = 16
    rate: float = 3e-3
    smooth: float = 0.1
    views: int = 2

    @property
    def joins(self) -> bool:
        """Val chooses the step to keep."""
        return False

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that are adapted."""
        return half(backbone, self.blocks)

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Tuned:
        """The tokens and the head learn; val chooses the step to keep."""
        return evenly(self, alter, train, val, objective, above, rng)


def alter(learner: Learner, settings: dict) -> None:
    """Tokens before the first block above the cut; taken off before the pool."""
    first = ready(learner)
    with_tokens(learner, first, settings["tokens"])
    learner.body[-1] = _without(learner.body[-1], settings["tokens"])


def ready(learner: Learner) -> int:
    """Where the first block stands in the body. Raises PlanError where tokens cannot stand beside others."""
    shapes = [b.shape for b in learner.card.blocks]
    if learner.card.preprocess.kind != "text" and any(len(s) != 2 for s in shapes):
        raise PlanError(f"{learner.card.name} has no row of tokens that a prompt could join. Use --method lora.")
    if any(b.name == "whole" for b in learner.card.blocks):
        raise PlanError(f"{learner.card.name} cannot be divided, so no prompt can be put in. Use --method lora.")
    return 1 if learner.cut.at == 0 else 0


def with_tokens(learner: Learner, at: int, count: int, drop: bool = False) -> None:
    """Lets the part at `at` of the body see `count` learned tokens. drop: they leave it again behind that part"""
    from torch import nn

    width = next(m.normalized_shape[0] for m in learner.body.modules() if isinstance(m, nn.LayerNorm))
    learner.body[at] = _prompted(learner.body[at], count, width, drop)


def split(x: Any, count: int, extra: Any = None) -> Any:
    """Rows (b, t, …) with `extra` after the first token, or without the `count` that stand there."""
    import torch

    rest = x[:, 1:] if extra is not None else x[:, 1 + count :]
    return torch.cat([x[:, :1], *([extra] if extra is not None else []), rest], 1)


def _prompted(block: Any, count: int, width: int, drop: bool) -> Any:
    import torch
    from torch import nn

    class Prompted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.tokens = block, nn.Parameter(0.02 * torch.randn(count, width))

        def forward(self, crossing):
            pair = isinstance(crossing, tuple)
            x, mask = crossing if pair else (crossing, None)
            x = split(x, count, self.tokens.to(x.dtype).expand(len(x), -1, -1))
            if mask is not None:
                mask = split(mask, count, mask.new_ones(len(mask), count))
            out = self.block((x, mask) if pair else x)
            return strip(out, count) if drop else out

    return Prompted()


def strip(crossing: Any, count: int) -> Any:
    """Without the learned tokens."""
    return tuple(split(part, count) for part in crossing) if isinstance(crossing, tuple) else split(crossing, count)


def _without(pool: Any, count: int) -> Any:
    from torch import nn

    class Without(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = pool

        @property
        def model(self) -> nn.Module:
            return self.pool.model

        def forward(self, crossing):
            return self.pool(strip(crossing, count))

    return Without()


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart import tune

    return tune.restored(state, above, alter)
