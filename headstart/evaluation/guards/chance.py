"""A score no better than saying the commonest label without looking."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Judged
from headstart.core.result import Finding

watches = Judged


def look(value: Judged) -> Iterator[Finding]:
    """Warns when the headline's interval reaches down (or up) to chance."""
    head = value.metrics[0]
    if (head.low <= head.chance) if head.better == "higher" else (head.high >= head.chance):
        message = f"{head.name} {head.value:.3f} on {head.n} examples cannot be told from guessing ({head.chance:.3f})."
        yield Finding("chance", "warn", message, "more labels, a better backbone, or look at the labels")
