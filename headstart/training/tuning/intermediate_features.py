"""Every level above a cut as rows: what each block gives, pooled, from one pass. For methods/.

Imports torch when it is imported: methods open it inside their functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from headstart.backbones.block_division import mean
from headstart.core.features import Features
from headstart.core.plan import Above
from headstart.core.task import Objective
from headstart.training.heads.probe import fit_probe
from headstart.training.tuning.learner import Learner, passed, resize
from headstart.training.tuning.tuned import Tuned, affine, set_head


class Levels(nn.Module):
    """Parts one after the other; what those at `which` give, pooled, side by side: (b, sum of widths)."""

    def __init__(self, parts: nn.Sequential, which: Sequence[int]):
        super().__init__()
        self.parts, self.which = parts, tuple(which)
        self.widths: list[int] = []  # of the levels of the last pass

    def forward(self, crossing):
        """All of them, up to the last that is wanted."""
        rows = []
        for i, part in enumerate(self.parts):
            crossing = part(crossing)
            if i in self.which:
                rows.append(pooled(crossing))
            if i == max(self.which):
                break
        self.widths = [row.shape[1] for row in rows]
        return torch.cat(rows, 1)


def pooled(x) -> torch.Tensor:
    """(b, d): the mean over tokens that are no padding, or over positions."""
    if isinstance(x, tuple):
        return mean(*x)
    return x if x.ndim == 2 else x.mean(1) if x.ndim == 3 else x.mean((2, 3))


def looked(learner: Learner, x, which: Sequence[int]) -> tuple[np.ndarray, list[int]]:
    """(n, sum of widths) float32 of the levels at `which`, and their widths; the learner stays as it is."""
    body, unit = learner.body, learner.unit
    levels = Levels(body, which)
    try:
        learner.body, learner.unit = nn.Sequential(levels), len(which) == 1 and unit
        rows = passed(learner, x, learner.rows)
    finally:
        learner.body, learner.unit = body, unit
    return rows, levels.widths


def headed(above: Callable[[], Above], objective: Objective, data: Features, which: Sequence[int], rng) -> Tuned:
    """A head, fitted to convergence on the levels at `which` of everything above the cut; nothing else learns."""
    learner = Learner(above(), objective.width)
    alter(learner, {"which": list(which)})
    rows = passed(learner, data.x, learner.rows)
    head = fit_probe(objective, Features(rows, data.y, data.ids, data.groups), rng)
    resize(learner, rows.shape[1])
    set_head(learner, *affine(head, rows.shape[1]))
    return Tuned(learner, {"which": list(which), "width": rows.shape[1]}, 1.0, head.notes)


def alter(learner: Learner, settings: dict) -> None:
    """Rows are the levels at settings["which"]."""
    which = settings["which"]
    learner.unit = learner.unit and len(which) == 1
    learner.body = nn.Sequential(Levels(learner.body, which))
    if "width" in settings:
        resize(learner, int(settings["width"]))


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Tuned:
    """From the `state()` of what `headed` gave."""
    from headstart.training.tuning import tuned

    return tuned.restored(state, above, alter)
