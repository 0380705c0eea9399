"""The loss of a batch: the objective's with label smoothing, and the pull toward the borrowed weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from headstart.core.task import Objective
from headstart.training.tuning.learner import Learner

BatchLoss = Callable[[Learner, dict[str, torch.Tensor]], torch.Tensor]


class TrainingLoss(nn.Module):
    """The loss of a batch with its labels as "y", and an L2 penalty on the distance to the weights at the start.

    l2_sp: strength of the penalty. Source: Li et al. 2018
    """

    def __init__(self, learner: Learner, loss: BatchLoss, l2_sp: float):
        super().__init__()
        self.learner, self._loss, self._l2_sp = learner, loss, l2_sp
        self._start = [(p, p.detach().clone()) for p in learner.body.parameters() if p.requires_grad and l2_sp]

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """A scalar."""
        loss = self._loss(self.learner, batch)
        for parameter, start in self._start:
            loss = loss + 0.5 * self._l2_sp * (parameter - start).square().sum()
        return loss


def objective_loss(objective: Objective, label_smoothing: float) -> BatchLoss:
    """The objective's loss, with label smoothing for classes."""
    return lambda learner, batch: smoothed_loss(objective, learner(batch).float(), batch["y"], label_smoothing)


def smoothed_loss(objective: Objective, logits: torch.Tensor, y: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    """Mean loss of logits (b, k)."""
    if objective.link == "softmax" and label_smoothing:
        return F.cross_entropy(logits, y, label_smoothing=label_smoothing)
    return objective.loss(logits, y)
