"""Byte-equal examples under different labels: no prediction is right for all of them."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Extraction
from headstart.core.result import Finding

watches = Extraction


def look(value: Extraction) -> Iterator[Finding]:
    """Warns with the groups of byte-equal examples and their labels."""
    by_digest: dict[str, dict[str, list[str]]] = {}
    for example in value.task.examples:
        by_digest.setdefault(example.digest, {}).setdefault(str(example.label), []).append(example.id)
    conflicts = [by_label for by_label in by_digest.values() if len(by_label) > 1]
    if not conflicts:
        return
    first = "; ".join(" and ".join(f"{ids[0]} ({label})" for label, ids in c.items()) for c in conflicts[:3])
    more = " …" * (len(conflicts) > 3)
    count = sum(len(ids) for by_label in conflicts for ids in by_label.values())
    message = f"{count} examples have the bytes of another with a different label: {first}{more}."
    shown = [_pair_example(by_label) for by_label in conflicts[:24]]
    fix = "look at them, and correct or remove one of each: headstart check DATA --fix FOLDER leaves them out"
    yield Finding("conflict", "warn", message, fix, {"groups": conflicts[:50], "examples": shown})


def _pair_example(by_label: dict[str, list[str]]) -> dict:
    (label_a, ids_a), (label_b, ids_b) = list(by_label.items())[:2]
    return {"id": ids_a[0], "with": ids_b[0], "text": f"{label_a}, and {label_b}"}
