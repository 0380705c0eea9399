"""Prompts: learned tokens stand beside the input's own above the cut, and are taken off before pooling.

Source: Lester et al. 2021 for texts; Jia et al. 2022, visual prompt tuning, for photos. Transformers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from headstart.core.errors import PlanError
from headstart.core.plan import Traits
from headstart.training.shared_settings import AdapterTuning, restore_for

if TYPE_CHECKING:
    import torch
    from torch import nn

    from headstart.training.tuning.learner import Learner


@dataclass(frozen=True, slots=True)
class Settings(AdapterTuning):
    """How many tokens are learned. tokens: of the prompt"""

    traits: ClassVar[Traits] = Traits(best_for="many tasks on one base, transformers")
    learning_rate: float = 3e-3
    tokens: int = 8

    def modify(self, learner: Learner) -> None:
        """Tokens before the first block above the cut; taken off behind the last."""
        first = first_block(learner)
        learner.body[first] = with_tokens(learner, first, self.tokens)
        learner.body[-2] = without_tokens(learner.body[-2], self.tokens)


restore = restore_for(Settings)


def first_block(learner: Learner) -> int:
    """Index of the first block in the body. Raises PlanError where tokens cannot stand beside others."""
    name, blocks = learner.card.name, learner.card.blocks
    if blocks[0].name == "whole":
        raise PlanError(f"{name} cannot be divided, so no prompt can be put in. Use --method lora.")
    attends = any(path.endswith(("attn", "attention")) for path, _ in learner.body.named_modules())
    if not attends or (learner.card.preprocess.kind != "text" and any(len(b.shape) != 2 for b in blocks)):
        raise PlanError(f"{name} has no row of tokens that a prompt could join. Use --method lora.")
    return 1 if learner.cut.at == 0 else 0


def with_tokens(learner: Learner, index: int, count: int) -> nn.Module:
    """Part `index` of the body with `count` learned tokens put into its input, behind the first token there.

    The class token stays first, where pools and position tables look for it.
    """
    import torch
    from torch import nn

    block, shape = learner.body[index], learner.card.blocks[-1].shape
    start = 0.02 * torch.randn(count, shape[-1] if shape else learner.card.width)
    device = next(block.parameters()).device

    class WithTokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.tokens = block, nn.Parameter(start.to(device))

        def forward(self, features):
            if not isinstance(features, tuple):
                return self.block(_insert(features, self.tokens))
            hidden, mask = features
            return self.block((_insert(hidden, self.tokens), _insert(mask, mask.new_ones(count))))

    return WithTokens()


def without_tokens(block: nn.Module, count: int) -> nn.Module:
    """A block whose output lacks the learned tokens."""
    from torch import nn

    class DropTokens(nn.Module):
        def forward(self, features):
            return tuple(map(_drop, features)) if isinstance(features, tuple) else _drop(features)

    def _drop(x):
        return _concatenate(x[:, :1], x[:, 1 + count :])

    return nn.Sequential(block, DropTokens())


def _insert(x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """(b, t, …), (count, …) -> (b, t + count, …), `tokens` behind the first of each row."""
    return _concatenate(x[:, :1], tokens.to(x.dtype).expand(len(x), *tokens.shape), x[:, 1:])


def _concatenate(*tokens: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat(tokens, 1)
