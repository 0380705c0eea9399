"""Something that should learn never moved: a freeze too many, or a part that the loss does not reach."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Learned
from headstart.core.plan import trains
from headstart.core.result import Finding

watches = Learned


def look(value: Learned) -> Iterator[Finding]:
    """Stops when nothing of the network moved; warns of single tensors that did not."""
    idle = [name for name in value.notes.get("idle") or [] if not name.startswith("head.")]
    learned = int(value.notes.get("learning_tensors") or 0)
    if "learning_tensors" in value.notes and not learned and trains(value.plan.method):
        message = "Nothing above the cut was asked to learn but the head: what should be trained was frozen too."
        yield Finding(
            "idle", "stop", message, "take --method probe, or unfreeze the blocks that are meant", {"idle": []}
        )
    if not idle:
        return
    evidence = {"idle": idle[:50]}
    if learned and len(idle) >= learned:
        message = f"Not one of the {learned} tensors that should have learned has moved."
        yield Finding("idle", "stop", message, "raise the learning rate: --find-rate; or take --method probe", evidence)
    else:
        message = f"{len(idle)} of {learned} tensors that should have learned did not move: {', '.join(idle[:3])}."
        yield Finding("idle", "note", message, "the loss does not reach them; leave them out to save memory", evidence)
