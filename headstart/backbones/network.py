"""A backbone opened as torch modules, below and above a cut."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headstart.core.backbone import Backbone, Cut, Preprocess
from headstart.core.errors import PlanError
from headstart.core.plan import Above
from headstart.core.plugins import member

if TYPE_CHECKING:
    import torch
    from torch import nn


class Network:
    """A divided backbone, in eval mode and frozen.

    model:  the library's own network, whose parameters the parts share
    stem:   a batch -> the input of blocks[0]
    blocks: as many as the card names, in its order
    pool:   the output of the last block -> embeddings (b, d)
    """

    def __init__(self, stem: nn.Module, blocks: list[nn.Module], pool: Any):
        self.stem, self.blocks, self.pool = stem, blocks, pool
        self.model: nn.Module = pool.model
        self.model.eval().requires_grad_(False)
        for part in (stem, *blocks, pool):
            part.eval()

    def below(self, cut: Cut) -> nn.Module:
        """A batch -> features at the cut: (b, d) at the top, one tensor below it, (hidden, mask) for texts there.

        At 0 nothing is below, not even the stem: the batch comes back unchanged.
        """
        from torch import nn

        # A fresh nn.Sequential around eval-mode children is itself in train mode.
        return nn.Sequential(*self._parts()[: self._first(cut)]).eval()

    def above(self, cut: Cut) -> nn.Sequential:
        """Features at the cut -> embeddings (b, d), as a copy that may be trained, in eval mode. Empty at the top."""
        from torch import nn

        # One deep copy of all, so that modules used in two places stay shared.
        return copy.deepcopy(nn.Sequential(*self._parts()[self._first(cut) :])).eval().requires_grad_(True)

    def tensors(self, part: nn.Module) -> dict[str, torch.Tensor]:
        """Every parameter and buffer of a part once, by the library's own names, sorted."""
        names = _tensor_names(self.model)
        tensors = {id(t): t for t in (*part.parameters(), *part.buffers())}
        return {names[i]: tensors[i] for i in sorted(tensors, key=names.__getitem__)}

    def _parts(self) -> list[nn.Module]:
        return [self.stem, *self.blocks, self.pool]

    def _first(self, cut: Cut) -> int:
        """Number of parts below: the stem belongs to the first block, the pool to the last."""
        return 0 if cut.at == 0 else len(self.blocks) + 2 if cut.top else cut.at + 1


def open_network(card: Backbone) -> Network:
    """Opens the network of a card.

    Raises ArtifactError when the files have changed, PlanError when their blocks have, MissingExtra.
    """
    stem, blocks, pool = member("backbones", card.family).parts(card)
    if len(blocks) != len(card.blocks):
        raise PlanError(f"{card.name} opened with {len(blocks)} blocks where its card names {len(card.blocks)}.")
    return Network(stem, blocks, pool)


def open_above(
    card: Backbone,
    cut: Cut,
    say: Callable[[str, dict], None] = lambda event, facts: None,
    gradient_checkpointing: bool = False,
) -> Above:
    """Opens the blocks above a cut to be trained; nothing is opened at the top. Raises what `open_network` raises."""
    if cut.top:
        from torch import nn

        return Above(nn.Sequential(), card, cut, say, gradient_checkpointing)
    return Above(open_network(card).above(cut), card, cut, say, gradient_checkpointing)


def names_above(above: nn.Sequential) -> dict[str, str]:
    """The library's name of each parameter and buffer above a cut: {"0.norm1.bias": "blocks.9.norm1.bias"}.

    above: of `Network.above`; what was added to it since, such as an adapter, keeps its name there
    """
    if not len(above):
        return {}
    model: Any = getattr(above[-1], "model", above)
    names = _tensor_names(model)
    return {name: names.get(id(t), name) for name, t in (*above.named_parameters(), *above.named_buffers())}


def normalize_pixels(pixels: Any, spec: Preprocess) -> Any:
    """(b, h, w, 3) uint8 tensor -> (b, 3, h, w) float32, normalized as the spec says, channels last in memory."""
    import torch

    x = pixels.permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(spec[name], device=x.device).view(1, 3, 1, 1) for name in ("mean", "std"))
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def _tensor_names(model: nn.Module) -> dict[int, str]:
    """id of each parameter and buffer -> its name in the model."""
    return {id(t): name for name, t in (*model.named_parameters(), *model.named_buffers())}
