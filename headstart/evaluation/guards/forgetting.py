"""Catastrophic forgetting: probe accuracy on the reference task falls through fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import TrainingOutcome
from headstart.core.plan import traits_of
from headstart.core.result import Finding

watches = TrainingOutcome
MAX_DROP = 0.1  # of probe accuracy


def look(value: TrainingOutcome) -> Iterator[Finding]:
    """Warns where accuracy fell by more than MAX_DROP."""
    lost = value.notes.get("forgetting")
    if not lost or lost["drop"] <= MAX_DROP or traits_of(value.plan.method).from_scratch:
        return
    message = (
        f"Training took the old skill away: a probe on {lost['n']} reference examples fell from "
        f"{lost['before']:.0%} to {lost['after']:.0%}."
    )
    fix = "keep more of what was borrowed: --method lora or wise, fewer blocks, or a lower learning rate"
    yield Finding("forgetting", "warn", message, fix, dict(lost))
