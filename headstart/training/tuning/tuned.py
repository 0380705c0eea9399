"""What a training above a cut leaves: the tuned network with its head, how it is stored, and how it comes back.

Imports torch when it is imported: methods open it inside their functions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from headstart.backbones.network import names_above
from headstart.core.features import Features
from headstart.core.head import Head
from headstart.core.plan import Above
from headstart.core.task import Objective
from headstart.training.heads.probe import fit_probe
from headstart.training.tuning import loop
from headstart.training.tuning.learner import Learner, passed, resize


class Tuned:
    """What a method learned above a cut. notes: JSON"""

    def __init__(self, learner: Learner, settings: dict, temperature: float, notes: dict):
        self.learner, self.settings, self.temperature, self.notes = learner.eval(), settings, temperature, notes

    def scores(self, x: Any) -> np.ndarray:
        """What left the cut -> (n, k) float32 calibrated scores."""
        said = passed(self.learner, x, self.learner)
        return (said / self.temperature).astype(np.float32).reshape(len(x), self.learner.head.out_features)

    def head(self) -> Head:
        """One matrix, on rows as the network above the cut gives them."""
        learner = self.learner
        weight, bias, mean = (
            t.detach().cpu().numpy().astype(np.float64) for t in (learner.head.weight, learner.head.bias, learner.mean)
        )
        matrix = weight.T * (float(learner.gain) / self.temperature)
        return Head(((matrix, bias / self.temperature - mean @ matrix),))

    def state(self) -> dict[str, np.ndarray]:
        """Everything that changed by the library's own names, the head, and as JSON what must be built to take it."""
        names = names_above(self.learner.body)
        kept = {names[name]: tensor for name, tensor in changed(self.learner).items()}
        out = {f"body.{name}": t.detach().float().cpu().numpy() for name, t in kept.items()}
        recipe = json.dumps({"width": self.learner.head.out_features, "settings": self.settings})
        own = {name: getattr(self.learner, name).detach().cpu().numpy().reshape(-1) for name in ("mean", "gain")}
        head = {f"head.{name}": p.detach().cpu().numpy() for name, p in self.learner.head.named_parameters()}
        extra = {"temperature": np.array([self.temperature]), "recipe": np.frombuffer(recipe.encode(), np.uint8)}
        return {**out, **own, **head, **extra}

    def files(self) -> dict[str, bytes]:
        """Further files for the model folder."""
        from headstart.training.tuning import peft_adapters

        return peft_adapters.files(self.learner)


def restored(state: dict[str, np.ndarray], above: Callable[[], Above], alter: Callable[[Learner, dict], None]) -> Tuned:
    """The Tuned whose `state()` this is. alter: what its method does to a learner before it learns."""
    recipe = json.loads(state["recipe"].tobytes())
    learner = Learner(above(), recipe["width"])
    alter(learner, recipe["settings"])
    if state["head.weight"].shape[1] != learner.head.in_features:
        resize(learner, state["head.weight"].shape[1])
    names = {theirs: ours for ours, theirs in names_above(learner.body).items()}
    own: dict[str, torch.Tensor] = {**dict(learner.body.named_parameters()), **dict(learner.body.named_buffers())}
    with torch.no_grad():
        for name, value in state.items():
            if name.startswith("body."):
                own[names[name.removeprefix("body.")]].copy_(torch.from_numpy(value))
        learner.mean.copy_(torch.from_numpy(state["mean"]))
        learner.gain.copy_(torch.from_numpy(state["gain"])[0])
        learner.head.weight.copy_(torch.from_numpy(state["head.weight"]))
        learner.head.bias.copy_(torch.from_numpy(state["head.bias"]))
    return Tuned(learner, recipe["settings"], float(state["temperature"][0]), {})


def changed(learner: Learner) -> dict[str, torch.Tensor]:
    """Tensors of the body that learn, by name in it; BatchNorm's statistics too where they adapt."""
    own = dict(learner.body.named_parameters())
    names = learner.learns if learner.learns is not None else [n for n, p in own.items() if p.requires_grad]
    out: dict[str, torch.Tensor] = {name: own[name] for name in names}
    if learner.norms == "adapt":
        for path, module in learner.body.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                out |= {f"{path}.{n}": b for n, b in module.named_buffers(recurse=False) if b.is_floating_point()}
    return out


def opened(
    above: Callable[[], Above],
    objective: Objective,
    train: Features,
    alter: Callable[[Learner], None] = lambda learner: None,
) -> tuple[Learner, np.ndarray]:
    """A learner that has seen how its rows are spread, and those rows (n, d) as they were before anything learned.

    alter: done to it first
    """
    learner = Learner(above(), objective.width)
    alter(learner)
    learner.to(loop.device())
    rows = passed(learner, train.x, learner.rows)
    if rows.shape[1] != learner.head.in_features:  # a backbone that gives more at its top than its network
        resize(learner, rows.shape[1])
    mean = rows.mean(0, dtype=np.float64)
    spread = math.sqrt(float(((rows - mean) ** 2).mean())) or 1.0
    learner.mean.copy_(torch.from_numpy(mean.astype(np.float32)))
    learner.gain.fill_(1 / spread)
    return learner, rows


def probed(learner: Learner, rows: np.ndarray, train: Features, objective: Objective, rng: np.random.Generator) -> dict:
    """Puts a head fitted to convergence on the learner; gives its notes. rows: (n, d) of `train`, before training."""
    head = fit_probe(objective, Features(rows, train.y, train.ids, train.groups), rng)
    set_head(learner, *affine(head, rows.shape[1]))
    return head.notes


def affine(head: Any, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(d, k) and (k,) float64 of a head that is a matrix and a bias."""
    bias = head.scores(np.zeros((1, width), np.float32))[0].astype(np.float64)
    return head.scores(np.eye(width, dtype=np.float32)).astype(np.float64) - bias, bias


def set_head(learner: Learner, weight: np.ndarray, bias: np.ndarray) -> None:
    """(d, k) and (k,) for raw rows as the learner's head, which sees them centred and scaled."""
    gain, mean = float(learner.gain), learner.mean.cpu().numpy().astype(np.float64)
    with torch.no_grad():
        learner.head.weight.copy_(torch.from_numpy((weight / gain).T.astype(np.float32)))
        learner.head.bias.copy_(torch.from_numpy((bias + mean @ weight).astype(np.float32)))
