"""Small files that other processes may read while they are written."""

from __future__ import annotations

import io
import json
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from headstart.core.errors import CacheError

STALE = 3600.0  # seconds after which a temporary file of a process that is gone is swept


def read_json(path: Path) -> dict | None:
    """The JSON object in a file; None when it is gone or damaged."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def write_whole(path: Path, facts: dict) -> None:
    """JSON that is there whole or not at all, whoever else writes it too. Raises OSError."""
    write_bytes(path, json.dumps(facts).encode())


def write_bytes(path: Path, content: bytes) -> None:
    """A file that is there whole or not at all, whoever else writes it too. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def kept(path: Path, root: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays by name from an .npz file of the cache folder `root`; made and written where it is absent or damaged.

    Raises CacheError where it cannot be written, and what `make` raises.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        pass  # never made, or damaged: it is written anew
    found, buffer = make(), io.BytesIO()
    np.savez(buffer, **found)  # type: ignore[arg-type]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, buffer.getvalue())
    except OSError as error:
        raise unwritable(root, error) from error
    return found


def sweep(folder: Path) -> None:
    """Removes temporary files that a killed process left."""
    for path in folder.glob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > STALE:
                path.unlink()
        except FileNotFoundError:
            continue


def unwritable(folder: Path, error: OSError) -> CacheError:
    """The error for a cache that cannot be written, and what to do."""
    why = error.strerror or str(error)
    return CacheError(
        f"The feature cache at {folder} cannot be written: {why}. Free space there, or move it: HEADSTART_CACHE=FOLDER."
    )


SINGLE, HALF = np.dtype(np.float32), np.dtype(np.float16)


def narrow(value: np.ndarray) -> np.ndarray:
    """float32 as float16 where that loses nothing; anything else as it is."""
    if value.dtype != SINGLE:
        return value
    with np.errstate(over="ignore", invalid="ignore"):
        half = value.astype(HALF)
        return half if np.array_equal(half.astype(SINGLE), value) else value
