"""What judges the model is in the reference too: the backbone, or whoever made it, may have learned from it."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Referenced
from headstart.core.result import Finding

watches = Referenced


def look(value: Referenced) -> Iterator[Finding]:
    """Warns of test examples that the reference holds, equal or nearly; notes the others."""
    if not value.found:
        return
    task = value.task
    judged = {task.examples[i].id for i in task.parts["test" if task.folds is None else "train"]}
    inside = [found for found in value.found if found[0] in judged]
    first = ", ".join(f"{mine} is {theirs}" for mine, theirs, _ in (inside or value.found)[:3])
    shown = [
        {"id": mine, "text": f"{theirs}, likeness {like:.2f}"} for mine, theirs, like in (inside or value.found)[:24]
    ]
    message = (
        f"{len(inside):,} of {len(judged):,} examples that judge, and {len(value.found) - len(inside):,} others, are "
        f"in {value.reference} ({value.n:,} examples) too: {first}."
    )
    fix = "judge on examples that it does not hold (--test): few-shot results on these are inflated"
    evidence = {"judged": len(inside), "all": len(value.found), "examples": shown}
    yield Finding("known", "warn" if inside else "note", message, fix, evidence)
