"""A small network of its own from scratch: what to take where borrowing hurts.

Photos: four stages of convolutions at a third of the borrowed network's size, 0.4 million weights. Texts: the mean of
token vectors under a hidden layer (Joulin et al. 2017, fastText). Only the preprocessing is the backbone's.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from headstart.core.plan import Traits
from headstart.training.shared_settings import FromScratch, restore_for

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner


SIDE = 64  # pixels that photos are shrunk to


@dataclass(frozen=True, slots=True)
class Settings(FromScratch):
    """How the small network is trained; its budget is four times the steps of fine-tuning.

    width: channels of the first stage of convolutions; of token vectors twice as many
    """

    traits: ClassVar[Traits] = Traits(
        best_for="where borrowing hurts: a small network of its own",
        from_scratch=True,
        step_factor=4.0,
        parameters=400_000,
    )
    batch_size: int = 32
    learning_rate: float = 3e-3
    width: int = 32

    def modify(self, learner: Learner) -> None:
        """The small network takes the place of the borrowed one."""
        self.initialize(learner, 0)

    def initialize(self, learner: Learner, seed: int) -> None:
        """The small network, with random weights."""
        import torch
        from torch import nn

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if learner.card.preprocess.kind == "text":
                body = _bag_of_tokens(_vocabulary_size(learner.body), 2 * self.width, learner.card.width)
            else:
                body = _convolutions(self.width, learner.card.width)
        learner.body = nn.Sequential(body).requires_grad_(True)
        learner.batch_norm = "adapt"


restore = restore_for(Settings)


def _vocabulary_size(body) -> int:
    """How many tokens the borrowed network knows."""
    from torch import nn

    return max(m.num_embeddings for m in body.modules() if isinstance(m, nn.Embedding))


def _convolutions(width: int, out: int):
    """pixels (b, 3, h, w) -> (b, out)"""
    from torch import nn
    from torch.nn import functional as F

    def stage(before: int, after: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for a, b, stride in ((before, after, 2), (after, after, 1)):
            layers += [nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        return layers

    class SmallConvNet(nn.Module):
        def __init__(self, layers: nn.Module):
            super().__init__()
            self.layers = layers

        def forward(self, batch):
            return self.layers(F.interpolate(batch["pixels"], (SIDE, SIDE), mode="area"))

    channels = [3, width, 2 * width, 3 * width, 4 * width]
    layers = [layer for a, b in pairwise(channels) for layer in stage(a, b)]
    ends = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], out), nn.ReLU()]
    return SmallConvNet(nn.Sequential(*layers, *ends))


def _bag_of_tokens(count: int, width: int, out: int):
    """token ids (b, t) and their mask -> (b, out). count: tokens in the vocabulary"""
    import torch
    from torch import nn

    class BagOfTokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.vectors = nn.Embedding(count, width)
            self.hidden = nn.Linear(width, out)
            nn.init.normal_(self.vectors.weight, std=0.1)

        def forward(self, batch):
            mask = batch["attention_mask"][:, :, None].float()
            mean = (self.vectors(batch["input_ids"]) * mask).sum(1) / mask.sum(1)
            return torch.relu(self.hidden(mean))

    return BagOfTokens()
