"""The feature cache no longer held what was written: a failing disk, a cut copy, or somebody's hand."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Embedded
from headstart.core.result import Finding

watches = Embedded


def look(value: Embedded) -> Iterator[Finding]:
    """Warns that rows did not have their checksum, and were made again."""
    if value.stale:
        message = (
            f"{value.stale:,} rows of the feature cache were not what was written there; they were computed again. "
            "What was fitted on them before is not to be trusted."
        )
        fix = "read all of it against its checksums: `headstart cache verify`; if it comes again, look at the disk"
        yield Finding("stale", "warn", message, fix, {"rows": value.stale})
