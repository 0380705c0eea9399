"""A test set too small for its headline metric to mean much."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Evaluation
from headstart.core.result import Finding

watches = Evaluation
MAX_INTERVAL_WIDTH = 0.15  # an interval wider than this cannot tell 80 % from 90 %


def look(value: Evaluation) -> Iterator[Finding]:
    """Notes an interval too wide to act on, with the number of examples that would halve it."""
    headline = value.metrics[0]
    if headline.name in ("accuracy", "micro_f1") and headline.high - headline.low > MAX_INTERVAL_WIDTH:
        span = f"anywhere from {headline.low:.0%} to {headline.high:.0%}"
        message = f"Only {headline.n} examples judged the model: its {headline.name} lies {span}."
        yield Finding("tiny", "note", message, f"about {4 * headline.n} labelled test examples would halve that range")
