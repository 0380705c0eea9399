"""Few-shot contrastive tuning: examples of one class are drawn together and others apart, then a fresh head is fitted.

Source: Tunstall et al. 2022, SetFit; with the loss of Khosla et al. 2020 over all pairs of a batch at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.task import Objective
from headstart.training.methods.finetune import half

if TYPE_CHECKING:
    from headstart.core.plan import Above
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.tuned import Tuned


@dataclass(frozen=True, slots=True)
class Settings:
    """How pairs draw the rows.

    blocks: how many of the topmost blocks learn; 0 = half of the backbone's
    steps:  0 = by the number of examples and the budget.  batch: examples of a step; all their pairs count
    pairs:  at most so many over all steps, which end when they are used up
    rate:   learning rate of the topmost block.  decay: each block below learns at so many times that of the one above
    heat:   temperature of the loss: lower looks at the nearest pairs
    views:  stored augmented views of each photo beside the plain one
    """

    blocks: int = 0
    steps: int = 0
    batch: int = 24
    pairs: int = 100_000
    rate: float = 1e-4
    decay: float = 0.9
    heat: float = 0.1
    views: int = 2

    @property
    def joins(self) -> bool:
        """All labelled examples make pairs."""
        return True

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that learn."""
        return half(backbone, self.blocks)

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Tuned:
        """The blocks above the cut learn from pairs; then the probe's head is fitted on what they give."""
        if objective.link != "softmax":
            raise PlanError("Pairs are alike or not by their class: contrast is for classes. Use --method lpft.")
        from headstart.core.features import join
        from headstart.training.tuning import optim, trainer, tuned
        from headstart.training.tuning.learner import passed

        data = join(train, val) if len(val) else train
        learner, rows = tuned.opened(above, objective, data)
        alter(learner, asdict(self))

        def head() -> dict:
            now = passed(learner, data.x, learner.rows)
            return {"probe": tuned.probed(learner, now, data, objective, rng)}

        each = min(self.batch, len(data)) * (min(self.batch, len(data)) - 1) // 2
        steps = max(1, min(self.steps, self.pairs // max(1, each)))
        recipe = optim.Recipe(steps, self.batch, self.rate, 0.0, self.decay)
        nothing = data.rows(np.zeros(0, np.int64))
        loss = attraction(self.heat)
        return trainer.learn(
            learner, rows, data, nothing, objective, recipe, asdict(self), rng, loss=loss, finish=head, hold=False
        )


def attraction(heat: float):
    """The loss of a batch: of each example, how little of its likeness goes to its own class."""

    def loss(learner, batch):
        import torch
        from torch.nn import functional as F

        row = F.normalize(learner.rows(batch).float() - learner.mean, dim=1)
        likeness = row @ row.T / heat
        others = ~torch.eye(len(row), dtype=torch.bool, device=row.device)
        same = (batch["y"][:, None] == batch["y"][None]) & others
        share = likeness - torch.logsumexp(likeness.masked_fill(~others, float("-inf")), 1, keepdim=True)
        count = same.sum(1)
        some = count > 0
        if not some.any():
            return 0.0 * row.sum()
        return -(torch.where(same, share, 0.0).sum(1)[some] / count[some]).mean()

    return loss


def alter(learner: Learner, settings: dict) -> None:
    """All that lies above the cut learns."""
    learner.body.requires_grad_(True)


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart.training.tuning import tuned

    return tuned.restored(state, above, alter)
