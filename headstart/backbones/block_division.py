"""Block division: a library's network as stem, blocks and pool in a row, proven to give the library's own embeddings.

The network can be cut between any two blocks. What crosses a cut: a batch below block 0, then one tensor (b, ...); for
texts the pair (hidden (b, t, d), mask (b, t)).
Imports torch on import: import this file inside functions.
Functions that a module calls are plain ones that take the network: a deep copy of the module then calls its own copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from headstart.core.backbone import Backbone
from headstart.core.errors import PlanError

TOLERANCE = 1e-5  # of the largest value of the embeddings

# How families of timm lay out forward_features: (stem, stages or lists of blocks, tail), by names of children.
# A guess only: prove() decides, and a network that fits no row stays undivided.
TIMM_LAYOUTS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
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
    """A divided network: pool(blocks[-1](... blocks[0](stem(batch)))) are its embeddings.

    stem:   a batch, {"pixels": ...} or {"input_ids": ..., "attention_mask": ...} -> the input of blocks[0]
    pool:   the output of the last block -> embeddings (b, d)
    names:  of the library's module that each block ends with
    shapes: of each block's output for one example; () where it depends on the input's length
    width:  d
    """

    stem: nn.Module
    blocks: list[nn.Module]
    pool: Pool
    names: list[str]
    shapes: list[tuple[int, ...]]
    width: int

    def parts_of(self, card: Backbone) -> tuple[nn.Module, list[nn.Module], nn.Module]:
        """(stem, blocks, pool). Raises PlanError when the network is divided otherwise than its card says.

        Of a card with statistics beside the network's own numbers, the width is not compared.
        """
        if [b.name for b in card.blocks] != self.names:
            raise PlanError(
                f"{card.name} opened with {len(self.names)} blocks where its card names {len(card.blocks)}: the "
                "installed libraries lay it out otherwise than when the card was made. Install the versions of then, "
                "or fit again."
            )
        beside = "beside" in dict(card.preprocess.settings)
        if [b.shape for b in card.blocks] != self.shapes or (card.width != self.width and not beside):
            raise PlanError(
                f"{card.name} gives {self.width} numbers, and blocks of other shapes than its card says, which names "
                f"{card.width}: card and weights are not of one network. Make its card again, or do not trust it."
            )
        return self.stem, self.blocks, self.pool


class Stem(nn.Module):
    """Batch -> the input of blocks[0]: modules in a row, on the pixels."""

    def __init__(self, modules: Iterable[nn.Module]):
        super().__init__()
        self.steps = nn.Sequential(*modules)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The modules, one after the other."""
        return self.steps(batch["pixels"])


class PatchStem(nn.Module):
    """Batch -> (b, t, d) tokens of a timm vision transformer, with class token and position embeddings."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self._model = (model,)  # in a tuple: its methods are needed, but its blocks are no parameters of the stem
        for name in ("patch_embed", "pos_drop", "patch_drop", "norm_pre"):
            self.add_module(name, model.get_submodule(name))
        for name, parameter in model.named_parameters(recurse=False):
            self.register_parameter(name, parameter)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The part of forward_features before the blocks."""
        model: Any = self._model[0]
        return model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(batch["pixels"]))))


class TextStem(nn.Module):
    """Batch -> (hidden, mask) of a text encoder."""

    def __init__(self, embeddings: nn.Module, project: nn.Module | None = None):
        super().__init__()
        self.embeddings, self.project = embeddings, project or nn.Identity()

    def forward(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token embeddings; the mask is passed on."""
        return self.project(self.embeddings(input_ids=batch["input_ids"])), batch["attention_mask"]


class EncoderLayer(nn.Module):
    """One layer of a text encoder: (hidden, mask) -> (hidden, mask).

    context: (model, layer, hidden, mask) -> the layer's other arguments: attention mask, positions ...
    shared:  modules that the context uses, so that they count as parameters of this layer
    """

    def __init__(self, model: nn.Module, layer: nn.Module, context: Callable[..., dict], shared: Sequence[nn.Module]):
        super().__init__()
        self._model, self._context = (model,), context
        self.layer, self.shared = layer, nn.ModuleList(shared)

    def forward(self, x: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Runs the layer; the mask is passed on."""
        hidden, mask = x
        out = self.layer(hidden, **self._context(self._model[0], self.layer, hidden, mask))
        return (out[0] if isinstance(out, tuple) else out), mask


class FunctionBlock(nn.Module):
    """A module as one block, run by a function of it: a layer, or all of a network that cannot be divided."""

    def __init__(self, model: nn.Module, run: Callable):
        super().__init__()
        self.model, self._run = model, run

    def forward(self, x):
        """Runs the function."""
        return self._run(self.model, x)


class Pool(nn.Module):
    """Output of the last block -> embeddings (b, d). Also holds the library's own network.

    rest: modules that belong to no block, registered here so that the receipt covers them
    """

    def __init__(self, model: nn.Module, run: Callable, rest: Iterable[nn.Module] = ()):
        super().__init__()
        self._model, self._run, self.rest = (model,), run, nn.ModuleList(rest)

    @property
    def model(self) -> nn.Module:
        """The library's own network, whose parameter names deltas use."""
        return self._model[0]

    def forward(self, x):
        """Runs the tail and pools."""
        return self._run(self.model, x)


def prove(
    stem: nn.Module, blocks: Sequence[nn.Module], pool: Pool, names: list[str], batch: dict, truth: torch.Tensor
) -> Division | None:
    """The Division into these parts if they give `truth` (b, d) within TOLERANCE; None if they do not."""
    shapes = []
    try:
        with torch.inference_mode():
            x = stem(batch)
            for block in blocks:
                x = block(x)
                shapes.append(tuple(x.shape[1:]) if isinstance(x, torch.Tensor) else ())
            row = pool(x)
    except Exception:  # a wrong guess at the order of modules fails in as many ways as there are modules
        return None
    if row.shape != truth.shape:
        return None
    difference = float((row - truth).abs().max())
    equal = difference <= TOLERANCE * float(truth.abs().max())  # False for NaN
    return Division(stem, list(blocks), pool, names, shapes, int(truth.shape[-1])) if equal else None


def divide(model: nn.Module, size: tuple[int, ...], heads: tuple[str, ...] = ()) -> Division:
    """The finest proven division of a timm network; one block, all of it, where no known layout fits.

    size:  (3, h, w) of its input.  heads: names of classifier modules, which are replaced by identities
    Raises PlanError when it has no single embedding before its classifier.
    """
    model.eval()
    name = f"{type(model).__name__} of timm"
    noise = np.random.default_rng(0).standard_normal((1, *size)).astype(np.float32)
    batch = {"pixels": torch.from_numpy(noise)}
    try:
        with torch.inference_mode():
            truth = _pre_logits(model, model.forward_features(batch["pixels"]))  # type: ignore[operator]
    except Exception as error:  # what timm's models raise here is not one type
        raise PlanError(f"{name} gives no embedding at {size}: {error}") from error
    if not isinstance(truth, torch.Tensor) or truth.ndim != 2:
        raise PlanError(f"{name} has no single vector before its classifier; it cannot be used.")
    modules = {path for path, _ in model.named_modules() if path}
    for head in heads:
        if head not in modules:
            raise PlanError(f"{name} has no {head!r}, which its configuration names as its classifier.")
        model.set_submodule(head, nn.Identity())
    children = dict(model.named_children())
    for stem, stages, tail in TIMM_LAYOUTS:
        if not {*stem, *stages, *tail} <= children.keys():
            continue
        rest = [module for child, module in children.items() if child not in (*stem, *stages)]
        stem_module = PatchStem(model) if "pos_drop" in stem else Stem(children[n] for n in stem)
        for fine in (True, False):
            groups = _block_paths(model, stages, fine)
            blocks = [_sequential([model.get_submodule(path) for path in group]) for group in groups]
            pool = Pool(model, partial(_tail_and_pool, tail), rest)
            division = prove(stem_module, blocks, pool, [group[-1] for group in groups], batch, truth)
            if division is not None:
                return division
    return undivided(name, FunctionBlock(model, _forward_features), Pool(model, _pre_logits), batch, truth, Stem(()))


def undivided(
    name: str, block: FunctionBlock, pool: Pool, batch: dict, truth: torch.Tensor, stem: nn.Module | None = None
) -> Division:
    """All of a network as one block. Raises PlanError when it does not give `truth` (b, d) again."""
    division = prove(stem or nn.Identity(), [block], pool, ["whole"], batch, truth)
    if division is None:
        raise PlanError(f"{name} gives another embedding for the same input; it cannot be kept.")
    return division


def _tail_and_pool(tail: tuple[str, ...], model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What forward_features does after the blocks, and the head's pooling without its classifier."""
    for name in tail:
        x = model.get_submodule(name)(x)
    return _pre_logits(model, x)


def _forward_features(model, x):
    return model.forward_features(x)


def _pre_logits(model, x):
    return model.forward_head(x, pre_logits=True)


def _sequential(modules: list[nn.Module]) -> nn.Module:
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


def _block_paths(model: nn.Module, stages: tuple[str, ...], fine: bool) -> list[list[str]]:
    """Paths of the modules that make up each block, in order."""
    groups: list[list[str]] = []
    open_ended = False  # the last group has no trainable parameters yet
    paths = [pair for stage in stages for pair in _module_paths(stage, model.get_submodule(stage), fine)]
    for path, starts_block in paths:
        module = model.get_submodule(path)
        no_weights = isinstance(module, nn.BatchNorm2d) or not any(True for _ in module.parameters())
        # Activations, pooling and norms join the module that they follow.
        if groups and (no_weights or open_ended or not starts_block):
            groups[-1].append(path)
        else:
            groups.append([path])
            open_ended = True
        open_ended = open_ended and no_weights
    return groups


def _module_paths(stage: str, module: nn.Module, fine: bool) -> Iterator[tuple[str, bool]]:
    """Paths of modules in order, and whether a block may start there; `fine` descends into stages."""
    for name, child in module.named_children():
        path = f"{stage}.{name}"
        inner = [n for n, _ in child.named_children()]
        if fine and isinstance(child, nn.Sequential) and inner:
            yield from ((f"{path}.{n}", True) for n in inner)
        elif fine and inner == ["downsample", "blocks"]:  # a stage of ConvNeXt or Swin
            yield f"{path}.downsample", True
            blocks = [n for n, _ in child.get_submodule("blocks").named_children()]
            yield from ((f"{path}.blocks.{n}", i > 0) for i, n in enumerate(blocks))
        else:
            yield path, True
