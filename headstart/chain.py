"""A library's network as stem, blocks and pool, in torch modules, and the proof that they are still the same network.

The only file that imports torch when it is imported: open it inside functions.
What crosses a cut: pixels in, one tensor (b, …) between blocks; for texts the pair (hidden (b, t, d), mask (b, t)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import nn

TOLERANCE = 1e-5  # of the largest value of the embedding


class Parts(NamedTuple):
    """A network taken apart.

    stem:   a batch, {"pixels": …} or {"input_ids": …, "attention_mask": …} -> what blocks[0] takes
    pool:   what the last block gives -> (b, d)
    names:  of the module in the library's network that each block ends with
    shapes: what leaves each block for one example; () where it depends on the input's length
    """

    stem: nn.Module
    blocks: list[nn.Module]
    pool: Pool
    names: list[str]
    shapes: list[tuple[int, ...]]


class Stem(nn.Module):
    """Batch -> what blocks[0] takes: modules of the network in a row, on the batch's one tensor."""

    def __init__(self, key: str, modules: Iterable[nn.Module]):
        super().__init__()
        self.key, self.steps = key, nn.Sequential(*modules)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.steps(batch[self.key])


class PatchStem(nn.Module):
    """Batch -> (b, t, d) tokens of a timm vision transformer, with its class token and positions."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self._model = (model,)  # in a tuple: its methods are needed, its blocks are none of the stem's parameters
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


class Whole(nn.Module):
    """All of a network that cannot be divided, as one block."""

    def __init__(self, model: nn.Module, run: Callable):
        super().__init__()
        self.model, self._run = model, run

    def forward(self, x):
        return self._run(self.model, x)


class Layer(nn.Module):
    """One layer of a text encoder: (hidden, mask) -> (hidden, mask).

    context: (hidden, mask) -> what the layer takes beside the hidden states: mask, position biases, rotations …
    """

    def __init__(self, layer: nn.Module, context: Callable[[torch.Tensor, torch.Tensor], dict], shared: Sequence[nn.Module] = ()):
        super().__init__()
        self.layer, self._context, self.shared = layer, context, nn.ModuleList(shared)

    def forward(self, crossing: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, mask = crossing
        out = self.layer(hidden, **self._context(hidden, mask))
        return (out[0] if isinstance(out, tuple) else out), mask


class Pool(nn.Module):
    """What the last block gives -> (b, d), and the way back to the library's own network.

    model: the network that the parts were taken from; its parameter names are the ones that a delta uses
    rest:  modules that belong to no block, in no order: they are listed for the receipt
    """

    def __init__(self, model: nn.Module, run: Callable, rest: dict[str, nn.Module]):
        super().__init__()
        self._model, self._run, self.rest = (model,), run, nn.ModuleDict({k.replace(".", "_"): m for k, m in rest.items()})

    @property
    def model(self) -> nn.Module:
        """The library's own network."""
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
    """(b, t, d), (b, t) -> (b, d), padding left out."""
    return hidden.masked_fill(mask[:, :, None] == 0, torch.finfo(hidden.dtype).min).amax(1)


POOLINGS = {"mean": mean, "cls": first, "max": largest}


def pooled(hidden: torch.Tensor, mask: torch.Tensor | None, pooling: str, normalize: bool) -> torch.Tensor:
    """(b, t, d) -> (b, d), of length 1 if `normalize`."""
    given = mask if mask is not None else hidden.new_ones(hidden.shape[:2])
    row = POOLINGS[pooling](hidden, given)
    return nn.functional.normalize(row, dim=1) if normalize else row


def prove(
    stem: nn.Module, blocks: Sequence[nn.Module], pool: nn.Module, batch: dict[str, torch.Tensor], truth: torch.Tensor
) -> list[tuple[int, ...]] | None:
    """The shape that leaves each block if stem, blocks and pool give `truth` (b, d); None if they are another network."""
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
    same = row.shape == truth.shape and float((row - truth).abs().max()) <= TOLERANCE * max(1.0, float(truth.abs().max()))
    return shapes if same else None


def loaded(model: nn.Module, state: dict[str, torch.Tensor]) -> tuple[list[str], list[str], list[str]]:
    """Loads what fits. Gives the names that are missing from `state`, unknown to `model`, and of another shape."""
    own = model.state_dict()
    other = sorted(k for k in state if k in own and state[k].shape != own[k].shape)
    result = model.load_state_dict({k: v for k, v in state.items() if k not in other}, strict=False)
    return sorted(set(result.missing_keys) - set(other)), sorted(result.unexpected_keys), other
