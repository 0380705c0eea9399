"""The learning-rate range test: the learning rate grows from step to step until the loss diverges.

Source: Smith 2017, "Cyclical learning rates for training neural networks".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from headstart.core.errors import PlanError
from headstart.training.tuning import loop
from headstart.training.tuning.optim import fused_adamw

STEPS = 80
LOWEST, HIGHEST = 1e-7, 1e-1  # learning rate of the topmost block
DIVERGED = 3.0  # times the least loss ends the test
FRACTION = 0.1  # of the learning rate with the least loss is taken: there the loss still falls and nothing diverges
MOMENTUM = 0.8  # of the running mean of the loss


def find_learning_rate(
    loss: nn.Module, draw: Callable[[int], loop.Batch], groups: list[dict]
) -> tuple[float, list[dict]]:
    """The learning rate to train at, and the curve [{"rate", "loss"}]. Weights are as before afterwards.

    loss: a batch -> a scalar.  groups: of parameters, each with its "scale", its rate where the topmost block's is 1
    """
    before = {name: t.detach().clone() for name, t in loss.state_dict().items()}
    optimizer = fused_adamw(groups)
    curve: list[dict] = []
    mean, best = 0.0, float("inf")
    try:
        for step in loop.steps(loss, draw, optimizer, _schedule, STEPS, spare_cores=0):
            mean = MOMENTUM * mean + (1 - MOMENTUM) * step.loss
            unbiased = mean / (1 - MOMENTUM ** (step.index + 1))
            curve.append({"rate": step.learning_rate, "loss": round(unbiased, 5)})
            best = min(best, unbiased)
            if unbiased > DIVERGED * best:
                break
    except PlanError:  # the loss diverged at once: what came before it is the curve
        pass
    finally:
        loss.load_state_dict(before)
    if not curve:
        raise PlanError("The loss is not finite before any step: no learning rate can be found. Look at the inputs.")
    least = int(np.argmin([point["loss"] for point in curve]))
    return FRACTION * curve[least]["rate"], curve


def _schedule(step: int) -> float:
    return LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
