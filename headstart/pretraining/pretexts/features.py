"""Feature distillation: the student learns to say what its teachers say of the same view, each through a projection.

Sources: Hinton et al. 2015 (soft scores); Romero et al. 2015, FitNets (features); Park et al. 2019 (relations);
Beyer et al. 2022 (the same view for both, patience, blended pictures).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headstart.backbones.network import normalised
from headstart.features.augmentation import GENTLE, PATIENT, STRONG, Policy
from headstart.pretraining.contracts import Corpus, Student
from headstart.training.tuning.loop import turn

SERVES = ("image",)
TEACHERS = "backbones"
POLICIES = {"gentle": GENTLE, "patient": PATIENT, "strong": STRONG}
SAMPLE = 20_000  # rows that a teacher's mean and spread are taken from
EDGES = 32  # the student's side is a multiple of it


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is taught.

    loss:    on standardised features: "mse", "cosine", or "relational" (distances between the pictures of a batch)
    classes: weight of the teachers' own class scores beside their features, where they have a classifier
    views:   stored views of each picture; the teacher is asked once about each
    policy:  what a view may do
    small:   share of the steps at half the side, first; half of the others are at three quarters, the last at all of it
    """

    loss: Literal["mse", "cosine", "relational"] = "mse"
    classes: float = 1.0
    views: int = 2
    policy: Literal["gentle", "patient", "strong"] = "patient"
    batch: int = 128
    small: float = 0.6

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """The student, a linear projection a teacher, and the loss."""
        return Taught(student, corpus, self)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """{"pixels": (b, side, side, 3) uint8, "at": (b,) int64 which row of the teachers each is}"""
        side = side_at(student, corpus, index, self.small)
        return seen(corpus, index, self.batch, self.views, self.policy_of(), side)

    def policy_of(self) -> Policy:
        """The views' policy."""
        return POLICIES[self.policy]


def side_at(student: Student, corpus: Corpus, index: int, small: float) -> int:
    """Pixels at a step: half the side at first, which is three times as fast, then more. Source: Howard 2018."""
    whole = int(student.spec["input_size"][1])  # type: ignore[index]
    share = 0.5 if index < small * corpus.steps else 0.75 if index < (1 + small) / 2 * corpus.steps else 1.0
    return max(EDGES, round(share * whole / EDGES) * EDGES)


def seen(corpus: Corpus, index: int, batch: int, views: int, policy: Policy, side: int) -> dict[str, np.ndarray]:
    """The pictures of a step in the view that is their turn, and where the teachers' rows for it are."""
    assert corpus.pictures is not None
    chosen, lap = turn(len(corpus), batch, index, corpus.seed)
    number = 1 + lap % views
    pixels = np.stack([corpus.pictures.view(int(i), number, policy, corpus.seed, side) for i in chosen])
    return {"pixels": pixels, "at": (number - 1) * len(corpus) + chosen}


class Taught(nn.Module):
    """Student and projections; targets are kept as they are and standardised on the way."""

    def __init__(self, student: Student, corpus: Corpus, settings: Settings):
        super().__init__()
        self.body, self.spec, self.settings = student.body, student.spec, settings
        self.rows = [teacher.rows for teacher in corpus.teachers]
        self.projections = nn.ModuleList(nn.Linear(student.width, r.shape[1]) for r in self.rows)
        self.heads = [t.head for t in corpus.teachers]
        for k, teacher in enumerate(corpus.teachers):
            some = np.linspace(0, len(teacher.rows) - 1, min(SAMPLE, len(teacher.rows))).astype(np.int64)
            sample = teacher.rows[some].astype(np.float64)
            self.register_buffer(f"mean{k}", torch.tensor(sample.mean(0), dtype=torch.float32))
            self.register_buffer(f"spread{k}", torch.tensor(sample.std(0) + 1e-6, dtype=torch.float32))
            if teacher.head is not None:
                self.register_buffer(f"weight{k}", torch.tensor(teacher.head[0]))
                self.register_buffer(f"bias{k}", torch.tensor(teacher.head[1]))

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The mean of the teachers' losses."""
        row = self.body({"pixels": normalised(batch["pixels"], self.spec)}).float()
        at = batch["at"].cpu().numpy()
        losses = []
        for k, (rows, projection) in enumerate(zip(self.rows, self.projections, strict=True)):
            mean, spread = self.get_buffer(f"mean{k}"), self.get_buffer(f"spread{k}")
            told = torch.from_numpy(np.ascontiguousarray(rows[at])).to(row.device)
            wanted = (told - mean) / spread
            said = projection(row)
            losses.append(apart(said, wanted, self.settings.loss))
            if self.heads[k] is not None and self.settings.classes:
                weight, bias = self.get_buffer(f"weight{k}"), self.get_buffer(f"bias{k}")
                truth = F.softmax(told @ weight.T + bias, 1)
                guess = F.log_softmax((said * spread + mean) @ weight.T + bias, 1)
                losses[-1] = losses[-1] + self.settings.classes * F.kl_div(guess, truth, reduction="batchmean")
        return torch.stack(losses).mean()


def apart(said: torch.Tensor, wanted: torch.Tensor, loss: str) -> torch.Tensor:
    """How far (b, d) is from what is wanted; 1 for a student that always says the mean."""
    if loss == "cosine":
        return 1 - F.cosine_similarity(said, wanted, dim=1).mean()
    if loss == "relational":
        a, b = (torch.cdist(x, x) for x in (said, wanted))
        return F.smooth_l1_loss(a / a.mean().clamp(min=1e-6), b / b.mean().clamp(min=1e-6)) * 10
    return F.mse_loss(said, wanted)
