"""Adapters: small bottlenecks after attention and after the feed-forward part of every block above the cut.

Source: Houlsby et al. 2019. In networks without such parts one stands after each block, as in Rebuffi et al. 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from headstart.core.plan import Traits
from headstart.training.shared_settings import AdapterTuning, restore_for

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner


# Ends of the names of attention and feed-forward parts, in timm and transformers.
SUBLAYERS = (".attn", ".self_attn", ".mlp", ".output.dense", ".attention.o_proj", ".attention.out_lin", ".ffn.lin2")


@dataclass(frozen=True, slots=True)
class Settings(AdapterTuning):
    """How wide the adapters are. bottleneck: units in the middle of each"""

    traits: ClassVar[Traits] = Traits(best_for="many tasks on one base")
    bottleneck: int = 8

    def modify(self, learner: Learner) -> None:
        """Adds the adapters; their last layer is zero, so that nothing changes before the first step."""
        first = 1 if learner.cut.at == 0 else 0  # the stem gets none
        blocks = learner.card.blocks[learner.cut.at :]
        for i, block in enumerate(blocks, first):
            part = learner.body[i]
            names = _sublayers(part) if block.name != "whole" else []
            for name in names:
                sublayer = part.get_submodule(name)
                part.set_submodule(name, _with_adapter(sublayer, _output_width(sublayer), self.bottleneck))
            if not names:
                shape = block.shape or (learner.card.width,)
                # Maps are (c, h, w); those of networks that keep channels last are (h, w, c).
                maps = len(shape) == 3 and not shape[0] == shape[1] != shape[2]
                learner.body[i] = _with_adapter(part, shape[0] if maps else shape[-1], self.bottleneck, maps)


restore = restore_for(Settings)


def _sublayers(part: Any) -> list[str]:
    """Names of attention and the feed-forward part within a block; none where they are made of convolutions."""
    from torch import nn

    sublayers = {name: module for name, module in part.named_modules() if f".{name}".endswith(SUBLAYERS)}
    kinds = [{type(m) for m in module.modules()} for module in sublayers.values()]
    linear = all(nn.Linear in k and not any(issubclass(m, nn.Conv2d) for m in k) for k in kinds)
    return list(sublayers) if linear else []


def _output_width(module: Any) -> int:
    """Numbers that a module of a transformer gives for a token."""
    from torch import nn

    return [m for m in module.modules() if isinstance(m, nn.Linear)][-1].out_features


def _with_adapter(inner: Any, width: int, bottleneck: int, maps: bool = False) -> Any:
    """A module with an adapter after it. maps: it gives (b, width, h, w), not (…, width)"""
    from torch import nn

    class WithAdapter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner
            self.down = nn.Conv2d(width, bottleneck, 1) if maps else nn.Linear(width, bottleneck)
            self.up = nn.Conv2d(bottleneck, width, 1) if maps else nn.Linear(bottleneck, width)
            for parameter in self.up.parameters():
                nn.init.zeros_(parameter)

        def forward(self, *args, **kwargs):
            out = self.inner(*args, **kwargs)
            x = out[0] if isinstance(out, tuple) else out
            x = x + self.up(nn.functional.gelu(self.down(x)))
            return (x, *out[1:]) if isinstance(out, tuple) else x

    return WithAdapter().to(next(inner.parameters()).device)
