"""Unreadable examples, which no metric includes."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Extraction
from headstart.core.result import Finding

watches = Extraction


def look(value: Extraction) -> Iterator[Finding]:
    """Warns with the first ids and reasons; the report lists all."""
    aside = value.task.aside
    if aside:
        total = len(aside) + len(value.task.examples)
        first = "; ".join(f"{a.id}: {a.reason}" for a in aside[:3])
        message = f"{len(aside)} of {total} examples were set aside: {first}{' …' if len(aside) > 3 else ''}"
        fix = "mend or delete them, then fit again: the rest is cached"
        yield Finding("aside", "warn", message, fix, {"count": len(aside)})
