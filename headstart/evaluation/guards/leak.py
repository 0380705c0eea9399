"""Train-test leakage: byte-equal examples on both sides of a split that the data came with."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Extraction
from headstart.core.result import Finding

watches = Extraction


def look(value: Extraction) -> Iterator[Finding]:
    """Warns with the number and ids of leaked test examples. Splits made here keep equal bytes on one side."""
    task = value.task
    trained = {e.digest: e.id for name in ("train", "val") for e in task.part(name)}
    leaked = [(e.id, trained[e.digest]) for e in task.part("test") if e.digest in trained]
    if not leaked:
        return
    total = len(task.parts["test"])
    first = ", ".join(f"{test} is {train}" for test, train in leaked[:3])
    message = f"{len(leaked)} of {total:,} test examples have the bytes of one that was learned from: {first}."
    fix = "add --group-twins, which leaves them out of training, or give all of the data without parts"
    shown = [{"id": test, "with": train, "text": "equal bytes"} for test, train in leaked[:24]]
    yield Finding("leak", "warn", message, fix, {"pairs": [list(pair) for pair in leaked[:50]], "examples": shown})
