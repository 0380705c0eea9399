"""Training took the old skill away: a probe on the reference does worse on the tuned network than on the borrowed."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Learned
from headstart.core.plugins import name_of
from headstart.core.result import Finding

watches = Learned
DROP = 0.1  # of accuracy
MEANT = ("scratch", "compact")


def look(value: Learned) -> Iterator[Finding]:
    """Warns where more than a tenth of accuracy is gone."""
    lost = value.notes.get("forgetting")
    if not lost or lost["drop"] <= DROP or name_of(value.plan.method) in MEANT:
        return
    message = (
        f"Training took the old skill away: a probe on {lost['n']} reference examples fell from "
        f"{lost['before']:.0%} to {lost['after']:.0%}."
    )
    fix = "keep more of what was borrowed: --method lora or wise, fewer blocks, or a lower rate"
    yield Finding("forgetting", "warn", message, fix, dict(lost))
