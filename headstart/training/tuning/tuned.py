"""The trained blocks above a cut with their head: how they are stored, and how they come back."""

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
from headstart.core.plan import OpenAbove
from headstart.core.task import Objective
from headstart.training.heads.probe import fit_probe
from headstart.training.tuning import loop
from headstart.training.tuning.allocation_limit import building_at_most
from headstart.training.tuning.learner import Learner, forward_in_batches, resize_head


class Tuned:
    """What a method learned above a cut.

    settings: of the method, from which its network is built again.  temperature: logits are divided by it.  notes: JSON
    """

    def __init__(self, learner: Learner, settings: dict, temperature: float, notes: dict):
        self.learner, self.settings, self.temperature, self.notes = learner.eval(), settings, temperature, notes

    def scores(self, x: Any) -> np.ndarray:
        """Features at the cut -> (n, k) float32 calibrated logits."""
        logits = forward_in_batches(self.learner, x, self.learner)
        return (logits / self.temperature).astype(np.float32).reshape(len(x), self.learner.head.out_features)

    def head(self) -> Head:
        """One matrix, on embeddings as the network above the cut gives them."""
        learner = self.learner
        weight, bias, mean = (
            t.detach().cpu().numpy().astype(np.float64) for t in (learner.head.weight, learner.head.bias, learner.mean)
        )
        matrix = weight.T * (float(learner.gain) / self.temperature)
        return Head(((matrix, bias / self.temperature - mean @ matrix),))

    def state(self) -> dict[str, np.ndarray]:
        """Every tensor that changed, by the library's own names; the head; as JSON what must be built to take them."""
        names = names_above(self.learner.body)
        trained = trained_tensors(self.learner)
        body = {f"body.{names[name]}": tensor.detach().float().cpu().numpy() for name, tensor in trained.items()}
        scaling = {name: getattr(self.learner, name).detach().cpu().numpy().reshape(-1) for name in ("mean", "gain")}
        head = {f"head.{name}": p.detach().cpu().numpy() for name, p in self.learner.head.named_parameters()}
        recipe = json.dumps({"width": self.learner.head.out_features, "settings": self.settings})
        extra = {"temperature": np.array([self.temperature]), "recipe": np.frombuffer(recipe.encode(), np.uint8)}
        return {**body, **scaling, **head, **extra}

    def files(self) -> dict[str, bytes]:
        """Further files for the model folder."""
        from headstart.training.tuning import peft_adapters

        return peft_adapters.files(self.learner)


def restore_tuned(state: dict[str, np.ndarray], above: OpenAbove, modify: Callable[[Learner, dict], dict]) -> Tuned:
    """The Tuned whose `state()` this is.

    modify: what its method does to a learner, given the stored settings; gives the settings under today's names
    Raises ArtifactError where the recipe asks for more than is stored, before memory is taken.
    """
    recipe, opened = json.loads(state["recipe"].tobytes()), above()
    width = state["head.weight"].shape[1]
    with building_at_most(sum(value.size for value in state.values())):
        learner = Learner(opened, recipe["width"], width)
        settings = modify(learner, recipe["settings"])
        if width != learner.head.in_features:
            resize_head(learner, width)
    names = {library: own for own, library in names_above(learner.body).items()}
    tensors: dict[str, torch.Tensor] = {**dict(learner.body.named_parameters()), **dict(learner.body.named_buffers())}
    with torch.no_grad():
        for name, value in state.items():
            if name.startswith("body."):
                tensors[names[name.removeprefix("body.")]].copy_(torch.from_numpy(value))
        learner.mean.copy_(torch.from_numpy(state["mean"]))
        learner.gain.copy_(torch.from_numpy(state["gain"])[0])
        learner.head.weight.copy_(torch.from_numpy(state["head.weight"]))
        learner.head.bias.copy_(torch.from_numpy(state["head.bias"]))
    return Tuned(learner, settings, float(state["temperature"][0]), {})


def trained_tensors(learner: Learner) -> dict[str, torch.Tensor]:
    """Tensors of the body that learn, by name in it; BatchNorm's statistics too where they adapt."""
    parameters = dict(learner.body.named_parameters())
    trainable = learner.trainable
    if trainable is None:
        trainable = tuple(n for n, p in parameters.items() if p.requires_grad)
    tensors: dict[str, torch.Tensor] = {name: parameters[name] for name in trainable}
    if learner.batch_norm == "adapt":
        for path, module in learner.body.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                buffers = module.named_buffers(recurse=False)
                tensors |= {f"{path}.{n}": b for n, b in buffers if b.is_floating_point()}
    return tensors


def open_learner(
    above: OpenAbove,
    objective: Objective,
    train: Features,
    modify: Callable[[Learner], None] = lambda learner: None,
) -> tuple[Learner, np.ndarray]:
    """A learner with the mean and scale of its embeddings, and those (n, d) of `train`, before training.

    modify: done to it first
    """
    learner = Learner(above(), objective.width)
    modify(learner)
    learner.to(loop.default_device())
    embeddings = forward_in_batches(learner, train.x, learner.embed)
    if embeddings.shape[1] != learner.head.in_features:  # a backbone that gives more at its top than its network
        resize_head(learner, embeddings.shape[1])
    mean = embeddings.mean(0, dtype=np.float64)
    scale = math.sqrt(float(((embeddings - mean) ** 2).mean())) or 1.0
    learner.mean.copy_(torch.from_numpy(mean.astype(np.float32)))
    learner.gain.fill_(1 / scale)
    return learner, embeddings


def fit_probe_head(
    learner: Learner, embeddings: np.ndarray, train: Features, objective: Objective, rng: np.random.Generator
) -> dict:
    """Puts the probe, fitted to convergence, on the learner; gives its notes. embeddings: (n, d) of `train`"""
    probe = fit_probe(objective, Features(embeddings, train.y, train.ids, train.groups), rng)
    set_head(learner, *affine_form(probe, embeddings.shape[1]))
    return probe.notes


def affine_form(head: Any, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(d, k) and (k,) float64 of a head that is a matrix and a bias."""
    bias = head.scores(np.zeros((1, width), np.float32))[0].astype(np.float64)
    return head.scores(np.eye(width, dtype=np.float32)).astype(np.float64) - bias, bias


def set_head(learner: Learner, weight: np.ndarray, bias: np.ndarray) -> None:
    """(d, k) and (k,) for raw embeddings as the learner's head, which sees them centred and scaled."""
    gain, mean = float(learner.gain), learner.mean.cpu().numpy().astype(np.float64)
    with torch.no_grad():
        learner.head.weight.copy_(torch.from_numpy((weight / gain).T.astype(np.float32)))
        learner.head.bias.copy_(torch.from_numpy((bias + mean @ weight).astype(np.float32)))
