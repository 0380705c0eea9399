"""Vision networks out of timm: any classifier, from the hub, from its cache, or from a folder.

Named timm:hf-hub:owner/name, timm:resnet50.a1_in1k (timm's own list), or timm:FOLDER with config.json and
model.safetensors. What the weights do not say can be stated: timm:NAME?mean=0.5,0.5,0.5&std=0.5,0.5,0.5.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headstart import digest, hub
from headstart.backbone import Backbone, Block, Preprocess
from headstart.errors import NameNotFound, PlanError, WeightsNotFound, missing_extra

if TYPE_CHECKING:
    import torch
    from torch import nn

    from headstart.chain import Division

RUNS = "torch"
WANTED = ("config.json", "model.safetensors")
FACTS = ("crop_mode", "crop_pct", "input_size", "interpolation", "mean", "std")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
CROPS = ("center", "squash", "border")
SOURCES = {
    "in1k": "ImageNet-1k",
    "in12k": "ImageNet-12k",
    "in21k": "ImageNet-21k",
    "in22k": "ImageNet-22k",
    "lvd142m": "LVD-142M",
    "lvd1689m": "LVD-1689M",
    "laion2b": "LAION-2B",
    "openai": "OpenAI's image-text pairs",
    "webli": "WebLI",
    "inat21": "iNaturalist 2021",
}

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


def files(local: str) -> list[Path]:
    """config.json and model.safetensors. Imports timm only for a name of timm's own list."""
    return list(_paths(local).values())


def card(local: str) -> Backbone:
    """What the weights' own config.json says, and the cuts that this network proved to have.

    Raises PlanError naming each fact of preprocessing that neither the weights nor the name state; WeightsNotFound.
    """
    name = f"timm:{local}"
    paths = _paths(local)
    config, cfg = _config(name, paths["config.json"], hub.stated(local)[1])
    spec = _spec(name, cfg)
    model = _load(name, config, cfg, paths["model.safetensors"])
    count = sum(p.numel() for p in model.parameters())
    division = divide(model, tuple(cfg["input_size"]), _heads(cfg))
    descriptions = cfg.get("label_descriptions") or {}
    return Backbone(
        name,
        digest.of_files([paths[f] for f in WANTED]),
        spec,
        tuple(Block(n, s) for n, s in zip(division.names, division.shapes, strict=True)),
        division.width,
        count,
        paths["model.safetensors"].stat().st_size,
        tuple(str(descriptions.get(n, n)) for n in cfg.get("label_names") or ()),
        _source(str(cfg.get("tag") or "")),
        str(cfg.get("license") or ""),
    )


def parts(card: Backbone) -> tuple[nn.Module, list[nn.Module], nn.Module]:
    """(stem, blocks, pool), proven on these weights to be the network that the card describes."""
    paths = _paths(card.local)
    hub.unchanged(card, [paths[f] for f in WANTED])
    config, cfg = _config(card.name, paths["config.json"], hub.stated(card.local)[1])
    model = _load(card.name, config, cfg, paths["model.safetensors"])
    division = divide(model, tuple(cfg["input_size"]), _heads(cfg))
    hub.same_blocks(card, division.names)
    return division.stem, division.blocks, division.pool


def classifier(card: Backbone) -> tuple[np.ndarray, np.ndarray] | None:
    """The head that the weights came with, (k, d) and (k,) float32, k source classes; None where it is not one matrix."""
    paths = _paths(card.local)
    _, cfg = _config(card.name, paths["config.json"], hub.stated(card.local)[1])
    heads = _heads(cfg)
    if len(heads) != 1:
        return None
    from safetensors.numpy import load_file

    state = load_file(paths["model.safetensors"])
    weight, bias = state.get(f"{heads[0]}.weight"), state.get(f"{heads[0]}.bias")
    if weight is None or bias is None or weight.size != len(weight) * card.width:
        return None
    return weight.reshape(len(weight), card.width).astype(np.float32), bias.astype(np.float32)


def divide(model: nn.Module, size: tuple[int, ...], heads: tuple[str, ...] = ()) -> Division:
    """A timm network at its finest proven cuts; one block, the whole of it, where no layout of ours describes it.

    size:  (3, h, w) of its input.  heads: names of classifier modules, which are dropped: nothing after the
    embedding is borrowed
    Raises PlanError when it has no single embedding before its classifier.
    """
    import torch

    from headstart import chain

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
        model.set_submodule(head, torch.nn.Identity())
    children = dict(model.named_children())
    for stem, bodies, tail in TRUNKS:
        if not {*stem, *bodies, *tail} <= children.keys():
            continue
        rest = [module for name, module in children.items() if name not in (*stem, *bodies)]
        start = (
            chain.PatchStem(model)
            if stem[0:1] == ("patch_embed",) and len(stem) > 1
            else chain.Stem(children[n] for n in stem)
        )
        for fine in (True, False):
            groups = _groups(model, bodies, fine)
            blocks = [_row([model.get_submodule(path) for path in group]) for group in groups]
            pool = chain.Pool(model, _Tail(tail), rest)
            found = chain.prove(start, blocks, pool, [group[-1] for group in groups], batch, truth)
            if found is not None:
                return found
    whole = chain.prove(
        chain.Stem(()), [chain.Whole(model, _features)], chain.Pool(model, _head), ["whole"], batch, truth
    )
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
    from torch import nn

    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


def _groups(model: nn.Module, bodies: tuple[str, ...], fine: bool) -> list[list[str]]:
    """Paths of the modules that make up each block, in order."""
    from torch import nn

    groups: list[list[str]] = []
    for body in bodies:
        for name, child in model.get_submodule(body).named_children():
            path = f"{body}.{name}"
            inner = dict(child.named_children())
            if fine and isinstance(child, nn.Sequential) and inner:  # a stage of blocks
                groups += [[f"{path}.{n}"] for n in inner]
            elif fine and list(inner) == ["downsample", "blocks"]:  # a stage of ConvNeXt or Swin
                steps = [[f"{path}.blocks.{n}"] for n, _ in child.get_submodule("blocks").named_children()]
                groups += [[f"{path}.downsample", *steps[0]], *steps[1:]]
            elif groups and (isinstance(child, nn.BatchNorm2d) or not any(True for _ in child.parameters())):
                groups[-1].append(path)  # activations, pooling and norms go with what they follow
            else:
                groups.append([path])
    return groups
