"""Texts longer than the backbone's context window."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Extraction
from headstart.core.result import Finding

watches = Extraction


def look(value: Extraction) -> Iterator[Finding]:
    """Notes the share of an average text beyond one window, and that long texts were embedded in windows."""
    n_long = int((value.beyond > 0).sum())
    if n_long:
        share = float(value.beyond.mean())
        message = (
            f"{n_long} of {len(value.beyond)} texts are longer than the backbone reads at once; they were read in "
            f"windows and averaged. Plain truncation would have cut off {share:.1%} of an average text."
        )
        yield Finding("truncated", "note", message, "", {"texts": n_long, "share": share})
