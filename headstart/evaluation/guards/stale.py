"""Corrupt feature cache: a failing disk, a truncated copy, or a manual edit."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Extraction
from headstart.core.result import Finding

watches = Extraction


def look(value: Extraction) -> Iterator[Finding]:
    """Warns of rows that failed their checksum and were computed again."""
    if value.stale:
        message = (
            f"{value.stale:,} rows of the feature cache were not what was written there; they were computed again. "
            "What was fitted on them before is not to be trusted."
        )
        fix = "read all of it against its checksums: `headstart cache verify`; if it comes again, look at the disk"
        yield Finding("stale", "warn", message, fix, {"rows": value.stale})
