"""The learning rate was too high: the loss ran away, or the features are no longer the borrowed ones."""

from collections.abc import Iterator

import numpy as np

from headstart.find import name_of
from headstart.guard import Learned
from headstart.result import Finding

watches = Learned
SPIKE = 2.0  # times the loss of the first steps
LOST = 0.8  # of the features' drift: 1 is nothing left. Training from scratch is meant to lose them
FORGETS_ALL = ("scratch", "compact")


def look(value: Learned) -> Iterator[Finding]:
    """Warns with the numbers, and with a rate that would have held."""
    losses = [float(v) for v in value.notes.get("losses") or []]
    if len(losses) < 10 or value.plan.method is None:
        return
    rate = value.notes.get("rate") or getattr(value.plan.method, "rate", None)
    fix = f"try --set rate={rate / 10:.1g}, or --find-rate" if rate else "try a lower rate, or --find-rate"
    tenth = max(2, len(losses) // 10)
    first, last, worst = np.mean(losses[:tenth]), np.mean(losses[-tenth:]), max(losses[tenth:])
    drift = float(value.notes.get("drift") or 0.0)
    evidence = {"first": float(first), "last": float(last), "worst": float(worst), "drift": drift, "rate": rate}
    if worst > SPIKE * first and worst > SPIKE * last:
        message = f"The loss rose to {worst:.3g} from {first:.3g} in its first steps and ended at {last:.3g}."
        yield Finding(
            "rate", "warn", message + " The best check was kept." * bool(value.notes.get("checks")), fix, evidence
        )
    elif last > first:
        message = f"The loss ended at {last:.3g}, above the {first:.3g} of its first steps: nothing was learned."
        yield Finding("rate", "warn", message, fix, evidence)
    elif drift > LOST and name_of(value.plan.method) not in FORGETS_ALL:
        message = f"Of the borrowed features little is left (drift {drift:.2f} of 1)."
        yield Finding("rate", "warn", message, fix, evidence)
