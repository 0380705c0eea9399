"""A learning rate too high: the loss diverged, or the features drifted far from the pretrained ones."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import TrainingOutcome
from headstart.core.plan import traits_of
from headstart.core.result import Finding
from headstart.core.settings import own_name
from headstart.training.loss_diagnosis import FEWEST, diagnose_losses

watches = TrainingOutcome
MAX_DRIFT = 0.8  # 1 - linear CKA with the pretrained features; training from scratch is exempt


def look(value: TrainingOutcome) -> Iterator[Finding]:
    """Warns with the losses or the drift, and with a learning rate to try."""
    losses = [float(v) for v in value.notes.get("losses") or []]
    if len(losses) < FEWEST or value.plan.method is None:
        return
    method = value.plan.method
    name = own_name(type(method), "learning_rate")
    rate, holds = value.notes.get("rate") or getattr(method, name or "learning_rate", None), value.notes.get("holds")
    fix = f"try --set {name}={rate / 10:.1g}, or --find-rate" if rate else "try a lower learning rate, or --find-rate"
    if holds:
        fix = f"a range test from the start says that this rate would have held: --set {name}={holds:.1g}"
    diagnosis, first, last, worst = diagnose_losses(losses)
    drift = float(value.notes.get("drift") or 0.0)
    evidence = {"first": first, "last": last, "worst": worst, "drift": drift, "rate": rate, "holds": holds}
    kept = f" Kept: {value.notes['kept']}." if value.notes.get("kept") else ""
    if diagnosis == "spike":
        message = f"The loss rose to {worst:.3g} from {first:.3g} in its first steps and ended at {last:.3g}.{kept}"
        yield Finding("rate", "warn", message, fix, evidence)
    elif diagnosis == "rose":
        message = f"The loss ended at {last:.3g}, above the {first:.3g} of its first steps: nothing was learned.{kept}"
        yield Finding("rate", "warn", message, fix, evidence)
    elif drift > MAX_DRIFT and not traits_of(method).from_scratch:
        message = f"Of the borrowed features little is left (drift {drift:.2f} of 1)."
        yield Finding("rate", "warn", message, fix, evidence)
