"""Texts longer than the network reads at once."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Embedded
from headstart.core.result import Finding

watches = Embedded


def look(value: Embedded) -> Iterator[Finding]:
    """Notes how much of the texts lies beyond one window, and that it was read in windows."""
    long = int((value.beyond > 0).sum())
    if long:
        share = float(value.beyond.mean())
        message = (
            f"{long} of {len(value.beyond)} texts are longer than the backbone reads at once; they were read in "
            f"windows and averaged. Plain truncation would have cut off {share:.1%} of an average text."
        )
        yield Finding("truncated", "note", message, "", {"texts": long, "share": share})
