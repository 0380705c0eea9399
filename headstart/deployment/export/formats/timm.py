"""timm: a folder that timm.create_model opens, with the head as its classifier."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import PlanError
from headstart.core.plan import Model
from headstart.deployment.export import predict_script
from headstart.deployment.export.library_model import INSTEAD, family, one_matrix, whole
from headstart.deployment.export.parity import Said, Written, remaining
from headstart.features.extract import Running

SAYS = "a folder that plain timm opens: timm.create_model('local-dir:FOLDER', pretrained=True)"
OPEN = """
network = timm.create_model(f"local-dir:{HERE}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_data_config(model=network))
"""
ASK = """
with torch.inference_mode():
    p = network(transform(read(item))[None]){after}[0]
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """Nothing is set."""


def write(model: Model, running: Running, folder: Path, settings: Settings) -> Written:
    """config.json and model.safetensors. Raises PlanError where timm's network has no room for what was learned."""
    family(model, "timm")
    weight, bias = one_matrix(model)
    network: Any = whole(model)
    import torch
    from safetensors.torch import save_file

    cfg = dict(network.pretrained_cfg)
    heads = cfg.get("classifier")
    if not isinstance(heads, str):
        raise PlanError(f"{model.backbone.name} has no single classifier, so the head has no place in it. {INSTEAD}")
    state = {k: v.detach().clone().contiguous() for k, v in network.state_dict().items()}
    matrix = torch.from_numpy(weight.T.copy())
    old = _stood(network, model)
    state[f"{heads}.weight"] = matrix.reshape(*matrix.shape, 1, 1) if old == "Conv2d" else matrix
    state[f"{heads}.bias"] = torch.from_numpy(bias)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    spec = {k: list(v) if isinstance(v, tuple) else v for k, v in model.backbone.preprocess.settings}
    names = list(model.objective.facts().get("names", []))
    config = {
        "architecture": cfg["architecture"],
        "num_classes": model.objective.width,
        "num_features": model.backbone.width,
        "pretrained_cfg": {
            **spec, "classifier": heads, "license": model.backbone.licence, "label_names": names,
            "num_classes": model.objective.width, "fixed_input_size": bool(cfg.get("fixed_input_size")),
            **({"first_conv": cfg["first_conv"]} if cfg.get("first_conv") else {}),
        },
    }  # fmt: skip
    if arguments := _arguments(model):
        config["model_args"] = arguments
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    after = {"softmax": ".softmax(1)", "sigmoid": ".sigmoid()"}.get(model.objective.link, "")
    asking = ASK.replace("{after}", after)
    code = predict_script.program("An answer by timm.", ["import timm", "import torch"], OPEN, asking, model)
    says = (
        "predict.py prepares photos with timm's own transform. Scores are calibrated: softmax gives probabilities.",
    )
    return Written(_answer(model, folder), code, ("timm", "torch", "pillow"), says=says)


def _arguments(model: Model) -> dict:
    """What timm was told beside the architecture, by the borrowed config.json."""
    from headstart.core.plugins import member

    backbones: Any = member("backbones", "timm")
    config = json.loads(next(p for p in backbones.files(model.backbone.local) if p.name == "config.json").read_text())
    return dict(config.get("model_args") or {})


def _stood(network: Any, model: Model) -> str:
    """The kind of layer that stands where the head will: a matrix, or a convolution of one pixel."""
    import timm

    fresh: Any = timm.create_model(network.pretrained_cfg["architecture"], num_classes=2, **_arguments(model))
    return type(fresh.get_submodule(network.pretrained_cfg["classifier"])).__name__


def _answer(model: Model, folder: Path) -> Callable:
    """Answers of the folder as it lies, by timm's own transform."""
    import timm
    import torch
    from timm.data import create_transform, resolve_data_config

    from headstart.features.image_decoding import decode

    network: Any = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    least = remaining(model.backbone.preprocess)
    transform: Any = create_transform(**resolve_data_config({}, model=network))

    def answer(contents: Sequence[bytes | str]) -> Said:
        rows, scores = [], []
        for content in contents:
            x = transform(decode(content if isinstance(content, bytes) else content.encode(), least))[None]
            with torch.inference_mode():
                row = network.forward_head(network.forward_features(x), pre_logits=True)
                rows.append(row.flatten(1).numpy()[0])
                scores.append(network(x).numpy()[0])
        return Said(np.stack(rows), model.objective.probabilities(np.stack(scores)))

    return answer
