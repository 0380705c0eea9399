"""Frozen tensors changed: a parameter not frozen, or a BatchNorm left in train mode."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Extraction, TrainingOutcome
from headstart.core.result import Finding

watches = (Extraction, TrainingOutcome)


def look(value: Extraction | TrainingOutcome) -> Iterator[Finding]:
    """Stops when a tensor below the cut changed during extraction, or a frozen one above it during training."""
    if isinstance(value, TrainingOutcome):
        moved = (value.notes.get("frozen_above") or {}).get("moved") or []
        if moved:
            message = f"{len(moved)} frozen tensors above the cut changed in training: {', '.join(moved[:3])}."
            fix = "BatchNorm follows the batches: --set batch_norm=frozen; or say batch_norm=adapt if it should"
            yield Finding("drift", "stop", message, fix, {"moved": moved})
        return
    receipt = value.receipt
    if receipt is not None and (receipt.moved or receipt.digest_before != receipt.digest_after):
        n, first = len(receipt.moved), ", ".join(receipt.moved[:3])
        message = f"{n} of {receipt.tensors} frozen tensors changed while features were taken: {first}."
        fix = "put the frozen network into eval mode; clear what it made with `headstart cache clear`"
        yield Finding("drift", "stop", message, fix, {"moved": list(receipt.moved[:50])})
