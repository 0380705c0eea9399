"""The network that is being made: how it begins, how it is scored on the way, and how it is written at the end."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbones.catalogue import find_card
from headstart.core.backbone import Backbone, Preprocess
from headstart.core.errors import PlanError, SourceError, Unreadable
from headstart.core.features import Features
from headstart.core.plugins import member
from headstart.data import contents
from headstart.data.read import read
from headstart.pretraining.contracts import Student

if TYPE_CHECKING:
    import torch

    from headstart.pretraining.contracts import Found
from headstart.pretraining.contracts import Making

PROBES = 600, 400  # labelled examples a probe learns from, and is judged on


def begin(plan: dict, module: ModuleType, pretext: Any, data: Found, folder: Path, root: Path) -> Making:
    """The student: an architecture from random weights, drawn from the seed, or a backbone to go on from.

    module, pretext: of the pretext, and its settings
    folder: what is made on the way lies there, such as a tokenizer of the data's texts
    Raises PlanError where that cannot be trained on data of this kind.
    """
    import torch

    torch.manual_seed(plan["seed"])
    if data.kind == "text":
        from headstart.pretraining.text_student import begin_text

        return begin_text(plan, module, pretext, data.examples, folder, root)
    side = plan["side"]
    if side % 32 or not 32 <= side <= 512:
        raise PlanError(f"--side {side}: a multiple of 32 from 32 to 512 is expected.")
    name = plan["student"] if plan["student"] != "auto" else "mobilenetv4_conv_small"
    if ":" in name:
        return _continued(name, side, root)
    from headstart.backbones.timm_trunk import build

    model = build(f"--student {name}", name, {})
    spec = Preprocess(
        "image",
        (
            ("crop_mode", "center"),
            ("crop_pct", 1.0),
            ("input_size", (3, side, side)),
            ("interpolation", "bicubic"),
            ("mean", (0.485, 0.456, 0.406)),
            ("std", (0.229, 0.224, 0.225)),
        ),
    )
    body = _body(model)
    with torch.inference_mode():
        width = int(body.eval()({"pixels": torch.zeros(2, 3, side, side)}).shape[1])
    body.to(memory_format=torch.channels_last)
    return Making(Student(body, model, width, spec), "timm", name, {})


def _continued(name: str, side: int, root: Path) -> Making:
    """A borrowed timm or own network whose weights may move, at its own input size."""
    import json

    from headstart.backbones.network import open_network

    card = find_card(name, root)
    if card.preprocess.kind != "image":
        raise PlanError(f"{name} reads {card.preprocess.kind}; a network for images is expected to go on from.")
    files = {p.name: p for p in member("backbones", card.family).files(card.local)}
    facts = json.loads(files.get("config.json", files.get("card.json", Path())).read_text(encoding="utf-8"))
    architecture = facts["architecture"]
    model = open_network(card).model.requires_grad_(True)
    return Making(
        Student(_body(model), model, card.width, card.preprocess),
        "timm",
        architecture,
        facts.get("model_args") or facts.get("arguments") or {},
        name,
    )


def _body(model: Any):
    from torch import nn

    class Body(nn.Module):
        def __init__(self, inner: nn.Module):
            super().__init__()
            self.inner = inner

        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.inner.forward_head(self.inner.forward_features(batch["pixels"]), pre_logits=True)  # type: ignore[operator]

    return Body(model)


def finish(making: Making, folder: Path, facts: dict) -> Backbone:
    """Writes the backbone folder, and checks that its graph says what the network says.

    Raises PlanError when it does not.
    """
    from headstart.pretraining import publish

    if making.form == "transformers":
        from headstart.pretraining.text_student import finish_text

        return finish_text(making, folder, facts)
    student = making.student
    publish.network(folder, student.model, making.architecture, making.arguments, student.spec, facts)
    card = member("backbones", "own").card(str(folder))
    apart = publish.same_rows(card, _body(student.model).eval())
    if apart > 1e-4:
        raise PlanError(f"The graph of {folder} gives other rows than the network it was made from, by {apart:.2%}.")
    return card


def probed(making: Making, source: object, seed: int) -> float:
    """Accuracy of a linear probe on what the student sees as it is now: PROBES labelled examples, plain views."""
    import torch

    task = read(source, seed=seed)
    rng = np.random.default_rng(seed)
    learn, judge = (rng.permutation(task.parts[part]) for part in ("train", "test"))
    if not len(judge):  # too few for a part of their own: a third judges
        learn, judge = learn[len(learn) // 3 :], learn[: len(learn) // 3]
    chosen = [some[:most] for some, most in zip((learn, judge), PROBES, strict=True)]
    spec = making.student.spec
    prepare = member("preprocess", spec.kind)
    place = next(making.student.body.parameters()).device
    parts = []
    making.student.body.eval()
    for index in chosen:
        examples = [task.examples[i] for i in index]
        ready = prepare.prepare([c for _, c in contents.stream(examples) if not isinstance(c, Unreadable)], spec)
        if any(isinstance(r, Unreadable) for r in ready) or len(ready) != len(examples):
            raise SourceError(
                f"The data to probe with, {source}, hold something that cannot be read. Fit them first to see what."
            )
        units = [unit for some in ready for unit in some[:1]]
        rows = []
        with torch.inference_mode():
            for first in range(0, len(units), 32):
                arrays = prepare.batch(units[first : first + 32], spec)
                batch = {k: torch.from_numpy(v).to(place) for k, v in arrays.items()}
                rows.append(making.student.body(batch).float().cpu().numpy())
        y = task.objective.encode([e.label for e in examples])
        parts.append(Features(np.concatenate(rows), y, tuple(e.id for e in examples)))
    train, judged = parts
    head = member("methods", "logistic").Settings()
    nothing = train.rows(np.zeros(0, np.int64))
    fitted = head.fit(train, nothing, task.objective, above=None, rng=np.random.default_rng(seed))
    return round(task.objective.score(fitted.scores(judged.x), judged.y), 4)
