"""Arrays as they are stored: computed once and kept in an .npz file, and in half precision where nothing is lost."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from headstart.core.files import write_atomic, writing_cache

SINGLE, HALF = np.dtype(np.float32), np.dtype(np.float16)


def load_or_compute_arrays(
    path: Path, root: Path, compute: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Arrays by name from an .npz file of the cache folder `root`; computed and written where it is absent or damaged.

    Raises CacheError where it cannot be written, and what `compute` raises.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        pass  # never computed, or damaged: it is written anew
    arrays, buffer = compute(), io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    with writing_cache(root):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, buffer.getvalue())
    return arrays


def to_float16_if_exact(value: np.ndarray) -> np.ndarray:
    """float32 as float16 where that loses nothing; anything else as it is."""
    if value.dtype != SINGLE:
        return value
    with np.errstate(over="ignore", invalid="ignore"):
        half = value.astype(HALF)
        return half if np.array_equal(half.astype(SINGLE), value) else value
