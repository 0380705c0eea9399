"""What a path of training losses says of the learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

RISE = 0.05  # nats: a head that fits what it learned from starts near 0, and little is no running away
SPIKE = 2.0  # times the loss of the first steps
FEWEST = 10  # losses that say anything


def diagnose_losses(losses: Sequence[float]) -> tuple[Literal["", "spike", "rose"], float, float, float]:
    """(what happened, loss of the first tenth, of the last tenth, the worst after the first).

    "spike": it ran to SPIKE times both ends, and far above the first.
    "rose": it ended above its start by more than RISE.  "": neither, or too few to tell
    """
    if len(losses) < FEWEST:
        return "", 0.0, 0.0, 0.0
    tenth = max(2, len(losses) // 10)
    first, last, worst = float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:])), float(max(losses[tenth:]))
    if worst > max(SPIKE * first, SPIKE * last, first + 10 * RISE):
        return "spike", first, last, worst
    return "rose" if last > first + RISE else "", first, last, worst
