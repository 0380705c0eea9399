"""A backbone that has been opened: torch lives from here on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.plugins import member

if TYPE_CHECKING:
    import torch
    from torch import nn
from typing import TYPE_CHECKING

from headstart.core.backbone import Preprocess

if TYPE_CHECKING:
    from torch import nn
from headstart.core.plan import Above


class Network:
    """A backbone's parts, in eval mode and frozen.

    model:  the library's own network, from which the parts were taken; they share its parameters
    stem:   a batch -> what blocks[0] takes
    blocks: as many as the card names, in its order
    pool:   what the last block gives -> (b, d)
    """

    def __init__(self, stem: nn.Module, blocks: list[nn.Module], pool: Any):
        self.stem, self.blocks, self.pool = stem, blocks, pool
        self.model: nn.Module = pool.model
        self.model.eval().requires_grad_(False)
        for part in (stem, *blocks, pool):
            part.eval()

    def below(self, cut: Cut) -> nn.Module:
        """A batch -> what leaves the cut: (b, d) at the top, one tensor below it, (hidden, mask) for texts there.

        At 0 nothing is below, the stem neither: the batch comes back as it went in.
        """
        from torch import nn

        # A fresh nn.Sequential around eval-mode children is itself in train mode.
        return nn.Sequential(*self._parts()[: self._first(cut)]).eval()

    def above(self, cut: Cut) -> nn.Sequential:
        """What leaves the cut -> (b, d), as a copy that may learn, in eval mode. Empty at the top."""
        from torch import nn

        # One deep copy of all: modules that stand in two places stay one.
        return copy.deepcopy(nn.Sequential(*self._parts()[self._first(cut) :])).eval().requires_grad_(True)

    def tensors(self, part: nn.Module) -> dict[str, torch.Tensor]:
        """Every parameter and buffer of a part, by the library's own names."""
        return {name: tensor for name, tensor in named(part, self.model)}

    def _parts(self) -> list[nn.Module]:
        return [self.stem, *self.blocks, self.pool]

    def _first(self, cut: Cut) -> int:
        """How many parts are below: the stem comes with the first block, the pool with the last."""
        return 0 if cut.at == 0 else len(self.blocks) + 2 if cut.top else cut.at + 1


def open_above(
    card: Backbone, cut: Cut, say: Callable[[str, dict], None] = lambda event, facts: None, thrifty: bool = False
) -> Above:
    """Opens a backbone for what learns above a cut; nothing is opened at the top. Raises what `open_network` raises."""
    if cut.top:
        from torch import nn

        return Above(nn.Sequential(), card, cut, say, thrifty)
    return Above(open_network(card).above(cut), card, cut, say, thrifty)


def named(part: nn.Module, model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Every parameter and buffer of `part` once, with the name that it has in `model`."""
    own = {id(t): name for name, t in (*model.named_parameters(), *model.named_buffers())}
    held = {id(t): t for t in (*part.parameters(), *part.buffers())}
    return sorted((own[i], t) for i, t in held.items())


def names_above(above: nn.Sequential) -> dict[str, str]:
    """Of what `Network.above` gave, each parameter's and buffer's name there: {"0.norm1.bias": "blocks.9.norm1.bias"}.

    What was added to it since keeps its name within the row of parts.
    """
    if not len(above):
        return {}
    model: Any = getattr(above[-1], "model", above)
    own = {id(t): name for name, t in (*model.named_parameters(), *model.named_buffers())}
    return {name: own.get(id(t), name) for name, t in (*above.named_parameters(), *above.named_buffers())}


def open_network(card: Backbone) -> Network:
    """Opens the weights that the card names.

    Raises ArtifactError when the files are not the card's any more, PlanError when their blocks are not, MissingExtra.
    """
    stem, blocks, pool = member("backbones", card.family).parts(card)
    if len(blocks) != len(card.blocks):
        raise PlanError(f"{card.name} opened with {len(blocks)} blocks where its card names {len(card.blocks)}.")
    return Network(stem, blocks, pool)


def normalised(pixels: Any, spec: Preprocess) -> Any:
    """(b, h, w, 3) uint8 tensor -> (b, 3, h, w) float32 with the student's mean and spread, channels last in memory."""
    import torch

    x = pixels.permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(spec[name], device=x.device).view(1, 3, 1, 1) for name in ("mean", "std"))
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)
