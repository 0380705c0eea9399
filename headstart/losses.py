"""What a path of training losses says of the learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

SPIKE = 2.0  # times the loss of the first steps
FEWEST = 10  # losses that say anything


def course(losses: Sequence[float]) -> tuple[Literal["", "spike", "rose"], float, float, float]:
    """(what happened, loss of the first tenth, of the last tenth, the worst after the first).

    "spike": it ran to SPIKE times both ends.  "rose": it ended above its start.  "": neither, or too few to tell
    """
    if len(losses) < FEWEST:
        return "", 0.0, 0.0, 0.0
    tenth = max(2, len(losses) // 10)
    first, last, worst = float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:])), float(max(losses[tenth:]))
    if worst > SPIKE * first and worst > SPIKE * last:
        return "spike", first, last, worst
    return "rose" if last > first else "", first, last, worst
