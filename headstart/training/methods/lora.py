"""LoRA: a product of two low-rank matrices is added to every linear layer and convolution above the cut, through PEFT.

Source: Hu et al. 2022; on all linear layers, Schulman et al. 2025; rsLoRA, Kalajdzievski 2023; DoRA, Liu et al. 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from headstart.core.plan import Traits
from headstart.training.shared_settings import AdapterTuning, restore_for

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner


MAX_RANK = 16  # where the rank is left to us
MAX_FRACTION = 0.01  # of the backbone's parameters that are trained then
LARGE, LARGE_FRACTION = 1e9, 0.001  # and of larger ones: few labels do not need more (Schulman et al. 2025)


@dataclass(frozen=True, slots=True)
class Settings(AdapterTuning):
    """The form of the added matrices.

    rank:    0 = the largest up to 16 at which less than 1 % of the backbone's parameters are trained
    variant: "plain" scales what is added by 2, "rs" by 2 times the root of the rank, "dora" learns its length too
    """

    traits: ClassVar[Traits] = Traits(
        best_for="many tasks on one base, nearly what full fine-tuning gives", is_plain_network=True
    )
    rank: int = 0
    variant: Literal["plain", "rs", "dora"] = "plain"

    def modify(self, learner: Learner) -> None:
        """Adds the matrices; the second of each pair is zero, so that nothing changes before the first step.

        Without dropout, which took a third of the time on a processor and gained nothing (docs/LOG.md).
        """
        from headstart.training.tuning import peft_adapters

        def configure(peft: Any, targets: dict[str, Any]) -> Any:
            magnitudes = sum(m.weight.shape[0] for m in targets.values()) if self.variant == "dora" else 0
            per_rank = sum(map(peft_adapters.parameters_per_rank, targets.values()))
            rank = self.rank or choose_rank(learner.card.parameters, per_rank, magnitudes)
            return peft.LoraConfig(
                r=rank,
                lora_alpha=2 * rank,
                target_modules=list(targets),
                use_rslora=self.variant == "rs",
                use_dora=self.variant == "dora",
            )

        peft_adapters.inject(learner, configure)


restore = restore_for(Settings)


def choose_rank(parameters: int, per_rank: int, fixed: int = 0) -> int:
    """The largest rank, up to MAX_RANK, that trains less than MAX_FRACTION of the parameters; 1 at least.

    parameters: of the backbone.  per_rank: that each rank adds.  fixed: that are added at any rank
    """
    fraction = MAX_FRACTION if parameters < LARGE else LARGE_FRACTION
    return max(1, min(MAX_RANK, int((fraction * parameters - fixed) / max(per_rank, 1))))
