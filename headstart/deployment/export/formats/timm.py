"""timm: a folder that timm.create_model opens, with the head as its classifier."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import PlanError
from headstart.core.files import write_file
from headstart.core.plan import Model
from headstart.core.plugins import member
from headstart.deployment.export import parity, predict_script
from headstart.deployment.export.library_model import ALTERNATIVE, linear_head, merged_network, require_library
from headstart.features.image_decoding import decode_image
from headstart.features.runner import Extractor

Settings = parity.NoSettings
SAYS = "a folder that plain timm opens: timm.create_model('local-dir:FOLDER', pretrained=True)"
OPEN = """
network = timm.create_model(f"local-dir:{HERE}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_data_config(model=network))
"""
ASK = """
with torch.inference_mode():
    p = network(transform(read(item))[None]){after}[0]
"""


def write(model: Model, extractor: Extractor, folder: Path, settings: Settings) -> parity.ExportResult:
    """config.json and model.safetensors. Raises PlanError for a model that is no plain timm network."""
    require_library(model, "timm")
    card, (weight, bias) = model.backbone, linear_head(model)
    network: Any = merged_network(model)
    import torch
    from safetensors.torch import save

    pretrained_cfg = dict(network.pretrained_cfg)
    classifier = pretrained_cfg.get("classifier")
    if not isinstance(classifier, str):
        raise PlanError(f"{card.name} has no single classifier, so the head has no place in it. {ALTERNATIVE}")
    state = {k: v.detach().clone().contiguous() for k, v in network.state_dict().items()}
    matrix = torch.from_numpy(weight.T.copy())
    layer = _classifier_type(network, model)
    state[f"{classifier}.weight"] = matrix.reshape(*matrix.shape, 1, 1) if layer == "Conv2d" else matrix
    state[f"{classifier}.bias"] = torch.from_numpy(bias)
    write_file(folder / "model.safetensors", save(state, {"format": "pt"}))
    preprocess = {k: list(v) if isinstance(v, tuple) else v for k, v in card.preprocess.settings}
    names = list(model.objective.facts().get("names", []))
    config = {
        "architecture": pretrained_cfg["architecture"],
        "num_classes": model.objective.width,
        "num_features": card.width,
        "pretrained_cfg": {
            **preprocess, "classifier": classifier, "license": card.licence, "label_names": names,
            "num_classes": model.objective.width, "fixed_input_size": bool(pretrained_cfg.get("fixed_input_size")),
            **({"first_conv": pretrained_cfg["first_conv"]} if pretrained_cfg.get("first_conv") else {}),
        },
    }  # fmt: skip
    if arguments := _arguments(model):
        config["model_args"] = arguments
    write_file(folder / "config.json", json.dumps(config, indent=1) + "\n")
    after = {"softmax": ".softmax(1)", "sigmoid": ".sigmoid()"}.get(model.objective.link, "")
    ask = ASK.replace("{after}", after)
    code = predict_script.build_program("An answer by timm.", ["import timm", "import torch"], OPEN, ask, model)
    note = "predict.py prepares photos with timm's own transform. Scores are calibrated: softmax gives probabilities."
    return parity.ExportResult(_answer(model, folder), code, ("timm", "torch", "pillow"), says=(note,))


def _arguments(model: Model) -> dict:
    """model_args of the base's config.json."""
    backbones: Any = member("backbones", "timm")
    config = json.loads(next(p for p in backbones.files(model.backbone.local) if p.name == "config.json").read_text())
    return dict(config.get("model_args") or {})


def _classifier_type(network: Any, model: Model) -> str:
    """The type of the network's classifier layer: "Linear", or "Conv2d" of one pixel."""
    import timm

    fresh: Any = timm.create_model(network.pretrained_cfg["architecture"], num_classes=2, **_arguments(model))
    return type(fresh.get_submodule(network.pretrained_cfg["classifier"])).__name__


def _answer(model: Model, folder: Path) -> Callable:
    """Outputs of the written folder, by timm's own transform."""
    import timm
    import torch
    from timm.data import create_transform, resolve_data_config

    network: Any = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    spec = model.backbone.preprocess
    min_side = parity.min_decoded_side(spec)
    transform: Any = create_transform(**resolve_data_config({}, model=network))

    def answer(contents: Sequence[bytes | str]) -> parity.Outputs:
        rows, scores = [], []
        for content in contents:
            raw = content if isinstance(content, bytes) else content.encode()
            x = transform(decode_image(raw, min_side, spec.pixel_range))[None]
            with torch.inference_mode():
                row = network.forward_head(network.forward_features(x), pre_logits=True)
                rows.append(row.flatten(1).numpy()[0])
                scores.append(network(x).numpy()[0])
        return parity.Outputs(np.stack(rows), model.objective.probabilities(np.stack(scores)))

    return answer
