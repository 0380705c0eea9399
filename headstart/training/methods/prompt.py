"""Prompts: learned tokens stand beside the input's own above the cut, and are taken off before pooling.

Source: Lester et al. 2021 for texts; Jia et al. 2022, visual prompt tuning, for photos. Transformers only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.methods.finetune import evenly, half

if TYPE_CHECKING:
    import torch
    from torch import nn

    from headstart.core.plan import Above
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.tuned import Tuned


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
    """Tokens before the first block above the cut; taken off behind the last."""
    first = ready(learner)
    learner.body[first] = prompted(learner, first, settings["tokens"])
    learner.body[-2] = without(learner.body[-2], settings["tokens"])


def ready(learner: Learner) -> int:
    """Where the first block stands in the body. Raises PlanError where tokens cannot stand beside others."""
    name, blocks = learner.card.name, learner.card.blocks
    if blocks[0].name == "whole":
        raise PlanError(f"{name} cannot be divided, so no prompt can be put in. Use --method lora.")
    attends = any(path.endswith(("attn", "attention")) for path, _ in learner.body.named_modules())
    if not attends or (learner.card.preprocess.kind != "text" and any(len(b.shape) != 2 for b in blocks)):
        raise PlanError(f"{name} has no row of tokens that a prompt could join. Use --method lora.")
    return 1 if learner.cut.at == 0 else 0


def prompted(learner: Learner, at: int, count: int) -> nn.Module:
    """The part at `at` of the body with `count` learned tokens before it, behind the first of the tokens there.

    The class token stays first, where pools and position tables look for it.
    """
    import torch
    from torch import nn

    block, shape = learner.body[at], learner.card.blocks[-1].shape
    start = 0.02 * torch.randn(count, shape[-1] if shape else learner.card.width)
    place = next(block.parameters()).device

    class Prompted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.tokens = block, nn.Parameter(start.to(place))

        def forward(self, crossing):
            if not isinstance(crossing, tuple):
                return self.block(_beside(crossing, self.tokens))
            hidden, mask = crossing
            return self.block((_beside(hidden, self.tokens), _beside(mask, mask.new_ones(count))))

    return Prompted()


def without(block: nn.Module, count: int) -> nn.Module:
    """A block, behind which the learned tokens are gone."""
    from torch import nn

    class Strip(nn.Module):
        def forward(self, crossing):
            return tuple(map(_strip, crossing)) if isinstance(crossing, tuple) else _strip(crossing)

    def _strip(x):
        return _joined(x[:, :1], x[:, 1 + count :])

    return nn.Sequential(block, Strip())


def _beside(x: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
    """(b, t, …), (count, …) -> (b, t + count, …), `extra` behind the first of each row."""
    return _joined(x[:, :1], extra.to(x.dtype).expand(len(x), *extra.shape), x[:, 1:])


def _joined(*rows: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat(rows, 1)


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart.training.tuning import tuned

    return tuned.restored(state, above, alter)
