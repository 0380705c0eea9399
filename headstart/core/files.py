"""Files that other processes may read while they are written: whole or not there at all."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart.core.errors import CacheError

STALE_SECONDS = 3600.0  # seconds after which a temporary file of a process that is gone is swept


def read_json(path: Path) -> dict | None:
    """The JSON object in a file; None when it is gone or damaged."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def write_json_atomic(path: Path, facts: dict) -> None:
    """A JSON file that is there whole or not at all, whoever else writes it too. Raises OSError."""
    write_atomic(path, json.dumps(facts).encode())


def write_atomic(path: Path, content: bytes) -> None:
    """A file that is there whole or not at all, whoever else writes it too. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def remove_stale_temporaries(folder: Path) -> None:
    """Removes temporary files that a killed process left."""
    for path in folder.glob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()
        except FileNotFoundError:
            continue


@contextmanager
def writing_cache(folder: Path) -> Iterator[None]:
    """A context that writes to the cache. Raises CacheError, with what to do, where that raises OSError."""
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"The feature cache at {folder} cannot be written: {error.strerror or str(error)}. "
            "Free space there, or move it: HEADSTART_CACHE=FOLDER."
        ) from error
