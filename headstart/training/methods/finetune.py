"""Fine-tuning: the topmost blocks learn too, each slower than the one above it, from features at the cut below them.

Source: Howard and Ruder 2018 (discriminative rates); Kolesnikov et al. 2020, BiT (a budget in steps).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.core.plan import Traits
from headstart.training.shared_settings import TopBlocksTuning, restore_for


@dataclass(frozen=True, slots=True)
class Settings(TopBlocksTuning):
    """How the topmost blocks are fine-tuned; the head's learning rate is ten times that of the topmost block.

    Below 50 labels a class weights are also pulled toward the borrowed ones (L2-SP).
    """

    traits: ClassVar[Traits] = Traits(
        best_for="hundreds of labels, pictures unlike those of the pretraining", is_plain_network=True
    )


restore = restore_for(Settings)
