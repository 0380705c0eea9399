"""A headline metric no better than the majority class (or the mean)."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Evaluation
from headstart.core.result import Finding

watches = Evaluation


def look(value: Evaluation) -> Iterator[Finding]:
    """Warns when the headline metric's interval reaches chance level."""
    head = value.metrics[0]
    if (head.low <= head.chance) if head.better == "higher" else (head.high >= head.chance):
        message = f"{head.name} {head.value:.3f} on {head.n} examples cannot be told from guessing ({head.chance:.3f})."
        yield Finding("chance", "warn", message, "more labels, a better backbone, or look at the labels")
