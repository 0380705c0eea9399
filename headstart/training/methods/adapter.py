"""Adapters: small bottlenecks after attention and after the feed-forward part of every block above the cut.

Source: Houlsby et al. 2019. In networks without such parts one stands after each block, as in Rebuffi et al. 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.methods.finetune import evenly, half

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.tuned import Tuned


PARTS = (".attn", ".self_attn", ".mlp", ".output.dense", ".attention.o_proj", ".attention.out_lin", ".ffn.lin2")


@dataclass(frozen=True, slots=True)
class Settings:
    """How wide the bottlenecks are.

    blocks: how many of the topmost blocks get them; 0 = half of the backbone's
    width:  numbers in the middle of each
    steps, batch: how long; 0 steps = by the number of examples and the budget
    rate:   learning rate of the bottlenecks and of the head
    smooth: label smoothing.  views: stored augmented views of each photo beside the plain one
    """

    blocks: int = 0
    width: int = 8
    steps: int = 0
    batch: int = 16
    rate: float = 1e-3
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
        """The bottlenecks and the head learn; val chooses the step to keep."""
        return evenly(self, alter, train, val, objective, above, rng)


def alter(learner: Learner, settings: dict) -> None:
    """Puts the bottlenecks in; their last layer is zero, so that nothing changes before the first step."""
    first, middle = 1 if learner.cut.at == 0 else 0, settings["width"]  # the stem gets none
    blocks = learner.card.blocks[learner.cut.at :]
    for at, block in enumerate(blocks, first):
        part = learner.body[at]
        names = _places(part) if block.name != "whole" else []
        for name in names:
            part.set_submodule(name, _beside(part.get_submodule(name), _width(part.get_submodule(name)), middle))
        if not names:
            shape = block.shape or (learner.card.width,)
            # Maps are (c, h, w); those of networks that keep channels last are (h, w, c).
            maps = len(shape) == 3 and not shape[0] == shape[1] != shape[2]
            learner.body[at] = _beside(part, shape[0] if maps else shape[-1], middle, maps)


def _places(part: Any) -> list[str]:
    """Attention and the feed-forward part within a block; none where they are made of convolutions."""
    from torch import nn

    found = {name: module for name, module in part.named_modules() if f".{name}".endswith(PARTS)}
    kinds = [{type(m) for m in module.modules()} for module in found.values()]
    return list(found) if all(nn.Linear in k and not any(issubclass(m, nn.Conv2d) for m in k) for k in kinds) else []


def _width(module: Any) -> int:
    """Numbers that a module of a transformer gives for a token."""
    from torch import nn

    return [m for m in module.modules() if isinstance(m, nn.Linear)][-1].out_features


def _beside(inner: Any, width: int, middle: int, maps: bool = False) -> Any:
    """A module with a bottleneck after it. maps: it gives (b, width, h, w), not (…, width)"""
    from torch import nn

    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner
            self.down = nn.Conv2d(width, middle, 1) if maps else nn.Linear(width, middle)
            self.up = nn.Conv2d(middle, width, 1) if maps else nn.Linear(middle, width)
            for parameter in self.up.parameters():
                nn.init.zeros_(parameter)

        def forward(self, *given, **named):
            out = self.inner(*given, **named)
            x = out[0] if isinstance(out, tuple) else out
            x = x + self.up(nn.functional.gelu(self.down(x)))
            return (x, *out[1:]) if isinstance(out, tuple) else x

    return Beside().to(next(inner.parameters()).device)


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart.training.tuning import tuned

    return tuned.restored(state, above, alter)
