"""Biases and norms alone: a thousandth of the weights learns, and the matrices stay as borrowed.

Source: Ben Zaken et al. 2022, "BitFit"; Frankle et al. 2021 for norms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from headstart.core.plan import Traits
from headstart.training.shared_settings import AdapterTuning, restore_for

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner


@dataclass(frozen=True, slots=True)
class Settings(AdapterTuning):
    """How biases and norms are tuned."""

    traits: ClassVar[Traits] = Traits(best_for="many tasks on one base, each a few KB", is_plain_network=True)

    def modify(self, learner: Learner) -> None:
        """Vectors learn: biases, and the scales of norms."""
        for parameter in learner.body.parameters():
            parameter.requires_grad_(parameter.ndim <= 1)


restore = restore_for(Settings)
