"""Gradual unfreezing: the head learns first, then block after block from the top.

Source: Howard and Ruder 2018, "Universal language model fine-tuning for text classification".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.core.plan import Traits
from headstart.training.shared_settings import TopBlocksTuning, restore_for


@dataclass(frozen=True, slots=True)
class Settings(TopBlocksTuning):
    """How the topmost blocks are fine-tuned; they begin to learn one by one over the first half of the steps."""

    traits: ClassVar[Traits] = Traits(best_for="texts, a few hundred labels", is_plain_network=True)
    unfreezing: ClassVar[float] = 0.5


restore = restore_for(Settings)
