"""Vision networks of timm: any classifier, from the hub, from its cache, or from a folder.

Named timm:hf-hub:owner/name, timm:resnet50.a1_in1k (timm's own list), or timm:FOLDER with config.json and
model.safetensors. What the weights do not say can be stated: timm:NAME?mean=0.5,0.5,0.5&std=0.5,0.5,0.5.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbones import hub
from headstart.backbones.timm_arguments import check_architecture
from headstart.backbones.weights_file import building, load_tensors, open_weights
from headstart.core import digest
from headstart.core.backbone import Backbone, Block, Cut, Preprocess
from headstart.core.card_schema import IMAGE_SETTINGS, MAX_WIDTH
from headstart.core.errors import NameNotFound, PlanError, WeightsNotFound, import_extra
from headstart.core.messages import did_you_mean
from headstart.core.schema import boolean, check, either, items, load_json, one_of, record, table, text, whole

if TYPE_CHECKING:
    import torch
    from torch import nn


REQUIRED_FILES = ("config.json", "model.safetensors")
PREPROCESS_KEYS = ("crop_mode", "crop_pct", "input_size", "interpolation", "mean", "std")
_MODULE = text(200, r"[A-Za-z0-9_.]*")
_MODULES = either(one_of(None), items(_MODULE, 32), _MODULE)
# What is read of a pretrained_cfg; each may be missing.
PRETRAINED_CFG = {
    **{key: either(one_of(None), rule) for key, rule in IMAGE_SETTINGS.items()},
    "num_classes": either(one_of(None), whole(0, MAX_WIDTH)),
    "classifier": _MODULES,
    "first_conv": _MODULES,
    "fixed_input_size": either(one_of(None), boolean),
    "label_names": either(one_of(None), items(text(1000), MAX_WIDTH)),
    "label_descriptions": either(one_of(None), table(text(10_000), MAX_WIDTH, key=text(1000))),
    "tag": either(one_of(None), text()),
    "license": either(one_of(None), text(1000)),
}
MEND = "Mend it in its config.json, or ask whoever made it."
DATASETS = {
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


def files(local: str) -> list[Path]:
    """config.json and model.safetensors. Imports timm only for names of timm's own list."""
    return list(_paths(local).values())


def card(local: str) -> Backbone:
    """What the weights' own config.json says, and the proven division of the network.

    Raises PlanError naming each preprocessing setting that neither the weights nor the name state; WeightsNotFound.
    """
    name = f"timm:{local}"
    paths = _paths(local)
    config, cfg = _config(name, paths["config.json"], hub.split_overrides(local)[1])
    spec = _spec(name, cfg)
    model = _load(name, config, cfg, paths["model.safetensors"])
    count = sum(p.numel() for p in model.parameters())
    from headstart.backbones.block_division import divide

    division = divide(model, tuple(cfg["input_size"]), _classifier_names(cfg))
    descriptions = cfg.get("label_descriptions") or {}
    return Backbone(
        name,
        digest.of_files([paths[f] for f in REQUIRED_FILES]),
        spec,
        tuple(Block(n, s) for n, s in zip(division.names, division.shapes, strict=True)),
        division.width,
        count,
        paths["model.safetensors"].stat().st_size,
        tuple(str(descriptions.get(n, n)) for n in cfg.get("label_names") or ()) or _imagenet_classes(cfg),
        _pretrained_on(str(cfg.get("tag") or "")),
        str(cfg.get("license") or ""),
    )


def runs(card: Backbone, cut: Cut) -> str:
    """What kind of engine its parts need: torch modules."""
    return "torch"


def parts(card: Backbone) -> tuple[nn.Module, list[nn.Module], nn.Module]:
    """(stem, blocks, pool), proven on these weights to be the network that the card describes."""
    paths = _paths(card.local)
    hub.check_weights_unchanged(card, [paths[f] for f in REQUIRED_FILES])
    config, cfg = _config(card.name, paths["config.json"], hub.split_overrides(card.local)[1])
    model = _load(card.name, config, cfg, paths["model.safetensors"])
    hub.check_weights_unchanged(card, [paths[f] for f in REQUIRED_FILES])  # again: what was opened is what was compared
    from headstart.backbones.block_division import divide

    division = divide(model, tuple(cfg["input_size"]), _classifier_names(cfg))
    return division.parts_of(card)


def reference(card: Backbone, raws: Callable[[], list[bytes | str]]) -> np.ndarray | None:
    """(n, d) float32 of images by timm's own transform. The weights' own files take precedence over what was stated."""
    paths, (_, overrides) = _paths(card.local), hub.split_overrides(card.local)
    own = _config(card.name, paths["config.json"], {})[1]
    config, cfg = _config(card.name, paths["config.json"], {k: v for k, v in overrides.items() if own.get(k) is None})
    model = _load(card.name, config, cfg, paths["model.safetensors"])
    import torch
    from PIL import Image
    from timm.data import create_transform, resolve_data_config

    transform = create_transform(**resolve_data_config({}, pretrained_cfg=cfg))
    pixels = [transform(Image.open(io.BytesIO(r)).convert("RGB")) for r in raws() if isinstance(r, bytes)]
    with torch.inference_mode():
        network: Any = model
        return network.forward_head(network.forward_features(torch.stack(pixels)), pre_logits=True).flatten(1).numpy()


def classifier(card: Backbone) -> tuple[np.ndarray, np.ndarray] | None:
    """The classifier of the weights, (k, d) and (k,) float32; None where it is not one matrix."""
    paths = _paths(card.local)
    _, cfg = _config(card.name, paths["config.json"], hub.split_overrides(card.local)[1])
    heads = _classifier_names(cfg)
    if len(heads) != 1:
        return None
    with open_weights(paths["model.safetensors"], "numpy") as state:
        names = set(state.keys())
        weight, bias = (state.get_tensor(n) if n in names else None for n in (f"{heads[0]}.weight", f"{heads[0]}.bias"))
    if weight is None or bias is None or weight.size != len(weight) * card.width:
        return None
    return weight.reshape(len(weight), card.width).astype(np.float32), bias.astype(np.float32)


def _paths(local: str) -> dict[str, Path]:
    """The paths of the two files that `local` names."""
    name, _ = hub.split_overrides(local)
    scheme, colon, rest = name.partition(":")
    if colon and scheme in ("hf-hub", "hf_hub"):
        return hub.snapshot_files(rest, REQUIRED_FILES)
    folder = rest if colon and scheme == "local-dir" else name
    if hub.expanded(folder).is_dir() or folder.startswith((".", "/", "~")):
        return hub.locate_files(folder, REQUIRED_FILES)
    if not set(folder).isdisjoint("/\\:"):
        raise WeightsNotFound(
            f"timm:{name}: there is no folder {folder}. A repository on the hub is written timm:hf-hub:owner/name."
        )
    return hub.snapshot_files(_repo(folder), REQUIRED_FILES)


def _repo(name: str) -> str:
    """The hub repository of a name of timm's own list, which is not needed for a cached name with its tag."""
    if "." in name and hub.is_cached(f"timm/{name}"):
        return f"timm/{name}"
    timm = import_extra("timm", "torch", f"The backbone timm:{name}")
    architecture = name.partition(".")[0]
    cfg = timm.get_pretrained_cfg(name, allow_unregistered=True) if timm.is_model(architecture) else None
    if cfg is None:
        known = timm.list_pretrained(f"{architecture}.*") or timm.list_models()
        near = get_close_matches(name, known, n=3) or get_close_matches(architecture, known, n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise NameNotFound(f"timm {timm.__version__} has no model {name!r}.{hint}")
    if not cfg.hf_hub_id or cfg.hf_hub_filename:
        have = ", ".join(timm.list_pretrained(f"{architecture}.*")[:6]) or "none"
        raise PlanError(f"timm offers no weights for {name!r} that it would load by that name. With weights: {have}.")
    return cfg.hf_hub_id


def _config(name: str, path: Path, overrides: dict[str, str]) -> tuple[dict, dict]:
    """config.json, and its pretrained_cfg updated by what the user stated."""
    config = load_json(path, record({}, {"pretrained_cfg": record({}, others=True)}, others=True), MEND, PlanError)
    cfg = dict(config.get("pretrained_cfg", config))  # weights of before 2023 have one flat table
    if "architecture" not in config:
        raise PlanError(f"{name}: {path} is no config.json of timm: it names no architecture.")
    architecture, arguments = config["architecture"], config.get("model_args") or {}
    check_architecture(name, architecture, arguments, "its config.json")
    for key in ("num_classes", "label_names", "label_descriptions"):
        cfg.update({key: config[key]} if key in config else {})
    for key, stated in overrides.items():
        cfg[key] = _parse_override(name, key, stated)
    check(cfg, record({}, PRETRAINED_CFG, others=True), name, MEND, PlanError)
    if (cfg.get("input_size") or [3])[0] != 3:
        raise PlanError(f"{name}: input_size is {cfg['input_size']}; images of three channels are expected.")
    return {"architecture": architecture, "model_args": arguments}, cfg


def _parse_override(name: str, key: str, stated: str) -> object:
    if key not in PREPROCESS_KEYS:
        hint, possible = did_you_mean(key, PREPROCESS_KEYS), ", ".join(PREPROCESS_KEYS)
        raise PlanError(f"{name}: {key!r} cannot be stated of a timm backbone.{hint} What can: {possible}.")
    try:
        if key == "input_size":
            return [3, int(stated), int(stated)]
        numbers = [float(n) for n in stated.split(",")] if key in ("mean", "std", "crop_pct") else []
    except ValueError as error:
        raise PlanError(f"{name}: {key}={stated} is not a number.") from error
    return stated if not numbers else numbers[0] if key == "crop_pct" else numbers


def _spec(name: str, cfg: dict) -> Preprocess:
    """The preprocessing that the weights state; nothing is assumed."""
    missing = [key for key in PREPROCESS_KEYS if cfg.get(key) is None]
    if missing:
        example = {"mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225", "input_size": "224", "crop_pct": "0.875"}
        example |= {"crop_mode": "center", "interpolation": "bicubic"}
        raise PlanError(
            f"{name} does not say how its inputs were prepared: its config.json lacks {', '.join(missing)}. "
            f"A guess would be silently wrong. State what its authors used, for example: "
            f"--backbone '{name}{'&' if '?' in name else '?'}{'&'.join(f'{k}={example[k]}' for k in missing)}'"
        )
    settings = ((key, tuple(cfg[key]) if isinstance(cfg[key], list) else cfg[key]) for key in PREPROCESS_KEYS)
    return Preprocess("image", tuple(settings))


def _load(name: str, config: dict, cfg: dict, weights: Path) -> nn.Module:
    """The network with its weights in float32. Raises PlanError naming what does not fit."""
    timm = import_extra("timm", "torch", f"The backbone {name}")
    import torch

    architecture = config["architecture"]
    if not timm.is_model(architecture):
        raise PlanError(f"{name} is a {architecture}, which timm {timm.__version__} does not know. Try a newer timm.")
    keys = ("input_size", "fixed_input_size", "num_classes", "classifier", "first_conv")
    model_cfg = {key: cfg[key] for key in keys if key in cfg}
    # Initial weights are drawn and discarded: the caller's generator stays as it is.
    with building(name, weights, "its config.json"), torch.random.fork_rng(devices=[]):
        model = timm.create_model(architecture, pretrained_cfg=model_cfg, **config["model_args"])
    heads = tuple(f"{head}." for head in _classifier_names(cfg))
    mismatches = [w for w in _load_into(model, load_tensors(weights)) if not w.partition(" ")[2].startswith(heads)]
    if mismatches:
        more = f" and {len(mismatches) - 4} more" if len(mismatches) > 4 else ""
        raise PlanError(f"{name}: {weights.name} does not fit a {architecture}: {', '.join(mismatches[:4])}{more}.")
    return model.eval()


def _load_into(model: nn.Module, state: dict[str, torch.Tensor]) -> list[str]:
    """Loads what fits; gives "missing NAME", "unknown NAME" and "misshapen NAME" for what does not."""
    expected = model.state_dict()
    misshapen = {k for k in state if k in expected and state[k].shape != expected[k].shape}
    result = model.load_state_dict({k: v for k, v in state.items() if k not in misshapen}, strict=False)
    return [
        *(f"missing {k}" for k in result.missing_keys if k not in misshapen),
        *(f"unknown {k}" for k in result.unexpected_keys),
        *(f"misshapen {k}" for k in sorted(misshapen)),
    ]


def _classifier_names(cfg: dict) -> tuple[str, ...]:
    """Names of the classifier modules: two where a network was distilled with a head of its own."""
    names = cfg.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _pretrained_on(tag: str) -> str:
    """The pretraining data that a tag names, in order: "augreg_in21k_ft_in1k" -> "ImageNet-21k, then ImageNet-1k"."""
    return ", then ".join(DATASETS[word] for word in tag.split("_") if word in DATASETS)


def _imagenet_classes(cfg: dict) -> tuple[str, ...]:
    """The classes of ImageNet-1k in timm's order; its weights seldom list them."""
    if cfg.get("num_classes") != 1000 or not str(cfg.get("tag") or "").endswith("in1k"):
        return ()
    from timm.data import ImageNetInfo

    names = ImageNetInfo("imagenet-1k")
    return tuple(names.index_to_description(i) for i in range(names.num_classes()))
