"""Feature distillation: the student's projections learn its teachers' embeddings of the same view.

Sources: Hinton et al. 2015 (soft targets); Romero et al. 2015, FitNets (features); Park et al. 2019 (relations);
Beyer et al. 2022 (the same view for both, patience, blended images).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from headstart.backbones.network import normalize_pixels
from headstart.features.augmentation import GENTLE, PATIENT, STRONG, Policy
from headstart.pretraining.contracts import Corpus, Student
from headstart.training.tuning.loop import epoch_batch

SERVES = ("image",)
TEACHERS = "backbones"
POLICIES = {"gentle": GENTLE, "patient": PATIENT, "strong": STRONG}
STATISTICS_SAMPLE = 20_000  # rows that a teacher's mean and standard deviation are taken from
SIDE_MULTIPLE = 32  # the student's input side is a multiple of it


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is trained.

    loss:         on standardised embeddings: "mse", "cosine", or "relational" (distances between a batch's images)
    logit_weight: of the loss on the teachers' own logits beside that on their embeddings, where they have a classifier
    views:        stored views of each image; each is embedded once by the teacher
    augmentation: the policy of the views
    low_res_fraction: of the steps at half the side, first; half of the others are at three quarters, the last at all
    """

    loss: Literal["mse", "cosine", "relational"] = "mse"
    logit_weight: float = 1.0
    views: int = 2
    augmentation: Literal["gentle", "patient", "strong"] = "patient"
    batch_size: int = 128
    low_res_fraction: float = 0.6

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """The student, a linear projection a teacher, and the loss."""
        return FeatureDistillation(student, corpus, self)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """{"pixels": (b, side, side, 3) uint8, "row": (b,) int64 of the teachers' targets}"""
        return draw_views(self, student, corpus, index)

    def policy_of(self) -> Policy:
        """The policy of the stored views."""
        return POLICIES[self.augmentation]


def draw_views(settings: Any, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
    """The images of a step, each epoch in its next stored view, and the rows of the teachers' targets for them.

    Progressive resizing: half the side at first, three times as fast. Source: Howard 2018.
    """
    assert corpus.images is not None
    full, fraction = int(student.spec["input_size"][1]), settings.low_res_fraction  # type: ignore[index]
    first, second = fraction * corpus.steps, (1 + fraction) / 2 * corpus.steps
    scale = 0.5 if index < first else 0.75 if index < second else 1.0
    side = max(SIDE_MULTIPLE, round(scale * full / SIDE_MULTIPLE) * SIDE_MULTIPLE)
    chosen, epoch = epoch_batch(len(corpus), settings.batch_size, index, corpus.seed)
    number, policy = 1 + epoch % settings.views, settings.policy_of()
    pixels = np.stack([corpus.images.view(int(i), number, policy, corpus.seed, side) for i in chosen])
    return {"pixels": pixels, "row": (number - 1) * len(corpus) + chosen}


class FeatureDistillation(nn.Module):
    """Student and projections; targets are stored as they are and standardised in the forward pass."""

    def __init__(self, student: Student, corpus: Corpus, settings: Settings):
        super().__init__()
        self.body, self.spec, self.settings = student.body, student.spec, settings
        self.targets = [teacher.rows for teacher in corpus.teachers]
        self.projections = nn.ModuleList(nn.Linear(student.width, rows.shape[1]) for rows in self.targets)
        self.classified = [teacher.classifier is not None for teacher in corpus.teachers]
        for k, teacher in enumerate(corpus.teachers):
            n = len(teacher.rows)
            sample = teacher.rows[np.linspace(0, n - 1, min(STATISTICS_SAMPLE, n)).astype(np.int64)].astype(np.float64)
            self.register_buffer(f"mean{k}", torch.tensor(sample.mean(0), dtype=torch.float32))
            self.register_buffer(f"spread{k}", torch.tensor(sample.std(0) + 1e-6, dtype=torch.float32))
            if teacher.classifier is not None:
                self.register_buffer(f"weight{k}", torch.tensor(teacher.classifier[0]))
                self.register_buffer(f"bias{k}", torch.tensor(teacher.classifier[1]))

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The mean of the teachers' losses."""
        embeddings = self.body({"pixels": normalize_pixels(batch["pixels"], self.spec)}).float()
        rows = batch["row"].cpu().numpy()
        losses = []
        for k, projection in enumerate(self.projections):
            mean, std = self.get_buffer(f"mean{k}"), self.get_buffer(f"spread{k}")
            target = torch.from_numpy(np.ascontiguousarray(self.targets[k][rows])).to(embeddings.device)
            projected = projection(embeddings)
            loss = distillation_loss(projected, (target - mean) / std, self.settings.loss)
            if self.classified[k] and self.settings.logit_weight:
                weight, bias = self.get_buffer(f"weight{k}"), self.get_buffer(f"bias{k}")
                soft_targets = F.softmax(target @ weight.T + bias, 1)
                log_probabilities = F.log_softmax((projected * std + mean) @ weight.T + bias, 1)
                divergence = F.kl_div(log_probabilities, soft_targets, reduction="batchmean")
                loss = loss + self.settings.logit_weight * divergence
            losses.append(loss)
        return torch.stack(losses).mean()


def distillation_loss(projected: torch.Tensor, target: torch.Tensor, loss: str) -> torch.Tensor:
    """Of (b, d) standardised embeddings; about 1 for a student that always gives the mean."""
    if loss == "cosine":
        return 1 - F.cosine_similarity(projected, target, dim=1).mean()
    if loss == "relational":
        a, b = (torch.cdist(x, x) for x in (projected, target))
        return F.smooth_l1_loss(a / a.mean().clamp(min=1e-6), b / b.mean().clamp(min=1e-6)) * 10
    return F.mse_loss(projected, target)
