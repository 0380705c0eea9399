"""Test-set contamination: test examples are in the reference, which the backbone may have been trained on."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import ReferenceOverlap
from headstart.core.result import Finding

watches = ReferenceOverlap


def look(value: ReferenceOverlap) -> Iterator[Finding]:
    """Warns of test examples that the reference holds, byte-equal or nearly; notes the others."""
    if not value.matches:
        return
    task = value.task
    test_ids = {task.examples[i].id for i in task.parts["test" if task.folds is None else "train"]}
    contaminated = [match for match in value.matches if match[0] in test_ids]
    n_contaminated, shown = len(contaminated), contaminated or value.matches
    first = ", ".join(f"{id} is {reference_id}" for id, reference_id, _ in shown[:3])
    message = (
        f"{n_contaminated:,} of {len(test_ids):,} examples that judge, and {len(value.matches) - n_contaminated:,} "
        f"others, are in {value.reference} ({value.n:,} examples) too: {first}."
    )
    fix = "judge on examples that it does not hold (--test): few-shot results on these are inflated"
    entries = [{"id": id, "text": f"{reference_id}, likeness {s:.2f}"} for id, reference_id, s in shown[:24]]
    evidence = {"judged": n_contaminated, "all": len(value.matches), "examples": entries}
    yield Finding("known", "warn" if contaminated else "note", message, fix, evidence)
