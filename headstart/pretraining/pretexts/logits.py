"""Logit distillation: the student learns a fitted model's class probabilities, softened by a temperature.

Source: Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headstart.backbones.network import normalize_pixels
from headstart.features.augmentation import Policy
from headstart.pretraining.contracts import Corpus, Student
from headstart.pretraining.pretexts.features import POLICIES, draw_views

SERVES = ("image",)
TEACHERS = "models"


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is trained.

    temperature:  of both sides' logits; higher shows more of what the teacher holds for nearly right
    views:        stored views of each image; each goes through the teacher once
    augmentation: the policy of the views
    low_res_fraction: of the steps at half the side, first; half of the others are at three quarters, the last at all
    """

    temperature: float = 2.0
    views: int = 2
    augmentation: Literal["gentle", "patient", "strong"] = "gentle"
    batch_size: int = 64
    low_res_fraction: float = 0.6

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """The student with a classifier of the teacher's classes, which is dropped at the end."""
        return LogitDistillation(student, corpus, self.temperature)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """{"pixels": (b, side, side, 3) uint8, "row": (b,) int64 of the teachers' logits}"""
        return draw_views(self, student, corpus, index)

    def policy_of(self) -> Policy:
        """The policy of the stored views."""
        return POLICIES[self.augmentation]


class LogitDistillation(nn.Module):
    """Student and a classifier a teacher; the loss is T^2 times the KL divergence of the softened probabilities."""

    def __init__(self, student: Student, corpus: Corpus, temperature: float):
        super().__init__()
        self.body, self.spec, self.temperature = student.body, student.spec, temperature
        self.targets = [teacher.rows for teacher in corpus.teachers]
        self.heads = nn.ModuleList(nn.Linear(student.width, logits.shape[1]) for logits in self.targets)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The mean over the teachers."""
        embeddings = self.body({"pixels": normalize_pixels(batch["pixels"], self.spec)}).float()
        rows, t = batch["row"].cpu().numpy(), self.temperature
        losses = []
        for logits, head in zip(self.targets, self.heads, strict=True):
            target = torch.from_numpy(np.ascontiguousarray(logits[rows])).to(embeddings.device)
            log_probabilities = F.log_softmax(head(embeddings) / t, 1)
            losses.append(t * t * F.kl_div(log_probabilities, F.softmax(target / t, 1), reduction="batchmean"))
        return torch.stack(losses).mean()
