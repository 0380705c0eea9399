"""Something frozen moved: a forgotten freeze, or a BatchNorm left in train mode."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Embedded, Learned
from headstart.core.result import Finding

watches = (Embedded, Learned)


def look(value: Embedded | Learned) -> Iterator[Finding]:
    """Stops when any tensor below the cut differs from what it was before the features were taken, or any frozen one
    above it from what it was before training."""
    if isinstance(value, Learned):
        moved = (value.notes.get("frozen_above") or {}).get("moved") or []
        if moved:
            message = f"{len(moved)} frozen tensors above the cut changed in training: {', '.join(moved[:3])}."
            fix = "BatchNorm follows the batches: --set norms=frozen; or say norms=adapt if it should"
            yield Finding("drift", "stop", message, fix, {"moved": moved})
        return
    receipt = value.receipt
    if receipt is not None and (receipt.moved or receipt.digest_before != receipt.digest_after):
        first = ", ".join(receipt.moved[:3])
        message = (
            f"{len(receipt.moved)} of {receipt.tensors} frozen tensors changed while features were taken: {first}."
        )
        fix = "put the frozen network into eval mode; clear what it made with `headstart cache clear`"
        yield Finding("drift", "stop", message, fix, {"moved": list(receipt.moved[:50])})
