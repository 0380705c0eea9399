"""A library's network as stem, blocks and pool, in torch modules, and the proof that they are still the same network.

The only file that imports torch when it is imported: open it inside functions.
What crosses a cut: a batch below block 0, then one tensor (b, ...); for texts the pair (hidden (b, t, d), mask (b, t)).
Functions that a module calls are plain ones that take the network: a deep copy of the module then calls its own copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import nn

TOLERANCE = 1e-5  # of the largest value of an embedding


class Division(NamedTuple):
    """A network taken apart.

    stem:   a batch, {"pixels": ...} or {"input_ids": ..., "attention_mask": ...} -> what blocks[0] takes
    pool:   what the last block gives -> (b, d)
    names:  of the library's module that each block ends with
    shapes: what leaves each block for one example; () where it depends on the input's length
    width:  d
    """

    stem: nn.Module
    blocks: list[nn.Module]
    pool: Pool
    names: list[str]
    shapes: list[tuple[int, ...]]
    width: int


class Stem(nn.Module):
    """Batch -> what blocks[0] takes: modules in a row, on the batch's one tensor."""

    def __init__(self, modules: Iterable[nn.Module]):
        super().__init__()
        self.steps = nn.Sequential(*modules)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.steps(batch["pixels"])


class PatchStem(nn.Module):
    """Batch -> (b, t, d) tokens of a timm vision transformer, with its class token and positions."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self._model = (model,)  # in a tuple: its methods are needed, but its blocks are no parameters of the stem
        for name in ("patch_embed", "pos_drop", "patch_drop", "norm_pre"):
            self.add_module(name, model.get_submodule(name))
        for name, parameter in model.named_parameters(recurse=False):
            self.register_parameter(name, parameter)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        model = self._model[0]
        return model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(batch["pixels"]))))


class WordStem(nn.Module):
    """Batch -> (hidden, mask) of a text encoder."""

    def __init__(self, embeddings: nn.Module):
        super().__init__()
        self.embeddings = embeddings

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.embeddings(input_ids=batch["input_ids"]), batch["attention_mask"]


class Layer(nn.Module):
    """One layer of a text encoder: (hidden, mask) -> (hidden, mask).

    context: (model, layer, hidden, mask) -> what the layer takes beside the hidden states: mask, positions ...
    shared:  modules that the context reads, so that they are listed below every cut that needs them
    """

    def __init__(self, model: nn.Module, layer: nn.Module, context: Callable[..., dict], shared: Sequence[nn.Module]):
        super().__init__()
        self._model, self._context = (model,), context
        self.layer, self.shared = layer, nn.ModuleList(shared)

    def forward(self, crossing: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, mask = crossing
        out = self.layer(hidden, **self._context(self._model[0], self.layer, hidden, mask))
        return (out[0] if isinstance(out, tuple) else out), mask


class Whole(nn.Module):
    """All of a network that cannot be divided, as one block."""

    def __init__(self, model: nn.Module, run: Callable):
        super().__init__()
        self.model, self._run = model, run

    def forward(self, x):
        return self._run(self.model, x)


class Pool(nn.Module):
    """What the last block gives -> (b, d); and the way back to the library's own network.

    rest: modules that belong to no block, listed for the receipt
    """

    def __init__(self, model: nn.Module, run: Callable, rest: Iterable[nn.Module] = ()):
        super().__init__()
        self._model, self._run, self.rest = (model,), run, nn.ModuleList(rest)

    @property
    def model(self) -> nn.Module:
        """The library's own network, whose parameter names a delta uses."""
        return self._model[0]

    def forward(self, x):
        return self._run(self.model, x)


def bias(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(b, t) of ones and zeros -> (b, 1, 1, t) to be added to attention scores: nobody looks at padding."""
    return (1.0 - mask[:, None, None, :].to(like.dtype)) * torch.finfo(like.dtype).min


def mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(b, t, d), (b, t) -> (b, d), padding left out."""
    weights = mask[:, :, None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def first(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(b, t, d) -> (b, d): the class token."""
    return hidden[:, 0]


def largest(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(b, t, d), (b, t) -> (b, d): each number's largest value, padding left out."""
    return hidden.masked_fill(mask[:, :, None] == 0, torch.finfo(hidden.dtype).min).amax(1)


POOLINGS = {"mean": mean, "cls": first, "max": largest}


def pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: str, normalize: bool) -> torch.Tensor:
    """(b, t, d), (b, t) -> (b, d), of length 1 if `normalize`."""
    row = POOLINGS[pooling](hidden, mask)
    return nn.functional.normalize(row, dim=1) if normalize else row


def prove(
    stem: nn.Module, blocks: Sequence[nn.Module], pool: Pool, names: list[str], batch: dict, truth: torch.Tensor
) -> Division | None:
    """The parts as a Division if they give `truth` (b, d), within 1e-5; None if they are another network."""
    shapes = []
    try:
        with torch.inference_mode():
            x = stem(batch)
            for block in blocks:
                x = block(x)
                shapes.append(tuple(x.shape[1:]) if isinstance(x, torch.Tensor) else ())
            row = pool(x)
    except Exception:  # a guess at the order of a stranger's modules fails in as many ways as there are modules
        return None
    if row.shape != truth.shape:
        return None
    apart = float((row - truth).abs().max())
    same = apart <= TOLERANCE * max(1.0, float(truth.abs().max()))  # False for NaN
    return Division(stem, list(blocks), pool, names, shapes, int(truth.shape[-1])) if same else None
