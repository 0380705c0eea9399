"""Trainable tensors that never changed: frozen by mistake, or without gradient."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import TrainingOutcome
from headstart.core.plan import trains_in_steps
from headstart.core.result import Finding

watches = TrainingOutcome


def look(value: TrainingOutcome) -> Iterator[Finding]:
    """Stops when no trainable tensor changed; notes single ones that did not."""
    unchanged = [name for name in value.notes.get("idle") or [] if not name.startswith("head.")]
    n_trainable = int(value.notes.get("learning_tensors") or 0)
    if "learning_tensors" in value.notes and not n_trainable and trains_in_steps(value.plan.method):
        message = "Nothing above the cut was asked to learn but the head: what should be trained was frozen too."
        fix = "take --method probe, or unfreeze the blocks that are meant"
        yield Finding("idle", "stop", message, fix, {"idle": []})
    if not unchanged:
        return
    evidence = {"idle": unchanged[:50]}
    if n_trainable and len(unchanged) >= n_trainable:
        message = f"Not one of the {n_trainable} tensors that should have learned has moved."
        yield Finding("idle", "stop", message, "raise the learning rate: --find-rate; or take --method probe", evidence)
    else:
        first = ", ".join(unchanged[:3])
        message = f"{len(unchanged)} of {n_trainable} tensors that should have learned did not move: {first}."
        yield Finding("idle", "note", message, "the loss does not reach them; leave them out to save memory", evidence)
