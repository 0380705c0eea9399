"""Few-shot contrastive tuning: examples of one class are drawn together and others apart, then a fresh head is fitted.

Source: Tunstall et al. 2022, SetFit; with the loss of Khosla et al. 2020 over all pairs of a batch at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.plan import OpenAbove, Traits
from headstart.core.task import Objective
from headstart.training.heads.cross_validation import join_parts
from headstart.training.shared_settings import Stepwise, cut_below_half, restore_for

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner
    from headstart.training.tuning.losses import BatchLoss
    from headstart.training.tuning.tuned import Tuned


@dataclass(frozen=True, slots=True)
class Settings(Stepwise):
    """How pairs move the embeddings.

    batch_size:  examples of a step; all their pairs count
    blocks:      how many of the topmost blocks learn; 0 = half of the backbone's
    pairs:       at most so many over all steps, which end when they are used up
    layer_decay: learning rate of a block, relative to that of the block above it (layer-wise lr decay)
    temperature: of the loss: a lower one looks at the nearest pairs
    """

    traits: ClassVar[Traits] = Traits(
        best_for="8 to 50 labels a class",
        is_plain_network=True,
        needs_pairs=True,
        few_shot_gain={"text": (0.10, 0.08), "image": (0.0, 0.05)},
    )
    head_factor: ClassVar[float] = 0.0  # the head is fitted afterwards
    trains_on_validation: ClassVar[bool] = True  # all labelled examples make pairs

    batch_size: int = 24
    learning_rate: float = 1e-4
    blocks: int = 0
    pairs: int = 100_000
    layer_decay: float = 0.9
    temperature: float = 0.1

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that learn."""
        return cut_below_half(backbone, self.blocks)

    def fit(
        self, train: Features, val: Features, objective: Objective, *, above: OpenAbove, rng: np.random.Generator
    ) -> Tuned:
        """The blocks above the cut learn from pairs; then the probe is fitted on their embeddings."""
        if objective.link != "softmax":
            raise PlanError("Pairs are alike or not by their class: contrast is for classes. Use --method lpft.")
        from headstart.training.tuning import trainer
        from headstart.training.tuning.learner import forward_in_batches
        from headstart.training.tuning.optim import recipe_of
        from headstart.training.tuning.tuned import fit_probe_head, open_learner

        data = join_parts(train, val)
        learner, embeddings = open_learner(above, objective, data)
        self.modify(learner)

        def fit_head(*_: Any) -> dict:
            tuned = forward_in_batches(learner, data.x, learner.embed)
            return {"probe": fit_probe_head(learner, tuned, data, objective, rng)}

        n = min(self.batch_size, len(data))
        steps = max(1, min(self.steps, self.pairs // max(1, n * (n - 1) // 2)))
        recipe = recipe_of(self, steps=steps)
        nothing = data.rows(np.zeros(0, np.int64))
        parts = trainer.TrainingData(data, nothing, objective, data, embeddings)
        loss, seed = supervised_contrastive_loss(self.temperature), int(rng.integers(2**31))
        return trainer.run_training(learner, parts, recipe, asdict(self), seed, loss=loss, finish=fit_head)

    def modify(self, learner: Learner) -> None:
        """Everything above the cut learns."""
        learner.body.requires_grad_(True)


restore = restore_for(Settings)


def supervised_contrastive_loss(temperature: float) -> BatchLoss:
    """Of each example, minus the mean log-probability of those of its class among all others. Khosla et al. 2020."""

    def loss(learner: Learner, batch: dict[str, Any]) -> Any:
        import torch
        from torch.nn import functional as F

        z = F.normalize(learner.embed(batch).float() - learner.mean, dim=1)
        similarity = z @ z.T / temperature
        others = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
        same = (batch["y"][:, None] == batch["y"][None]) & others
        log_p = similarity - torch.logsumexp(similarity.masked_fill(~others, float("-inf")), 1, keepdim=True)
        positives = same.sum(1)
        paired = positives > 0
        if not paired.any():
            return 0.0 * z.sum()
        return -(torch.where(same, log_p, 0.0).sum(1)[paired] / positives[paired]).mean()

    return loss
