"""The feature cache no longer held what was written: a failing disk, a cut copy, or somebody's hand."""

from collections.abc import Iterator

from headstart.guard import Embedded
from headstart.result import Finding

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
