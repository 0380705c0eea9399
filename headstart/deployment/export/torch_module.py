"""A saved model as one torch module, for every format that exports from torch.

Imports torch: import it inside functions.
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
from headstart.backbones.providers import stats
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.head import Head
from headstart.core.plan import Model, Trained, winner_of
from headstart.core.plugins import member
from headstart.deployment.export.head_matrices import head_of
from headstart.deployment.export.parity import INPUT_NAMES, TOKEN_INPUTS
from headstart.deployment.export.torch_twins import HashedBag, ImageStatistics, StaticVectors
from headstart.training.methods.knn import Neighbours


def input_names(model: Model) -> tuple[str, ...]:
    """The names of the module's inputs, in order."""
    name = INPUT_NAMES.get(model.backbone.preprocess.kind)
    return (name,) if name else TOKEN_INPUTS


def build_torch_module(model: Model) -> TorchModule:
    """The model's network and head in one module, in eval mode, with adapters merged into the layers they adapt.

    Raises PlanError for a backbone or a head that has no such form.
    """
    trained = winner_of(model.fitted)
    if isinstance(trained, Trained):
        learner = copy.deepcopy(trained.learner).cpu()
        if learner.adapter:
            learner.adapter[0].merge_adapter()  # what cannot be merged, as prompts, stays beside the layers
        rows: nn.Module = _Tuned(_network_below(model.backbone, model.cut), learner, model.cut)
    else:
        rows = _Frozen(model.backbone, model.cut)
    return TorchModule(model, rows, head_module(head_of(model.fitted))).eval().requires_grad_(False)


def example_inputs(model: Model) -> tuple[torch.Tensor, ...]:
    """A batch of two random inputs, as `TorchModule` takes them."""
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


def dynamic_shapes(model: Model) -> tuple[dict[int, Any], ...]:
    """The dynamic dimensions of each input: the batch size, and the number of tokens."""
    dynamic = torch.export.Dim.DYNAMIC
    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    max_length = dict(model.backbone.preprocess.settings).get("max_length")
    tokens = torch.export.Dim("tokens", min=2, max=int(str(max_length))) if max_length else dynamic
    names = input_names(model)
    return tuple({**batch, 1: tokens} if name in TOKEN_INPUTS else batch for name in names)


class TorchModule(nn.Module):
    """Preprocessed inputs -> embedding (b, d), scores (b, k), probabilities (b, k), all float32.

    Images: (b, 3, h, w) float32 in 0..255, resized and cropped; they are normalised inside. Texts: token ids and their
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
            row = self.rows(dict(zip(TOKEN_INPUTS, inputs, strict=True)))
        scores = self.head(row)
        return row, scores, to_probabilities(scores, self.link)


class PixelModule(nn.Module):
    """The same for images as Pillow and numpy hold them, (b, h, w, 3) uint8 after the crop."""

    def __init__(self, module: TorchModule):
        super().__init__()
        self.rest = module

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Embedding, scores, probabilities."""
        return self.rest(inputs[0].permute(0, 3, 1, 2).float())


def to_probabilities(scores: torch.Tensor, link: str) -> torch.Tensor:
    """Probabilities by the objective's link; a number stays as it is, in standard deviations from the mean."""
    if link == "softmax":
        return scores.softmax(1)
    return scores.sigmoid() if link == "sigmoid" else scores * 1.0


class _Frozen(nn.Module):
    """A frozen backbone's embeddings; with image statistics beside them where the card says so."""

    def __init__(self, card: Backbone, cut: Cut):
        super().__init__()
        beside = dict(card.preprocess.settings).get("beside")
        if beside not in (None, "stats"):
            raise PlanError(f"{card.name} has {beside} beside it, which has no form as a graph.")
        if beside:
            settings = tuple((k, v) for k, v in card.preprocess.settings if k != "beside")
            preprocess = replace(card.preprocess, settings=settings)
            card = replace(card, preprocess=preprocess, width=card.width - stats.WIDTH)
        self.below = _network_below(card, cut)
        self.beside = ImageStatistics() if beside else None

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        row = self.below(batch)
        return row if self.beside is None else torch.cat([row, self.beside(batch["plain"])], 1)


class _Tuned(nn.Module):
    """The network below the cut, its features rounded to float16 as in the cache, and the trained part above it."""

    def __init__(self, below: nn.Module, learner: Any, cut: Cut):
        super().__init__()
        self.below, self.body, self.cut = below, learner.body, cut
        self.unit = learner.normalize and learner.card.preprocess.kind == "text"

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


class _WithoutPlain(nn.Module):
    """A network below a cut, without the input that only image statistics read."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, batch: dict[str, torch.Tensor]) -> Any:
        return self.module({k: v for k, v in batch.items() if k != "plain"})


class _Input(nn.Module):
    """A module on one of the inputs."""

    def __init__(self, name: str, then: nn.Module):
        super().__init__()
        self.name, self.then = name, then

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.then(batch[self.name])


def _network_below(card: Backbone, cut: Cut) -> nn.Module:
    """A batch -> features at the cut. Raises PlanError for a numpy backbone without a torch twin."""
    kind = card.preprocess.kind
    if cut.at == 0:
        return nn.Identity()
    if kind == "vector":
        return _Input("vectors", nn.Identity())
    if member("backbones", card.family).runs(card, cut) != "numpy":
        return _WithoutPlain(open_network(card).below(cut))
    if card.family == "stats":
        return _Input("plain", ImageStatistics()) if kind == "image" else HashedBag()
    if kind == "pieces" and card.family == "own":
        _, blocks, _ = member("backbones", "own").parts(card)
        return StaticVectors(blocks[0].tensors)
    raise PlanError(f"{card.name} is made of plain functions that have no form as a graph: it cannot be exported.")


def head_module(head: Head | Neighbours) -> nn.Module:
    """A head on embeddings (b, d) -> scores (b, k)."""
    return _MatrixHead(head) if isinstance(head, Head) else _NeighborHead(head)


class _MatrixHead(nn.Module):
    """Linear layers with ReLU between them, on embeddings or on those scaled to length 1."""

    def __init__(self, head: Head):
        super().__init__()
        self.unit, self.count = head.unit, len(head.layers)
        for i, (weight, bias) in enumerate(head.layers):
            self.register_buffer(f"weight{i}", torch.from_numpy(weight.astype(np.float32)))
            self.register_buffer(f"bias{i}", torch.from_numpy(bias.astype(np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        buffers = dict(self.named_buffers())
        if self.unit:
            x = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
        for i in range(self.count):
            x = (x.relu() if i else x) @ buffers[f"weight{i}"] + buffers[f"bias{i}"]
        return x


class _NeighborHead(nn.Module):
    """k nearest neighbours, as in methods/knn.py."""

    def __init__(self, knn: Any):
        super().__init__()
        self.k, self.temperature, self.link = min(knn.k, len(knn.x)), knn.temperature, knn.link
        for name in ("x", "t", "mean", "prior"):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(getattr(knn, name), np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        buffers = dict(self.named_buffers())
        centred = x - buffers["mean"]
        unit = centred / centred.norm(dim=1, keepdim=True).clamp(min=1e-12)
        similarity, nearest = (unit @ buffers["x"].T).topk(self.k, dim=1)
        weight, targets = torch.exp(5 * (similarity - 1))[:, :, None], buffers["t"][nearest]
        if self.link == "identity":
            return (weight * targets).sum(1) / weight.sum(1)
        prior = buffers["prior"]
        probabilities = ((weight * targets).sum(1) + 0.5 * prior + 1e-3) / (weight.sum(1) + 0.5 + 1e-3 * len(prior))
        probabilities = probabilities.clamp(1e-6, 1 - 1e-6)
        scores = probabilities.log() if self.link == "softmax" else (probabilities / (1 - probabilities)).log()
        return scores / self.temperature
