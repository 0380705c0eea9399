"""A saved model as one torch module, for every format that takes its network from torch.

Imports torch when it is imported: open it inside functions.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headstart.backbones.network import open_network
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.head import Head
from headstart.core.plan import Model, Trained, learned
from headstart.core.plugins import member
from headstart.deployment.export.head_matrices import head_of
from headstart.deployment.export.torch_twins import Bag, Statistics, Vectors
from headstart.training.methods.knn import Neighbours

INPUTS = {"image": ("pixels",), "vector": ("vectors",)}  # texts of every kind: ids and their mask
WORDS = ("input_ids", "attention_mask")
OUTPUTS = ("embedding", "scores", "probabilities")


def inputs_of(model: Model) -> tuple[str, ...]:
    """What the module takes, in order."""
    return INPUTS.get(model.backbone.preprocess.kind, WORDS)


def ported(model: Model) -> Ported:
    """The model's network and head, in eval mode and frozen, with adapters merged into what they adapt.

    Raises PlanError for a backbone or a head that has no such form.
    """
    fitted = learned(model.fitted)
    if isinstance(fitted, Trained):
        learner = copy.deepcopy(fitted.learner).cpu()
        if learner.adapter:
            _merge(learner)
        rows: nn.Module = _Tuned(_below(model.backbone, model.cut), learner, model.cut)
    else:
        rows = _Top(model.backbone, model.cut)
    head = head_of(model.fitted)
    made = Ported(model, rows, head_module(head))
    return made.eval().requires_grad_(False)


def example(model: Model) -> tuple[torch.Tensor, ...]:
    """Two inputs of noise, as `Ported` takes them."""
    spec, rng = model.backbone.preprocess, np.random.default_rng(0)
    if spec.kind == "image":
        size: Any = spec["input_size"]
        return (torch.from_numpy(rng.integers(0, 256, (2, *size)).astype(np.float32)),)
    if spec.kind == "vector":
        return (torch.from_numpy(rng.standard_normal((2, model.backbone.width)).astype(np.float32)),)
    ids = torch.from_numpy(rng.integers(5, 20, (2, 7)))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    return ids, mask


def shapes(model: Model) -> tuple[dict[int, Any], ...]:
    """Which dimensions of each input are free: how many inputs, and tokens of the longest."""
    free = torch.export.Dim.DYNAMIC
    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    most = dict(model.backbone.preprocess.settings).get("max_length")
    tokens = torch.export.Dim("tokens", min=2, max=int(str(most))) if most else free
    names = inputs_of(model)
    return tuple({**batch, 1: tokens} if name in WORDS else batch for name in names)


class Ported(nn.Module):
    """What preprocessing gives -> embedding (b, d), scores (b, k), probabilities (b, k), all float32.

    Photos: (b, 3, h, w) float32 in 0..255, resized and cropped; they are normalised inside. Texts: token ids and their
    mask, (b, t) int64, one window a row.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: Model, rows: nn.Module, head: nn.Module):
        super().__init__()
        spec = model.backbone.preprocess
        self.rows, self.head, self.link, self.kind = rows, head, model.objective.link, spec.kind
        if spec.kind == "image":
            for name in ("mean", "std"):
                values: Any = spec[name]
                self.register_buffer(name, torch.tensor(values, dtype=torch.float32)[:, None, None])

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Embedding, scores, probabilities."""
        if self.kind == "image":
            row = self.rows({"pixels": (inputs[0] / 255 - self.mean) / self.std, "plain": inputs[0] / 255})
        elif self.kind == "vector":
            row = self.rows({"vectors": inputs[0]})
        else:
            row = self.rows(dict(zip(WORDS, inputs, strict=True)))
        scores = self.head(row)
        return row, scores, linked(scores, self.link)


class Pixels(nn.Module):
    """The same for photos as Pillow and numpy hold them, (b, h, w, 3) uint8 after the crop."""

    def __init__(self, rest: Ported):
        super().__init__()
        self.rest = rest

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Embedding, scores, probabilities."""
        return self.rest(inputs[0].permute(0, 3, 1, 2).float())


def linked(scores: torch.Tensor, link: str) -> torch.Tensor:
    """Scores as an objective makes them probabilities; a number stays what it is, in spreads from the mean."""
    if link == "softmax":
        return scores.softmax(1)
    return scores.sigmoid() if link == "sigmoid" else scores * 1.0


class _Top(nn.Module):
    """A backbone's rows at its top; with the floor's numbers beside them where the card says so."""

    def __init__(self, card: Backbone, cut: Cut):
        super().__init__()
        beside = dict(card.preprocess.settings).get("beside")
        if beside not in (None, "stats"):
            raise PlanError(f"{card.name} has {beside} beside it, which has no form as a graph.")
        if beside:
            settings = tuple((k, v) for k, v in card.preprocess.settings if k != "beside")
            card = replace(card, preprocess=replace(card.preprocess, settings=settings))
        self.below = _below(card, cut)
        self.beside = Statistics() if beside else None

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        row = self.below(batch)
        return row if self.beside is None else torch.cat([row, self.beside(batch["plain"])], 1)


class _Tuned(nn.Module):
    """What a cut gives, kept in half precision as the cache keeps it, and what was learned above it."""

    def __init__(self, below: nn.Module, learner: Any, cut: Cut):
        super().__init__()
        self.below, self.body, self.cut = below, learner.body, cut
        self.unit = learner.unit and learner.card.preprocess.kind == "text"

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        crossing: Any = {k: v for k, v in batch.items() if k != "plain"}
        if not self.cut.at:
            row = self.body(crossing)
        else:
            crossing = self.below(batch)
            if isinstance(crossing, tuple):
                row = self.body((crossing[0].half().float(), crossing[1]))
            else:
                row = self.body(crossing if self.cut.top else crossing.half().float())
        return F.normalize(row, dim=1) if self.unit else row


class _Plain(nn.Module):
    """Photos without the copy that only the floor looks at, into the network below a cut."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, batch: dict[str, torch.Tensor]) -> Any:
        return self.module({k: v for k, v in batch.items() if k != "plain"})


class _Take(nn.Module):
    """One of the inputs, as it is."""

    def __init__(self, name: str, then: nn.Module):
        super().__init__()
        self.name, self.then = name, then

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.then(batch[self.name])


def _below(card: Backbone, cut: Cut) -> nn.Module:
    """A batch -> what leaves the cut. Raises PlanError where functions stand there that nobody wrote again."""
    kind = card.preprocess.kind
    if cut.at == 0:
        return nn.Identity()
    if kind == "vector":
        return _Take("vectors", nn.Identity())
    if member("backbones", card.family).runs(card, cut) != "numpy":
        return _Plain(open_network(card).below(cut))
    if card.family == "stats":
        return _Take("plain", Statistics()) if kind == "image" else Bag()
    if kind == "pieces" and card.family == "own":
        _, blocks, _ = member("backbones", "own").parts(card)
        return Vectors(blocks[0].tensors)
    raise PlanError(f"{card.name} is made of plain functions that have no form as a graph: it cannot be exported.")


def _merge(learner: Any) -> None:
    """Adapters become part of the layers that they adapt; those that cannot, as prompts cannot, stay beside them."""
    learner.adapter[0].merge_adapter()


def head_module(head: Head | Neighbours) -> nn.Module:
    """A head on embeddings (b, d) -> scores (b, k)."""
    return _Layers(head) if isinstance(head, Head) else _Votes(head)


class _Layers(nn.Module):
    """Matrices with ReLU between them, on rows or on rows of length 1."""

    def __init__(self, head: Head):
        super().__init__()
        self.unit, self.count = head.unit, len(head.layers)
        for i, (weight, bias) in enumerate(head.layers):
            self.register_buffer(f"weight{i}", torch.from_numpy(weight.astype(np.float32)))
            self.register_buffer(f"bias{i}", torch.from_numpy(bias.astype(np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        held = dict(self.named_buffers())
        if self.unit:
            x = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
        for i in range(self.count):
            x = (x.relu() if i else x) @ held[f"weight{i}"] + held[f"bias{i}"]
        return x


class _Votes(nn.Module):
    """Nearest neighbours, as methods/knn.py votes."""

    def __init__(self, votes: Any):
        super().__init__()
        self.k, self.temperature, self.link = min(votes.k, len(votes.x)), votes.temperature, votes.link
        for name in ("x", "t", "mean", "prior"):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(getattr(votes, name), np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        held = dict(self.named_buffers())
        centred = x - held["mean"]
        unit = centred / centred.norm(dim=1, keepdim=True).clamp(min=1e-12)
        near, found = (unit @ held["x"].T).topk(self.k, dim=1)
        weight, votes = torch.exp(5 * (near - 1))[:, :, None], held["t"][found]
        if self.link == "identity":
            return (weight * votes).sum(1) / weight.sum(1)
        prior = held["prior"]
        share = ((weight * votes).sum(1) + 0.5 * prior + 1e-3) / (weight.sum(1) + 0.5 + 1e-3 * len(prior))
        share = share.clamp(1e-6, 1 - 1e-6)
        scores = share.log() if self.link == "softmax" else (share / (1 - share)).log()
        return scores / self.temperature
