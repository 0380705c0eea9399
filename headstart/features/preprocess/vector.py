"""Feature vectors that were computed elsewhere: little-endian float32 bytes, checked and passed on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headstart.core.backbone import Preprocess
from headstart.core.errors import Unreadable
from headstart.core.features import LARGEST_FEATURE
from headstart.features import one_unit

SERVES = ("vector",)
weigh, beyond = one_unit.weigh, one_unit.beyond


def look(raws: Sequence[bytes], settings: Preprocess) -> list[tuple[list[np.ndarray] | Unreadable, bytes]]:
    """Each input's one unit, (width,) float32, and no thumbnail."""
    return [(_parse(raw, int(str(settings["width"]))), b"") for raw in raws]


def prepare(raws: Sequence[bytes], settings: Preprocess) -> list[list[np.ndarray] | Unreadable]:
    """Each input's one unit, (width,) float32, or why there is none."""
    return [unit for unit, _ in look(raws, settings)]


def batch(units: list[np.ndarray], settings: Preprocess) -> dict[str, np.ndarray]:
    """{"vectors": (b, width) float32}"""
    return {"vectors": np.stack(units)}


def _parse(raw: bytes, width: int) -> list[np.ndarray] | Unreadable:
    row = np.frombuffer(raw, dtype="<f4")
    if len(row) != width:
        return Unreadable(f"has {len(row)} numbers where {width} are expected")
    if not np.isfinite(row).all():
        return Unreadable("holds NaN or infinite numbers")
    # Their squares and products with weights must stay finite in float32's range of 3.4e38.
    beyond = np.abs(row).max(initial=0.0) > LARGEST_FEATURE
    return Unreadable(f"holds numbers beyond {LARGEST_FEATURE:g}: use another unit") if beyond else [row]
