"""The learning-rate range test: the rate grows from step to step until the loss runs away. For lesson.py.

Source: Smith 2017, "Cyclical learning rates for training neural networks".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from headstart.core.errors import PlanError
from headstart.training.tuning import loop
from headstart.training.tuning.optim import fused

STEPS = 80
LOW, HIGH = 1e-7, 1e-1  # of the topmost block
BLOWN = 3.0  # times the least loss ends the test
BELOW = 0.1  # of the rate with the least loss is taken: there the loss still falls and nothing has run away
SMOOTH = 0.8


def found(lesson: nn.Module, draw: Callable[[int], loop.Batch], groups: list[dict]) -> tuple[float, list[dict]]:
    """The rate to train at, and the curve [{"rate", "loss"}]. The lesson's weights are as before afterwards.

    groups: of the optimizer, each with its "scale", its rate where the topmost block's is 1
    """
    before = {name: t.detach().clone() for name, t in lesson.state_dict().items()}
    optimizer = fused(groups)
    curve: list[dict] = []
    mean, best = 0.0, float("inf")
    try:
        for step in loop.steps(lesson, draw, optimizer, at, STEPS, spare=0):
            mean = SMOOTH * mean + (1 - SMOOTH) * step.loss
            smooth = mean / (1 - SMOOTH ** (step.index + 1))
            curve.append({"rate": step.rate, "loss": round(smooth, 5)})
            best = min(best, smooth)
            if smooth > BLOWN * best:
                break
    except PlanError:  # the loss ran away at once: what came before it is the curve
        pass
    finally:
        lesson.load_state_dict(before)
    if not curve:
        raise PlanError("The loss is not finite before any step: no learning rate can be found. Look at the inputs.")
    least = int(np.argmin([point["loss"] for point in curve]))
    return BELOW * curve[least]["rate"], curve


def at(index: int) -> float:
    """The rate of a step of the test."""
    return LOW * (HIGH / LOW) ** (index / (STEPS - 1))
