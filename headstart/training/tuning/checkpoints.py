"""Which weights a training keeps: the best checkpoints on the validation set, averaged, or those before it diverged."""

from __future__ import annotations

import numpy as np
import torch

from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.tuning.learner import Learner, forward_in_batches
from headstart.training.tuning.tuned import trained_tensors

AVERAGED = 3  # best checkpoints that are averaged. Source: Wortsman et al. 2022, "Model soups"
PATIENCE = 5  # checks without a gain that stop the training early

Weights = dict[str, torch.Tensor]


def copy_trained(learner: Learner) -> Weights:
    """Everything that learns, as it is now."""
    tensors = {f"body.{n}": t for n, t in trained_tensors(learner).items()}
    tensors |= {f"head.{n}": p for n, p in learner.head.named_parameters()}
    return {name: t.detach().clone() for name, t in tensors.items()}


def load_trained(learner: Learner, weights: Weights) -> None:
    """Puts tensors into the learner, by name."""
    tensors = {**dict(learner.named_parameters()), **dict(learner.named_buffers())}
    with torch.no_grad():
        for name, tensor in weights.items():
            tensors[name].copy_(tensor)


def validation_loss(learner: Learner, val: Features, objective: Objective) -> float:
    """The objective's mean loss, in the precision of training: it only compares."""
    logits = torch.from_numpy(forward_in_batches(learner, val.x, learner, mixed=True))
    return float(objective.loss(logits, torch.from_numpy(val.y)))


class BestCheckpoints:
    """The best checkpoints of a training by validation loss; the start is the first of them.

    history: [{"step", "loss"}] of all that were evaluated
    """

    def __init__(self, learner: Learner, val: Features, objective: Objective, start: Weights):
        self._learner, self._val, self._objective, self._start = learner, val, objective, start
        loss = validation_loss(learner, val, objective)
        self._best = [(loss, start)]
        self.history = [{"step": 0, "loss": loss}]

    def evaluate(self, step: int) -> None:
        """Takes the weights as they are now, if they are among the best."""
        loss = validation_loss(self._learner, self._val, self._objective)
        self.history.append({"step": step, "loss": loss})
        entries = [*self._best, (loss, copy_trained(self._learner))]
        self._best = sorted(entries, key=lambda entry: entry[0])[:AVERAGED]

    def is_stale(self) -> bool:
        """Whether PATIENCE checks in a row brought no gain: early stopping."""
        latest = [check["loss"] for check in self.history[-PATIENCE:]]
        return len(self.history) > PATIENCE and min(latest) > self._best[0][0]

    def restore(self) -> str:
        """Puts back the mean of the best where it is better than the best of them; says what it put back."""
        loss, weights = self._best[0]
        if len(self._best) > 1:
            mean = {name: torch.stack([w[name] for _, w in self._best]).mean(0) for name in weights}
            load_trained(self._learner, mean)
            if validation_loss(self._learner, self._val, self._objective) <= loss:
                return f"the mean of the best {len(self._best)} checks"
        load_trained(self._learner, weights)
        return "the start, which no step bettered on the held-out part" if weights is self._start else "the best check"


class CalmestCheckpoint:
    """Where nothing was held out: the weights behind the stretch of steps with the least training loss so far."""

    def __init__(self, start: Weights):
        self.loss, self.step, self.weights = float("inf"), 0, start

    def evaluate(self, learner: Learner, step: int, losses: list[float]) -> None:
        """losses: of the stretch that ends here"""
        loss = float(np.mean(losses))
        if loss < self.loss:
            self.loss, self.step, self.weights = loss, step, copy_trained(learner)
