"""Linear probing, then fine-tuning: the topmost blocks learn under a head that has already converged.

Source: Kumar et al. 2022, "Fine-tuning can distort pretrained features and underperform out-of-distribution".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.core.plan import Traits
from headstart.training.shared_settings import TopBlocksTuning, restore_for


@dataclass(frozen=True, slots=True)
class Settings(TopBlocksTuning):
    """How the topmost blocks are fine-tuned under a fitted head.

    learning_rate:   lower than that of `finetune`: the head has converged
    label_smoothing: none, for which a converged head would have to learn its scale anew
    """

    traits: ClassVar[Traits] = Traits(best_for="fine-tuning that must hold on unlike data too", is_plain_network=True)
    starts_from_probe: ClassVar[bool] = True
    head_factor: ClassVar[float] = 2.0  # a fitted head has little left to learn

    learning_rate: float = 3e-5
    label_smoothing: float = 0.0


restore = restore_for(Settings)
