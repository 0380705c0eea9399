"""From scratch: the same architecture from random weights, the baseline that tells whether borrowing helped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from headstart.core.plan import Traits
from headstart.training.shared_settings import FromScratch, restore_for

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner


@dataclass(frozen=True, slots=True)
class Settings(FromScratch):
    """How a network without pretraining is trained; its budget is twice the steps of fine-tuning."""

    traits: ClassVar[Traits] = Traits(
        best_for="the baseline that tells whether borrowing helped", from_scratch=True, step_factor=2.0
    )

    def modify(self, learner: Learner) -> None:
        """Everything learns, BatchNorm's statistics too."""
        learner.body.requires_grad_(True)
        learner.batch_norm = "adapt"

    def initialize(self, learner: Learner, seed: int) -> None:
        """Random weights in the borrowed architecture."""
        self.modify(learner)
        reinitialize(learner, seed)


restore = restore_for(Settings)


def reinitialize(learner: Learner, seed: int) -> None:
    """Draws every weight anew, as its layer does; tokens and positions from a narrow normal, as BERT and ViT do."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for parameter in learner.body.parameters():
            if parameter.ndim != 1:
                nn.init.trunc_normal_(parameter, std=0.02)
        for module in learner.body.modules():
            if isinstance(module, nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=0.02)
            elif hasattr(module, "reset_parameters") and not isinstance(module, nn.MultiheadAttention):
                module.reset_parameters()  # type: ignore[operator]
