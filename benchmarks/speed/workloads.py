"""The backbones whose engine is timed: prepared inputs, ours in each precision, and the plain loop beside us."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.speed.harness import MOBILENET, VIT, data, minilm
from headstart.backbones.cards import find_card
from headstart.core.backbone import Backbone
from headstart.core.plugins import member
from headstart.core.task import Example
from headstart.data import contents
from headstart.features.extract import has_unit_length
from headstart.features.precision import pick_precision
from headstart.features.runner import Extractor, start_engine

MANY = 10_000  # inputs that engines are told of, so that the fastest is taken
GOALS = {"MobileNetV2": 7.0, "ResNet-50": 10.0, "ViT-tiny": 5.0, "MiniLM": 3.0}  # times, with AMX


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One backbone and its inputs.

    units:  n prepared inputs, as engines take them.  labels: n of them
    plain:  the other library's loop at a batch size: rows (n, d) of these units, in their order
    flops:  floating-point operations of all n units, a multiplication and an addition being two
    """

    name: str
    card: Backbone
    units: list[np.ndarray]
    labels: list[str]
    plain: Callable[[list[np.ndarray], int], np.ndarray]
    flops: Callable[[list[np.ndarray]], float]

    def ours(self, precision: str, root: Path) -> Extractor:
        """The engine at work. Raises PlanError where this machine has no such precision."""
        top = self.card.cut(len(self.card.blocks))
        if precision != "float32":
            pick_precision(self.card, top, [], root, f"openvino:{precision}")  # refuses what is not there
        return start_engine(self.card, replace(top, precision=precision), MANY, root)


def opened(name: str, work: Path, photos: int, texts: int) -> Subject:
    """A subject by name, its weights in place. Raises Missing where data are not here."""
    if name == "MiniLM":
        return _language(name, work, texts)
    model = {"MobileNetV2": f"timm:{MOBILENET}", "ViT-tiny": f"timm:{VIT}"}.get(name) or f"timm:{resnet(work)}"
    return _vision(name, model, work, photos)


def resnet(work: Path) -> Path:
    """ResNet-50 with random weights, as a folder."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder = work / "resnet50"
    if not (folder / "config.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        save_file(timm.create_model("resnet50", pretrained=False).state_dict(), folder / "model.safetensors")
        spec = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "input_size": [3, 224, 224]}
        spec |= {"crop_pct": 0.875, "crop_mode": "center", "interpolation": "bicubic", "classifier": "fc"}
        config = {"architecture": "resnet50", "num_classes": 1000, "pretrained_cfg": spec}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _vision(name: str, model: str, work: Path, count: int) -> Subject:
    import timm
    import torch

    card = find_card(model, work / "cache")
    prepare, spec = member("preprocess", "image"), card.preprocess
    files = sorted((data("hymenoptera") / "train").glob("*/*.jpg"))
    files = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, count).astype(int))]
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))]
    units = [some[0] for some in prepare.prepare([file.read_bytes() for file in files], spec)]
    theirs = model.removeprefix("timm:")
    theirs = theirs if theirs.startswith("hf-hub:") else f"local-dir:{theirs}"
    module = timm.create_model(theirs, pretrained=True, num_classes=0).eval()

    def tensors(some: list[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(prepare.batch(some, spec)["pixels"])

    held: dict[int, torch.Tensor] = {}

    def plain(some: list[np.ndarray], batch: int) -> np.ndarray:
        pixels = held.setdefault(len(some), tensors(some))  # prepared once: what is timed is the network
        with torch.inference_mode():
            return np.concatenate([module(part).numpy() for part in pixels.split(batch)])

    def flops(some: list[np.ndarray]) -> float:
        return _counted(module, tensors(some[:1])) * len(some)

    return Subject(name, card, units, [file.parent.name for file in files], plain, flops)


def _language(name: str, work: Path, count: int) -> Subject:
    import torch
    from transformers import AutoModel

    card = find_card(minilm(), work / "cache")
    prepare, spec = member("preprocess", "text"), card.preprocess
    examples = sentences(count)
    texts = [content for _, content in contents.iter_contents(examples)]
    units = [some[0] for some in prepare.prepare(texts, spec)]
    module = AutoModel.from_pretrained(card.local if Path(card.local).is_dir() else minilm().partition(":")[2]).eval()

    def tensors(some: list[np.ndarray]) -> dict[str, torch.Tensor]:
        return {key: torch.from_numpy(array) for key, array in prepare.batch(some, spec).items()}

    def plain(some: list[np.ndarray], batch: int) -> np.ndarray:
        order = np.argsort([len(unit) for unit in some], kind="stable")  # by length, as good loops do
        rows = np.zeros((len(some), card.width), np.float32)
        with torch.inference_mode():
            for first in range(0, len(some), batch):
                index = order[first : first + batch]
                fed = tensors([some[i] for i in index])
                hidden, mask = module(**fed).last_hidden_state, fed["attention_mask"][..., None]
                rows[index] = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if has_unit_length(spec) else rows

    def flops(some: list[np.ndarray]) -> float:
        lengths, counts = np.unique([len(unit) for unit in some], return_counts=True)
        first = {len(unit): unit for unit in some}
        each = [_counted(lambda fed: module(**fed), tensors([first[length]])) for length in lengths]
        return float(np.dot(each, counts))

    return Subject(name, card, units, [str(e.label) for e in examples], plain, flops)


def sentences(count: int) -> list[Example]:
    """The first sentences of the test part of text_sst2. Raises Missing."""
    from headstart.data.read import read_source

    return read_source(str(data("text_sst2"))).examples["test"][:count]


def _counted(module: Callable, fed: object) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        module(fed)
    return float(counter.get_total_flops())
