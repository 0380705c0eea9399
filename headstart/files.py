"""Small files that other processes may read while they are written."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path


def read_json(path: Path) -> dict | None:
    """The JSON object in a file; None when it is gone or damaged."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def write_whole(path: Path, facts: dict) -> None:
    """JSON that is there whole or not at all, whoever else writes it too. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    temporary.write_text(json.dumps(facts), encoding="utf-8")
    temporary.replace(path)
