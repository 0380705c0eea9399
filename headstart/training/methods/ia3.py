"""(IA)³: keys, values and the inputs of the last feed-forward layer are rescaled by learned vectors, through PEFT.

Source: Liu et al. 2022, "Few-shot parameter-efficient fine-tuning". Where one layer makes
queries, keys and values, all three are rescaled; of a network without keys, the input of each of its layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from headstart.core.plan import Traits
from headstart.training.shared_settings import AdapterTuning, restore_for

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner


# Names of layers in timm and transformers: those that make keys and values, and the last of each feed-forward part.
KEY_VALUE_LAYERS = ("qkv", "Wqkv", "kv", "key", "value", "k", "v", "k_proj", "v_proj", "k_lin", "v_lin")
FEEDFORWARD_LAYERS = ("fc2", "output.dense", "down_proj", "lin2", "mlp.Wo")


@dataclass(frozen=True, slots=True)
class Settings(AdapterTuning):
    """How the vectors that rescale activations are trained."""

    traits: ClassVar[Traits] = Traits(best_for="many tasks on one base, the smallest files", is_plain_network=True)
    learning_rate: float = 3e-3

    def modify(self, learner: Learner) -> None:
        """Adds vectors of ones, so that nothing changes before the first step."""
        from headstart.training.tuning import peft_adapters

        def configure(peft: Any, targets: dict[str, Any]) -> Any:
            feedforward = [n for n in targets if n.endswith(FEEDFORWARD_LAYERS) and "attention.output" not in n]
            key_value = [n for n in targets if n.rpartition(".")[2] in KEY_VALUE_LAYERS]
            if not key_value:
                feedforward = list(targets)
            return peft.IA3Config(target_modules=[*key_value, *feedforward], feedforward_modules=feedforward)

        peft_adapters.inject(learner, configure)


restore = restore_for(Settings)
