"""What learning from a task costs in memory, by its size alone, before anything is embedded or fitted."""

from __future__ import annotations

from headstart.core.errors import SourceError
from headstart.core.memory import total_memory
from headstart.core.task import Objective
from headstart.data.objectives import classes

# Bytes a score (of one class or tag for one example): targets, probabilities, gradients and steps of a head's solver.
BYTES_PER_SCORE = 70
# Bytes a number of a feature vector: as it was read, stacked, scaled and on its principal axes.
BYTES_PER_FEATURE = 24
BYTES_PER_CONFUSION = 40  # as they are reported
SHARE = 0.5  # of the machine's memory that a fit may be expected to take
WORTH_SAYING = 2 << 30  # bytes from which the price is told beforehand


def check_price(count: int, objective: Objective, width: int) -> list[str]:
    """A sentence on the memory that a fit takes, where that is much.

    count: examples.  width: numbers of a feature vector that was read, else 0
    Raises SourceError, with ways out, where this machine has not enough.
    """
    k = objective.width
    scores, features = count * k * BYTES_PER_SCORE, count * width * BYTES_PER_FEATURE
    confusions = k * k * BYTES_PER_CONFUSION if objective.link == "softmax" and k <= classes.MAX_CONFUSIONS else 0
    price, there = scores + features + confusions, total_memory()
    noun = {"softmax": "classes", "sigmoid": "tags"}.get(objective.link, "")
    size = f"{count:,} examples" + (f" of {k:,} {noun}" if noun else "") + (f", {width:,} columns" if width else "")
    if price > SHARE * there:
        rare = f"Leave out the rare {noun}, join some, or take a sample" if scores > features else "Use fewer columns"
        raise SourceError(
            f"{size}: fitting them takes about {price / 1e9:,.0f} GB of memory, and this machine has "
            f"{there / 1e9:,.0f} GB, of which {SHARE:.0%} may be used. {rare}."
        )
    return [f"{size}: fitting them takes about {price / 1e9:,.1f} GB of memory."] if price > WORTH_SAYING else []
