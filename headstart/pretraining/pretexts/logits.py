"""Logit distillation: the student learns to answer as a fitted model does, softened by a temperature.

Source: Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headstart.backbones.network import normalised
from headstart.features.augmentation import Policy
from headstart.pretraining.contracts import Corpus, Student
from headstart.pretraining.pretexts.features import POLICIES, seen, side_at

SERVES = ("image",)
TEACHERS = "models"


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is taught.

    temperature: of both sides' scores; higher shows more of what the teacher holds for nearly right
    views:       stored views of each picture; the teacher is asked once about each
    policy:      what a view may do.  small: share of the steps at three quarters of the side, first
    """

    temperature: float = 2.0
    views: int = 2
    policy: Literal["gentle", "patient", "strong"] = "gentle"
    batch: int = 64
    small: float = 0.6

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """The student with a head of the teacher's classes, which is thrown away."""
        return Answering(student, corpus, self.temperature)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """{"pixels": (b, side, side, 3) uint8, "at": (b,) int64 which row of the teacher each is}"""
        side = side_at(student, corpus, index, self.small)
        return seen(corpus, index, self.batch, self.views, self.policy_of(), side)

    def policy_of(self) -> Policy:
        """The views' policy."""
        return POLICIES[self.policy]


class Answering(nn.Module):
    """Student and head; the loss is T^2 times the divergence from the teachers' softened answers."""

    def __init__(self, student: Student, corpus: Corpus, temperature: float):
        super().__init__()
        self.body, self.spec, self.temperature = student.body, student.spec, temperature
        self.rows = [teacher.rows for teacher in corpus.teachers]
        self.heads = nn.ModuleList(nn.Linear(student.width, rows.shape[1]) for rows in self.rows)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The mean over the teachers."""
        row = self.body({"pixels": normalised(batch["pixels"], self.spec)}).float()
        at, t = batch["at"].cpu().numpy(), self.temperature
        losses = []
        for rows, head in zip(self.rows, self.heads, strict=True):
            told = torch.from_numpy(np.ascontiguousarray(rows[at])).to(row.device)
            apart = F.kl_div(F.log_softmax(head(row) / t, 1), F.softmax(told / t, 1), reduction="batchmean")
            losses.append(t * t * apart)
        return torch.stack(losses).mean()
