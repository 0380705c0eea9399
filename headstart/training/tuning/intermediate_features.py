"""Intermediate features: the pooled output of every block above a cut, from one pass, and heads on some of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from headstart.backbones.token_pooling import mean_pool
from headstart.core.features import Features
from headstart.core.plan import OpenAbove
from headstart.core.task import Objective
from headstart.training.heads.probe import fit_probe
from headstart.training.tuning.learner import Learner, forward_in_batches, resize_head
from headstart.training.tuning.tuned import Tuned, affine_form, restore_tuned, set_head


class PooledLevels(nn.Module):
    """Parts one after the other; the outputs of those at `levels`, pooled, side by side: (b, sum of widths).

    widths: of the levels of the last pass
    """

    def __init__(self, parts: nn.Sequential, levels: Sequence[int]):
        super().__init__()
        self.parts, self.levels = parts, tuple(levels)
        self.widths: list[int] = []

    def forward(self, features):
        """All of them, up to the last that is wanted."""
        pooled = []
        for i, part in enumerate(self.parts):
            features = part(features)
            if i in self.levels:
                pooled.append(pool(features))
            if i == max(self.levels):
                break
        self.widths = [level.shape[1] for level in pooled]
        return torch.cat(pooled, 1)


def pool(x) -> torch.Tensor:
    """(b, d): the mean over tokens that are no padding, or over positions."""
    if isinstance(x, tuple):
        return mean_pool(*x)
    return x if x.ndim == 2 else x.mean(1) if x.ndim == 3 else x.mean((2, 3))


def compute_level_features(learner: Learner, x, levels: Sequence[int]) -> tuple[np.ndarray, list[int]]:
    """(n, sum of widths) float32 of these levels, and their widths; the learner stays as it is."""
    body, normalize = learner.body, learner.normalize
    pooled = PooledLevels(body, levels)
    try:
        learner.body, learner.normalize = nn.Sequential(pooled), len(levels) == 1 and normalize
        features = forward_in_batches(learner, x, learner.embed)
    finally:
        learner.body, learner.normalize = body, normalize
    return features, pooled.widths


def fit_on_levels(
    above: OpenAbove, objective: Objective, data: Features, levels: Sequence[int], rng: np.random.Generator
) -> Tuned:
    """The probe, fitted to convergence on these levels of everything above the cut; nothing else learns."""
    learner = Learner(above(), objective.width)
    select_levels(learner, {"which": list(levels)})
    features = forward_in_batches(learner, data.x, learner.embed)
    width = features.shape[1]
    probe = fit_probe(objective, Features(features, data.y, data.ids, data.groups), rng)
    resize_head(learner, width)
    set_head(learner, *affine_form(probe, width))
    return Tuned(learner, {"which": list(levels), "width": width}, 1.0, probe.notes)


def select_levels(learner: Learner, settings: dict) -> dict:
    """Embeddings become the levels at settings["which"]; gives the settings."""
    levels = settings["which"]
    learner.normalize = learner.normalize and len(levels) == 1
    learner.body = nn.Sequential(PooledLevels(learner.body, levels))
    if "width" in settings:
        resize_head(learner, int(settings["width"]))
    return settings


def restore(state: dict[str, np.ndarray], above: OpenAbove) -> Tuned:
    """From the `state()` of what `fit_on_levels` gave."""
    return restore_tuned(state, above, select_levels)
