"""SimCLR: of all pictures of a batch, a view must find the other view of its own.

Source: Chen et al. 2020, "A simple framework for contrastive learning of visual representations": two strong views, a
projection that is thrown away, and NT-Xent, the cross-entropy over cosine similarities divided by a temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from headstart.backbones.network import normalised
from headstart.core.errors import PlanError
from headstart.features.augmentation import GENTLE, STRONG
from headstart.pretraining.contracts import Corpus, Student
from headstart.training.tuning.loop import turn

SERVES = ("image",)
TEACHERS = ""
POLICIES = {"gentle": GENTLE, "strong": STRONG}


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is taught.

    batch:       pictures a step, each in two views: a view is told apart from 2 * batch - 2 others
    temperature: that similarities are divided by; Chen et al. found 0.5 best for small pictures, 0.1 for ImageNet
    policy:      what a view may do.  project: numbers that views are compared by
    chunk:       views whose similarities to all others are held at once; it changes memory, not the loss
    """

    batch: int = 128
    temperature: float = 0.5
    policy: Literal["strong", "gentle"] = "strong"
    project: int = 128
    chunk: int = 512

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """The student, its projection, and the loss. Raises PlanError where a batch holds nothing to be told apart."""
        if min(self.batch, len(corpus)) < 2 or self.temperature <= 0 or self.chunk < 1:
            raise PlanError(
                f"simclr with batch={self.batch}, temperature={self.temperature:g}, chunk={self.chunk} on "
                f"{len(corpus)} pictures cannot learn: at least 2 pictures a batch, a temperature above 0 and a chunk "
                "of at least 1 are expected."
            )
        return Paired(student, self)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """{"pixels": (2b, side, side, 3) uint8}: one view of each picture, then the other; no view comes twice."""
        assert corpus.pictures is not None
        chosen, lap = turn(len(corpus), self.batch, index, corpus.seed)
        side = int(student.spec["input_size"][1])  # type: ignore[index]
        policy = POLICIES[self.policy]
        views = [
            corpus.pictures.view(int(i), 1 + 2 * lap + which, policy, corpus.seed, side)
            for which in (0, 1)
            for i in chosen
        ]
        return {"pixels": np.stack(views)}


class Paired(nn.Module):
    """Student and projection: two linear layers, as in the paper, with the norm between that its authors' code has."""

    def __init__(self, student: Student, settings: Settings):
        super().__init__()
        self.body, self.spec, self.settings = student.body, student.spec, settings
        width = student.width
        self.projection = nn.Sequential(
            nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, settings.project)
        )

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """NT-Xent of a batch, in nats: log(2b - 1) for a student that sees nothing."""
        seen = self.projection(self.body({"pixels": normalised(batch["pixels"], self.spec)}))
        return ntxent(seen, self.settings.temperature, self.settings.chunk)


def ntxent(z: torch.Tensor, temperature: float, chunk: int) -> torch.Tensor:
    """The mean cross-entropy of finding one's other view among all others. Source: Chen et al. 2020, equation 1.

    z: (2b, d); row i and row i + b are views of one picture
    Similarities are float32 whatever z is: at half precision and temperature 0.1 a cosine's last digit is 0.04 nats.
    Never more than `chunk` rows of them are held, backwards neither: they are computed again there.
    """
    half = len(z) // 2
    with torch.autocast(z.device.type, enabled=False):
        unit = F.normalize(z.float(), dim=1)
        other = torch.arange(len(z), device=z.device).roll(half)
        parts = [
            checkpoint(_row_losses, unit, other, first, min(first + chunk, len(z)), temperature,
                       use_reentrant=False, preserve_rng_state=False)
            for first in range(0, len(z), chunk)
        ]  # fmt: skip
        return torch.stack(parts).sum() / len(z)


def _row_losses(unit: torch.Tensor, other: torch.Tensor, first: int, stop: int, temperature: float) -> torch.Tensor:
    """The sum of the losses of rows `first` to `stop` - 1."""
    scores = unit[first:stop] @ unit.T / temperature
    rows = torch.arange(first, stop, device=unit.device)
    # A view is no candidate for itself.
    scores = scores.scatter(1, rows[:, None], float("-inf"))
    return F.cross_entropy(scores, other[first:stop], reduction="sum")
