"""Test examples that the model has learned from: equal bytes on both sides of a split that the data came with."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Embedded
from headstart.core.result import Finding

watches = Embedded


def look(value: Embedded) -> Iterator[Finding]:
    """Warns with their number and names. Splits made here keep equal bytes on one side."""
    task = value.task
    learned = {e.digest: e.id for name in ("train", "val") for e in task.part(name)}
    seen = [(e.id, learned[e.digest]) for e in task.part("test") if e.digest in learned]
    if not seen:
        return
    total = len(task.parts["test"])
    shown = ", ".join(f"{test} is {train}" for test, train in seen[:3])
    message = f"{len(seen)} of {total:,} test examples have the bytes of one that was learned from: {shown}."
    fix = "add --group-twins, which leaves them out of training, or give all of the data without parts"
    shown_too = [{"id": test, "with": train, "text": "equal bytes"} for test, train in seen[:24]]
    yield Finding("leak", "warn", message, fix, {"pairs": [list(pair) for pair in seen[:50]], "examples": shown_too})
