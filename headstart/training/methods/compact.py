"""A small network of its own from scratch: what to take where borrowing hurts.

Photos: four stages of convolutions at a third of the borrowed network's size, 0.4 million weights. Texts: the mean of
token vectors under a hidden layer (Joulin et al. 2017, fastText). Only the preprocessing is the backbone's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.features import Features
from headstart.core.task import Objective

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.tuned import Tuned


SIDE = 64  # pixels that photos are shrunk to


@dataclass(frozen=True, slots=True)
class Settings:
    """How the small network is trained.

    steps: 0 = by the number of examples and the budget, and four times as many as fine-tuning takes.  batch: of a step
    width: channels of the first stage of convolutions; of token vectors twice as many
    rate, weight: learning rate, and decay of matrices
    smooth: label smoothing.  views: stored augmented views of each photo beside the plain one
    """

    longer: ClassVar[float] = 4.0  # times the steps of fine-tuning
    steps: int = 0
    batch: int = 32
    width: int = 32
    rate: float = 3e-3
    weight: float = 0.05
    smooth: float = 0.1
    views: int = 2

    @property
    def joins(self) -> bool:
        """Val chooses the step to keep."""
        return False

    def cut(self, backbone: Backbone) -> Cut:
        """Below everything: nothing is borrowed but how inputs are prepared."""
        return backbone.cut(0)

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Tuned:
        """Random weights, then everything learns; val chooses the step to keep."""
        from headstart.training.tuning import optim, trainer, tuned

        seed = int(rng.integers(2**31))
        learner, rows = tuned.opened(above, objective, train, lambda it: alter(it, {**asdict(self), "seed": seed}))
        recipe = optim.Recipe(
            self.steps, self.batch, self.rate, self.rate, 1.0, self.weight, smooth=self.smooth, norms="adapt"
        )
        return trainer.learn(learner, rows, train, val, objective, recipe, asdict(self), rng)


def alter(learner: Learner, settings: dict) -> None:
    """The small network takes the place of the borrowed one."""
    import torch
    from torch import nn

    width, kind = int(settings["width"]), learner.card.preprocess.kind
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(settings.get("seed", 0)))
        body = (
            _words(_tokens(learner.body), 2 * width, learner.card.width) if kind == "text" else _stages(width, learner)
        )
    learner.body = nn.Sequential(body).requires_grad_(True)
    learner.norms = "adapt"


def _tokens(body) -> int:
    """How many tokens the borrowed network knows."""
    from torch import nn

    return max(m.num_embeddings for m in body.modules() if isinstance(m, nn.Embedding))


def _stages(width: int, learner: Learner):
    from torch import nn

    def stage(before: int, after: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for a, b, stride in ((before, after, 2), (after, after, 1)):
            layers += [nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        return layers

    sizes = [3, width, 2 * width, 3 * width, 4 * width]
    layers = [layer for a, b in pairwise(sizes) for layer in stage(a, b)]
    ends = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(sizes[-1], learner.card.width), nn.ReLU()]
    return _seeing()(nn.Sequential(*layers, *ends))


def _seeing():
    from torch import nn
    from torch.nn import functional as F

    class Seeing(nn.Module):
        def __init__(self, layers: nn.Module):
            super().__init__()
            self.layers = layers

        def forward(self, batch):
            return self.layers(F.interpolate(batch["pixels"], (SIDE, SIDE), mode="area"))

    return Seeing


def _words(count: int, width: int, out: int):
    import torch
    from torch import nn

    class Reading(nn.Module):
        def __init__(self):
            super().__init__()
            self.vectors = nn.Embedding(count, width)
            self.hidden = nn.Linear(width, out)
            nn.init.normal_(self.vectors.weight, std=0.1)

        def forward(self, batch):
            mask = batch["attention_mask"][:, :, None].float()
            mean = (self.vectors(batch["input_ids"]) * mask).sum(1) / mask.sum(1)
            return torch.relu(self.hidden(mean))

    return Reading()


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From its `state()`, with the preprocessing of the backbone that `above` opens."""
    from headstart.training.tuning import tuned

    return tuned.restored(state, above, alter)
