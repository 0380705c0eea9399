"""Arrays as they are stored: computed once and kept in an .npz file, and in half precision where nothing is lost."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from headstart.core.files import make_folder, read_checked, write_checked

SINGLE, HALF = np.dtype(np.float32), np.dtype(np.float16)


def load_or_compute_arrays(path: Path, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays by name from a checked .npz file of the cache folder; computed and written where it is not there.

    Where that cannot be written they are computed again next time. Raises what `compute` raises.
    """
    stored = read_checked(path)  # None where never computed, or damaged: it is written anew
    if stored is not None:
        with np.load(io.BytesIO(stored), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    arrays, buffer = compute(), io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    with suppress(OSError):  # a read-only cache, a full disk
        make_folder(path.parent)
        write_checked(path, buffer.getvalue())
    return arrays


def to_float16_if_exact(value: np.ndarray) -> np.ndarray:
    """float32 as float16 where that loses nothing; anything else as it is."""
    if value.dtype != SINGLE:
        return value
    with np.errstate(over="ignore", invalid="ignore"):
        half = value.astype(HALF)
        return half if np.array_equal(half.astype(SINGLE), value) else value
