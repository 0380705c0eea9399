"""Full fine-tuning: every weight of the backbone learns, each block slower than the one above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstart.core.backbone import Backbone, Cut
from headstart.core.plan import Traits
from headstart.training.shared_settings import FineTuning, restore_for


@dataclass(frozen=True, slots=True)
class Settings(FineTuning):
    """How everything is fine-tuned."""

    traits: ClassVar[Traits] = Traits(best_for="thousands of labels and time", is_plain_network=True)

    def cut(self, backbone: Backbone) -> Cut:
        """Below everything."""
        return backbone.cut(0)


restore = restore_for(Settings)
