"""Examples that could not be read and are not part of any number."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Embedded
from headstart.core.result import Finding

watches = Embedded


def look(value: Embedded) -> Iterator[Finding]:
    """Warns with the first names and reasons; the report lists all."""
    aside = value.task.aside
    if aside:
        total = len(aside) + len(value.task.examples)
        first = "; ".join(f"{a.id}: {a.reason}" for a in aside[:3])
        message = f"{len(aside)} of {total} examples were set aside: {first}{' …' if len(aside) > 3 else ''}"
        yield Finding(
            "aside", "warn", message, "mend or delete them, then fit again: the rest is cached", {"count": len(aside)}
        )
