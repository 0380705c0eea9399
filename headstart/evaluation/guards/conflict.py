"""Identical examples under different labels: whatever is answered, one of them is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Embedded
from headstart.core.result import Finding

watches = Embedded


def look(value: Embedded) -> Iterator[Finding]:
    """Warns with the pairs, and with the share of the test part that no model can get right."""
    labels: dict[str, dict[str, list[str]]] = {}
    for example in value.task.examples:
        labels.setdefault(example.digest, {}).setdefault(str(example.label), []).append(example.id)
    clashes = [by for by in labels.values() if len(by) > 1]
    if not clashes:
        return
    shown = "; ".join(" and ".join(f"{ids[0]} ({label})" for label, ids in by.items()) for by in clashes[:3])
    count = sum(len(ids) for by in clashes for ids in by.values())
    message = f"{count} examples have the bytes of another with a different label: {shown}{' …' * (len(clashes) > 3)}."
    pairs = [{label: ids for label, ids in by.items()} for by in clashes[:50]]
    shown_too = [_example(by) for by in clashes[:24]]
    fix = "look at them, and correct or remove one of each: headstart check DATA --fix FOLDER leaves them out"
    yield Finding("conflict", "warn", message, fix, {"groups": pairs, "examples": shown_too})


def _example(by: dict[str, list[str]]) -> dict:
    (one, first), (other, second) = list(by.items())[:2]
    return {"id": first[0], "with": second[0], "text": f"{one}, and {other}"}
