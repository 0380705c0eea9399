"""A library's network as stem, blocks and pool, in torch modules, and the proof that they are still the same network.

The only file that imports torch when it is imported: open it inside functions.
What crosses a cut: a batch below block 0, then one tensor (b, ...); for texts the pair (hidden (b, t, d), mask (b, t)).
Functions that a module calls are plain ones that take the network: a deep copy of the module then calls its own copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from headstart.core.errors import PlanError

TOLERANCE = 1e-5  # of the largest value of an embedding

# How families of timm lay out forward_features: (stem, bodies that hold the blocks, tail), by names of children.
# A guess only: prove() decides, and what no row describes stays whole.
TRUNKS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (("conv1", "bn1", "act1", "maxpool"), ("layer1", "layer2", "layer3", "layer4"), ()),  # ResNet and its relatives
    (("conv_stem", "bn1"), ("blocks",), ("conv_head", "bn2")),  # EfficientNet, MobileNetV2
    (("conv_stem", "bn1"), ("blocks",), ()),  # MobileNetV3: its conv_head comes after pooling
    (("patch_embed", "pos_drop", "patch_drop", "norm_pre"), ("blocks",), ("norm",)),  # ViT, DeiT, DINO
    (("stem",), ("s1", "s2", "s3", "s4"), ("final_conv",)),  # RegNet
    (("stem",), ("stages",), ("norm_pre",)),  # ConvNeXt
    (("stem",), ("stages",), ("final_conv", "final_act")),  # NFNet
    (("stem",), ("stages",), ("final_conv",)),  # RepVGG, MobileOne and other ByobNets
    (("stem",), ("stages",), ("norm",)),  # MaxViT, CoAtNet
    (("stem",), ("stages",), ()),  # PoolFormer and other MetaFormers
    (("stem",), ("blocks",), ("norm",)),  # MLP-Mixer, gMLP
    (("patch_embed",), ("layers",), ("norm",)),  # Swin
    ((), ("features",), ()),  # VGG, DenseNet
)


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
        """The modules, one after the other."""
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
        """What timm does before its blocks."""
        model: Any = self._model[0]
        return model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(batch["pixels"]))))


class WordStem(nn.Module):
    """Batch -> (hidden, mask) of a text encoder."""

    def __init__(self, embeddings: nn.Module, project: nn.Module | None = None):
        super().__init__()
        self.embeddings, self.project = embeddings, project or nn.Identity()

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeds; the mask goes along."""
        return self.project(self.embeddings(input_ids=batch["input_ids"])), batch["attention_mask"]


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
        """Runs the layer; the mask goes along."""
        hidden, mask = crossing
        out = self.layer(hidden, **self._context(self._model[0], self.layer, hidden, mask))
        return (out[0] if isinstance(out, tuple) else out), mask


class Whole(nn.Module):
    """All of a network that cannot be divided, as one block."""

    def __init__(self, model: nn.Module, run: Callable):
        super().__init__()
        self.model, self._run = model, run

    def forward(self, x):
        """All of it."""
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
        """Tail and pooling."""
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


def divide(model: nn.Module, size: tuple[int, ...], heads: tuple[str, ...] = ()) -> Division:
    """A timm network at its finest proven cuts; one block, the whole of it, where no layout of ours describes it.

    size:  (3, h, w) of its input.  heads: names of classifier modules, which are dropped: nothing after the
    embedding is borrowed
    Raises PlanError when it has no single embedding before its classifier.
    """
    model.eval()
    noise = np.random.default_rng(0).standard_normal((1, *size)).astype(np.float32)
    batch = {"pixels": torch.from_numpy(noise)}
    try:
        with torch.inference_mode():
            truth = _head(model, model.forward_features(batch["pixels"]))  # type: ignore[operator]
    except Exception as error:  # what timm's models raise here is not one type
        raise PlanError(f"{type(model).__name__} of timm gives no embedding at {size}: {error}") from error
    if not isinstance(truth, torch.Tensor) or truth.ndim != 2:
        raise PlanError(
            f"{type(model).__name__} of timm has no single vector before its classifier; it cannot be borrowed."
        )
    for head in heads:
        model.set_submodule(head, nn.Identity())
    children = dict(model.named_children())
    for stem, bodies, tail in TRUNKS:
        if not {*stem, *bodies, *tail} <= children.keys():
            continue
        rest = [module for name, module in children.items() if name not in (*stem, *bodies)]
        start = PatchStem(model) if stem[0:1] == ("patch_embed",) and len(stem) > 1 else Stem(children[n] for n in stem)
        for fine in (True, False):
            groups = _groups(model, bodies, fine)
            blocks = [_row([model.get_submodule(path) for path in group]) for group in groups]
            pool = Pool(model, _Tail(tail), rest)
            found = prove(start, blocks, pool, [group[-1] for group in groups], batch, truth)
            if found is not None:
                return found
    whole = prove(Stem(()), [Whole(model, _features)], Pool(model, _head), ["whole"], batch, truth)
    if whole is None:
        raise PlanError(
            f"{type(model).__name__} of timm gives another embedding for the same input; it cannot be kept."
        )
    return whole


class _Tail:
    """What forward_features does after the blocks, and the head without its classifier."""

    def __init__(self, tail: tuple[str, ...]):
        self.tail = tail

    def __call__(self, model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        for name in self.tail:
            x = model.get_submodule(name)(x)
        return _head(model, x)


def _features(model, x):
    return model.forward_features(x)


def _head(model, x):
    return model.forward_head(x, pre_logits=True)


def _row(modules: list[nn.Module]) -> nn.Module:
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


def _groups(model: nn.Module, bodies: tuple[str, ...], fine: bool) -> list[list[str]]:
    """Paths of the modules that make up each block, in order."""
    groups: list[list[str]] = []
    open_ended = False  # the last group has nothing in it yet that learns
    for path, starts in (step for body in bodies for step in _steps(body, model.get_submodule(body), fine)):
        module = model.get_submodule(path)
        light = isinstance(module, nn.BatchNorm2d) or not any(True for _ in module.parameters())
        if groups and (light or open_ended or not starts):  # activations, pooling and norms go with what they follow
            groups[-1].append(path)
        else:
            groups.append([path])
            open_ended = True
        open_ended = open_ended and light
    return groups


def _steps(body: str, module: nn.Module, fine: bool) -> Iterator[tuple[str, bool]]:
    """Paths in order, and whether a block may start there; `fine` looks into stages."""
    for name, child in module.named_children():
        path = f"{body}.{name}"
        inner = [n for n, _ in child.named_children()]
        if fine and isinstance(child, nn.Sequential) and inner:
            yield from ((f"{path}.{n}", True) for n in inner)
        elif fine and inner == ["downsample", "blocks"]:  # a stage of ConvNeXt or Swin
            yield f"{path}.downsample", True
            blocks = [n for n, _ in child.get_submodule("blocks").named_children()]
            yield from ((f"{path}.blocks.{n}", i > 0) for i, n in enumerate(blocks))
        else:
            yield path, True
