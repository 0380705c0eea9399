"""Prefixes: every block above the cut sees learned tokens of its own, which leave it again behind it.

They act as keys and values alone. Source: Li and Liang 2021, in the form of Jia et al. 2022 ("VPT-deep"): the keys and
values are what the block itself makes of the tokens. Transformers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from headstart.core.plan import Traits
from headstart.training.methods.prompt import first_block, with_tokens, without_tokens
from headstart.training.shared_settings import AdapterTuning, restore_for

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner


@dataclass(frozen=True, slots=True)
class Settings(AdapterTuning):
    """How many tokens are learned. tokens: of each block"""

    traits: ClassVar[Traits] = Traits(best_for="many tasks on one base, transformers")
    learning_rate: float = 3e-3
    tokens: int = 8

    def modify(self, learner: Learner) -> None:
        """Tokens before each block above the cut, taken off behind it."""
        for i in range(first_block(learner), len(learner.body) - 1):
            learner.body[i] = without_tokens(with_tokens(learner, i, self.tokens), self.tokens)


restore = restore_for(Settings)
