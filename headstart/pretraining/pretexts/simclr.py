"""SimCLR: of all images of a batch, a view must find the other view of its own image.

Source: Chen et al. 2020, "A simple framework for contrastive learning of visual representations": two strongly
augmented views, a projection head that is dropped at the end, and NT-Xent, the cross-entropy over cosine similarities
divided by a temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from headstart.backbones.network import normalize_pixels
from headstart.core.errors import PlanError
from headstart.features.augmentation import GENTLE, STRONG
from headstart.pretraining.contracts import Corpus, Student
from headstart.training.tuning.loop import epoch_batch

SERVES = ("image",)
TEACHERS = ""
POLICIES = {"gentle": GENTLE, "strong": STRONG}


@dataclass(frozen=True, slots=True)
class Settings:
    """How the student is trained.

    batch_size:     images a step, each in two views: a view has 2 * batch_size - 2 negatives
    temperature:    of the similarities; Chen et al. found 0.5 best for small images, 0.1 for ImageNet
    augmentation:   the policy of the views.  projection_dim: of the space in which views are compared
    micro_batch:    views whose similarities to all others are held at once; it changes memory, not the loss
    """

    batch_size: int = 128
    temperature: float = 0.5
    augmentation: Literal["strong", "gentle"] = "strong"
    projection_dim: int = 128
    micro_batch: int = 512

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """The student, its projection head, and the loss. Raises PlanError where a batch holds no negatives."""
        if min(self.batch_size, len(corpus)) < 2 or self.temperature <= 0 or self.micro_batch < 1:
            raise PlanError(
                f"simclr with batch_size={self.batch_size}, temperature={self.temperature:g}, "
                f"micro_batch={self.micro_batch} on {len(corpus)} pictures cannot learn: at least 2 pictures a batch, "
                "a temperature above 0 and a micro_batch of at least 1 are expected."
            )
        return SimCLR(student, self)

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """{"pixels": (2b, side, side, 3) uint8}: one view of each image, then the other; no view comes twice."""
        assert corpus.images is not None
        chosen, epoch = epoch_batch(len(corpus), self.batch_size, index, corpus.seed)
        side = int(student.spec["input_size"][1])  # type: ignore[index]
        policy, numbers = POLICIES[self.augmentation], (1 + 2 * epoch, 2 + 2 * epoch)
        views = [corpus.images.view(int(i), number, policy, corpus.seed, side) for number in numbers for i in chosen]
        return {"pixels": np.stack(views)}


class SimCLR(nn.Module):
    """Student and projection head: two linear layers, as in the paper, with the norm that its authors' code has."""

    def __init__(self, student: Student, settings: Settings):
        super().__init__()
        self.body, self.spec, self.settings = student.body, student.spec, settings
        width, out = student.width, settings.projection_dim
        self.projection = nn.Sequential(
            nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, out)
        )

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """NT-Xent of a batch, in nats: log(2b - 1) at chance level."""
        z = self.projection(self.body({"pixels": normalize_pixels(batch["pixels"], self.spec)}))
        return nt_xent_loss(z, self.settings.temperature, self.settings.micro_batch)


def nt_xent_loss(z: torch.Tensor, temperature: float, micro_batch: int) -> torch.Tensor:
    """The mean cross-entropy of finding one's other view among all others. Source: Chen et al. 2020, equation 1.

    z: (2b, d) projections; row i and row i + b are views of one image
    Similarities are float32 whatever z is: at half precision and temperature 0.1 a cosine's last digit is 0.04 nats.
    Never more than `micro_batch` rows of them are held, in the backward pass neither: gradient checkpointing.
    """
    half = len(z) // 2
    with torch.autocast(z.device.type, enabled=False):
        unit = F.normalize(z.float(), dim=1)
        positives = torch.arange(len(z), device=z.device).roll(half)
        losses = [
            checkpoint(_row_losses, unit, positives, first, min(first + micro_batch, len(z)), temperature,
                       use_reentrant=False, preserve_rng_state=False)
            for first in range(0, len(z), micro_batch)
        ]  # fmt: skip
        return torch.stack(losses).sum() / len(z)


def _row_losses(unit: torch.Tensor, positives: torch.Tensor, first: int, stop: int, temperature: float) -> torch.Tensor:
    """The sum of the losses of rows `first` to `stop` - 1."""
    logits = unit[first:stop] @ unit.T / temperature
    rows = torch.arange(first, stop, device=unit.device)
    # A view is no candidate for itself.
    logits = logits.scatter(1, rows[:, None], float("-inf"))
    return F.cross_entropy(logits, positives[first:stop], reduction="sum")
