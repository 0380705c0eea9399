"""The learning rate was too high: the loss ran away, or the features are no longer the borrowed ones."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Learned
from headstart.core.plugins import name_of
from headstart.core.result import Finding
from headstart.training.loss_diagnosis import FEWEST, course

watches = Learned
LOST = 0.8  # of the features' drift: 1 is nothing left. Training from scratch is meant to lose them
FORGETS_ALL = ("scratch", "compact")


def look(value: Learned) -> Iterator[Finding]:
    """Warns with the numbers, and with a rate that would have held."""
    losses = [float(v) for v in value.notes.get("losses") or []]
    if len(losses) < FEWEST or value.plan.method is None:
        return
    rate, holds = value.notes.get("rate") or getattr(value.plan.method, "rate", None), value.notes.get("holds")
    fix = f"try --set rate={rate / 10:.1g}, or --find-rate" if rate else "try a lower rate, or --find-rate"
    fix = f"a range test from the start says that this rate would have held: --set rate={holds:.1g}" if holds else fix
    what, first, last, worst = course(losses)
    drift = float(value.notes.get("drift") or 0.0)
    evidence = {"first": first, "last": last, "worst": worst, "drift": drift, "rate": rate, "holds": holds}
    kept = f" Kept: {value.notes['kept']}." if value.notes.get("kept") else ""
    if what == "spike":
        message = f"The loss rose to {worst:.3g} from {first:.3g} in its first steps and ended at {last:.3g}.{kept}"
        yield Finding("rate", "warn", message, fix, evidence)
    elif what == "rose":
        message = f"The loss ended at {last:.3g}, above the {first:.3g} of its first steps: nothing was learned.{kept}"
        yield Finding("rate", "warn", message, fix, evidence)
    elif drift > LOST and name_of(value.plan.method) not in FORGETS_ALL:
        message = f"Of the borrowed features little is left (drift {drift:.2f} of 1)."
        yield Finding("rate", "warn", message, fix, evidence)
