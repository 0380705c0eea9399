"""The student: its first weights, a linear probe of it on the way, and the backbone folder it is saved as."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbones.cards import find_card
from headstart.core.backbone import Backbone, Preprocess
from headstart.core.errors import PlanError, SourceError, Unreadable
from headstart.core.features import Features
from headstart.core.options import DataOptions
from headstart.core.plugins import member
from headstart.core.task import Example
from headstart.data import contents
from headstart.data.read import read
from headstart.pretraining.contracts import Student, UnlabelledData
from headstart.pretraining.pretrain_plan import PretrainPlan

if TYPE_CHECKING:
    import torch

ARCHITECTURE = "mobilenetv4_conv_small"  # for images, where none is named
PROBE_TRAIN, PROBE_TEST = 600, 400  # labelled examples, at most
PROBE_BATCH = 32
MAX_DEVIATION = 1e-4  # of the ONNX graph's rows from the network's, relative to the largest


@contextmanager
def seeded_torch(seed: int) -> Iterator[None]:
    """torch's global generators at this seed, and as they were before again afterwards.

    First weights are drawn from them by the libraries' own code, and so are projection heads and dropout.
    """
    import torch

    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def init_student(
    plan: PretrainPlan, module: ModuleType, pretext: Any, data: UnlabelledData, folder: Path, root: Path
) -> Student:
    """A network with random weights of torch's generator, or the pretrained one to go on from.

    module, pretext: of the pretext, and its settings
    folder: for what is made on the way, such as a tokenizer of the corpus
    Raises PlanError where it cannot be trained on data of this kind.
    """
    if data.kind == "text":
        from headstart.pretraining.text_student import init_text_student  # with torch, which images need not

        return init_text_student(plan, module, pretext, data.examples, folder, root)
    if plan.side % 32 or not 32 <= plan.side <= 512:
        raise PlanError(f"--side {plan.side}: a multiple of 32 from 32 to 512 is expected.")
    name = plan.student if plan.student != "auto" else ARCHITECTURE
    return _pretrained_network(name, root) if ":" in name else _random_network(name, plan.side)


def _random_network(architecture: str, side: int) -> Student:
    """A timm architecture with random weights, preprocessed as ImageNet networks are."""
    import torch

    from headstart.backbones.timm_trunk import build_trunk

    model = build_trunk(f"--student {architecture}", architecture, {})
    settings = {
        "crop_mode": "center",
        "crop_pct": 1.0,
        "input_size": (3, side, side),
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    }
    body = _pooled_network(model)
    with torch.inference_mode():
        width = int(body.eval()({"pixels": torch.zeros(2, 3, side, side)}).shape[1])
    body.to(memory_format=torch.channels_last)
    return Student(body, model, width, Preprocess("image", tuple(settings.items())), architecture=architecture)


def _pretrained_network(name: str, root: Path) -> Student:
    """The network of a timm or own backbone, unfrozen, at its own input size."""
    from headstart.backbones.network import open_network

    card = find_card(name, root)
    if card.preprocess.kind != "image":
        raise PlanError(f"{name} reads {card.preprocess.kind}; a network for images is expected to go on from.")
    files = {p.name: p for p in member("backbones", card.family).files(card.local)}
    facts = json.loads(files.get("config.json", files.get("card.json", Path())).read_text(encoding="utf-8"))
    architecture, arguments = facts["architecture"], facts.get("model_args") or facts.get("arguments") or {}
    model = open_network(card).model.requires_grad_(True)
    body = _pooled_network(model)
    return Student(body, model, card.width, card.preprocess, architecture=architecture, arguments=arguments)


def _pooled_network(model: Any):
    """A module from {"pixels"} to embeddings (b, d), those before timm's classifier."""
    from torch import nn

    class Body(nn.Module):
        def __init__(self, inner: nn.Module):
            super().__init__()
            self.inner = inner

        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.inner.forward_head(self.inner.forward_features(batch["pixels"]), pre_logits=True)  # type: ignore[operator]

    return Body(model)


def save_student(student: Student, folder: Path, facts: dict) -> Backbone:
    """Writes the backbone folder, and checks that its graph gives what the network gives.

    facts: how it was made, for its card.  Raises PlanError when the graph deviates.
    """
    if student.format == "transformers":
        from headstart.pretraining.text_student import save_text_student

        return save_text_student(student, folder, facts)
    from headstart.pretraining import publish

    network, arguments = student.model, student.arguments
    publish.save_timm_backbone(folder, network, student.architecture, arguments, student.spec, facts)
    card = member("backbones", "own").card(str(folder))
    deviation = publish.onnx_deviation(card, _pooled_network(student.model).eval())
    if deviation > MAX_DEVIATION:
        raise PlanError(
            f"The graph of {folder} gives other rows than the network it was made from, by {deviation:.2%}."
        )
    return card


def linear_probe_accuracy(student: Student, source: object, seed: int) -> float:
    """The score of a linear probe on the student's embeddings as they are now, of plain views.

    source: labelled data, of which PROBE_TRAIN examples train the probe and PROBE_TEST test it
    Raises SourceError where one of these cannot be read.
    """
    task = read(source, DataOptions(seed=seed))
    rng = np.random.default_rng(seed)
    train, test = (rng.permutation(task.parts[part]) for part in ("train", "test"))
    if not len(test):  # too few for a part of their own: a third tests
        train, test = train[len(train) // 3 :], train[: len(train) // 3]
    parts = []
    for indices in (train[:PROBE_TRAIN], test[:PROBE_TEST]):
        examples = [task.examples[i] for i in indices]
        rows = _embed(student, examples)
        if rows is None:
            raise SourceError(
                f"The data to probe with, {source}, hold something that cannot be read. Fit them first to see what."
            )
        y = task.objective.encode([e.label for e in examples])
        parts.append(Features(rows, y, tuple(e.id for e in examples)))
    no_validation = parts[0].rows(np.zeros(0, np.int64))
    head = member("methods", "logistic").Settings()
    fitted = head.fit(parts[0], no_validation, task.objective, above=None, rng=np.random.default_rng(seed))
    return round(task.objective.score(fitted.scores(parts[1].x), parts[1].y), 4)


def _embed(student: Student, examples: Sequence[Example]) -> np.ndarray | None:
    """(n, width) float32, of long texts the first window; None where an example cannot be read."""
    import torch

    prepare = member("preprocess", student.spec.kind)
    readable = [content for _, content in contents.iter_contents(examples) if not isinstance(content, Unreadable)]
    prepared = prepare.prepare(readable, student.spec)
    if len(prepared) != len(examples) or any(isinstance(p, Unreadable) for p in prepared):
        return None
    units = [unit for of_example in prepared for unit in of_example[:1]]
    device = next(student.body.parameters()).device
    student.body.eval()
    rows = []
    with torch.inference_mode():
        for first in range(0, len(units), PROBE_BATCH):
            arrays = prepare.batch(units[first : first + PROBE_BATCH], student.spec)
            batch = {k: torch.from_numpy(v).to(device) for k, v in arrays.items()}
            rows.append(student.body(batch).float().cpu().numpy())
    return np.concatenate(rows)
