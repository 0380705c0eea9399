"""PEFT's adapters on the blocks above a cut, and the folder with them that plain PEFT reads."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core.arrays import to_float16_if_exact
from headstart.core.disk_errors import library_writes
from headstart.core.errors import ArtifactError, PlanError, import_extra
from headstart.core.schema import Rule, boolean, either, items, load_json, number, one_of, record, table, text

if TYPE_CHECKING:
    from torch import nn

    from headstart.training.tuning.learner import Learner


# Layers with weights of their own form (standardised, as in NFNets) would have PEFT's matrices take that form too.
PLAIN_LAYERS = ("Linear", "Conv2d", "Conv2dSame")
FILES = ("adapter_config.json", "adapter_model.safetensors")
CONFIG_FILE, ADAPTER_FILE = (f"peft/{name}" for name in FILES)
_none, _layers = one_of(None), either(one_of(None), items(text(300), 10_000))
_harmless = either(boolean, number(-1e9, 1e9), items(boolean, 0), table(boolean, 0), _none)
_CONFIG: dict[str, Rule] = {
    # PEFT imports that library, and fetches that base, where it opens the folder by itself.
    "auto_mapping": either(
        _none,
        record(
            {
                "base_model_class": text(100, r"[A-Za-z_]\w*"),
                "parent_library": text(200, r"(timm|transformers)(\.[A-Za-z_]\w*)*"),
            }
        ),
    ),
    "base_model_name_or_path": text(4096),
    "bias": one_of("none", "all", "lora_only"),
    "exclude_modules": _none,
    "feedforward_modules": _layers,
    "megatron_config": _none,
    "megatron_core": one_of("megatron.core", None),
    "modules_to_save": _none,
    "peft_type": text(40, r"[A-Z0-9_]+"),
    "peft_version": text(40, r"[\w.+\-@]*"),
    "target_modules": _layers,  # a text would be a pattern, and some never end
    "task_type": either(_none, text(40, r"[A-Z_]*")),
}


def inject(learner: Learner, configure: Callable[[Any, dict[str, nn.Module]], Any]) -> None:
    """Puts adapters on the library's own network, which the blocks above the cut share.

    configure: (peft, modules that may be adapted by the library's names) -> its config
    Raises PlanError where there is nothing to adapt, MissingExtra.
    """
    peft = import_extra("peft", "peft", "This method")
    targets = adaptable(learner)
    if not targets:
        raise PlanError(f"{learner.card.name} has no linear layer or convolution above this cut. Set blocks to more.")
    config = configure(peft, targets)
    model: Any = learner.body[-1].model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it asks transformers in an old way
        adapted = peft.get_peft_model(model, config)
    _replace_parts(learner, targets)
    adapted.peft_config["default"].base_model_name_or_path = learner.card.name
    learner.adapter = (adapted,)
    above = {id(p) for p in learner.body.parameters()}
    outside = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in above]
    if outside:
        raise PlanError(f"{learner.card.name}: {outside[0]} was adapted outside of the blocks above the cut.")


def _replace_parts(learner: Learner, targets: dict[str, nn.Module]) -> None:
    """Takes adapted layers into the body where they are themselves parts of it, as those of VGG are."""
    from torch import nn

    model: Any = learner.body[-1].model
    adapted = {id(old): model.get_submodule(name) for name, old in targets.items()}
    for sequence in (learner.body, *(part for part in learner.body if type(part) is nn.Sequential)):
        for name, part in list(sequence.named_children()):
            setattr(sequence, name, adapted.get(id(part), part))


def adaptable(learner: Learner) -> dict[str, nn.Module]:
    """Linear layers and convolutions, ungrouped and undilated, of the blocks above the cut, by the library's names."""
    first = 1 if learner.cut.at == 0 else 0  # the stem stays as it is
    inside = {id(m) for part in list(learner.body)[first:-1] for m in part.modules()}
    model: Any = learner.body[-1].model
    return {name: m for name, m in model.named_modules() if id(m) in inside and _is_adaptable(m)}


def _is_adaptable(module: Any) -> bool:
    kind = type(module).__name__
    return kind in PLAIN_LAYERS and (kind == "Linear" or (module.groups == 1 and set(module.dilation) == {1}))


def parameters_per_rank(module: Any) -> int:
    """Parameters that each rank adds to a layer: its inputs and its outputs."""
    outputs, inputs = module.weight.shape[:2]
    return int(outputs + inputs * module.weight[0, 0].numel())


def files(learner: Learner) -> dict[str, bytes]:
    """peft/adapter_config.json and peft/adapter_model.safetensors; nothing where there is no adapter."""
    if not learner.adapter:
        return {}
    from safetensors import numpy as tensors

    with tempfile.TemporaryDirectory() as folder, library_writes(Path(folder)):
        learner.adapter[0].save_pretrained(folder, save_embedding_layers=False)
        contents = {f"peft/{name}": (Path(folder) / name).read_bytes() for name in FILES}
    arrays = {name: to_float16_if_exact(value) for name, value in tensors.load(contents[ADAPTER_FILE]).items()}
    contents[ADAPTER_FILE] = tensors.save(arrays, {"format": "pt"})  # PEFT takes half precision for what it is
    config = json.loads(contents["peft/adapter_config.json"])
    config["target_modules"] = sorted(config["target_modules"])  # a set of PEFT's: its order is not the same twice
    return {**contents, "peft/adapter_config.json": json.dumps(config, indent=1, sort_keys=True).encode()}


def check_config(file: Path, base: str) -> None:
    """Raises ArtifactError where an adapter_config.json says what none of ours does: what plain PEFT would import, say.

    base: the name of the network that it must be for
    """
    fix = "Do not trust this folder; ask whoever made it."

    def rule(facts: Any) -> str:
        known = {name: _CONFIG.get(str(name), _harmless) for name in facts} if isinstance(facts, dict) else {}
        return record({"peft_type": _CONFIG["peft_type"]}, known)(facts)

    config = load_json(file, rule, fix)
    if config.get("base_model_name_or_path") != base:
        raise ArtifactError(f"{file} is for another base than card.json, which names {base}. {fix}")


def by_state_name(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of PEFT's file by the names that they have in a `state()`: these numbers are stored once, there."""
    return {_state_name(name): value for name, value in arrays.items()}


def _state_name(peft_name: str) -> str:
    parts = peft_name.removeprefix("base_model.model.").split(".")
    at = next((i for i, part in enumerate(parts) if part.startswith(("lora_", "ia3_"))), len(parts) - 1)
    parts.insert(at + 1, "default")
    return ".".join(["body", *parts, *(["weight"] if parts[at] == "lora_magnitude_vector" else [])])
