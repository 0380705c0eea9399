"""So few examples judged the model that its number means little."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Judged
from headstart.core.result import Finding

watches = Judged
WIDE = 0.15  # an interval wider than this cannot tell 80 % from 90 %


def look(value: Judged) -> Iterator[Finding]:
    """Notes an interval too wide to act on, with the number of examples that would halve it."""
    head = value.metrics[0]
    if head.name in ("accuracy", "micro_f1") and head.high - head.low > WIDE:
        span = f"anywhere from {head.low:.0%} to {head.high:.0%}"
        message = f"Only {head.n} examples judged the model: its {head.name} lies {span}."
        yield Finding("tiny", "note", message, f"about {4 * head.n} labelled test examples would halve that range")
