"""Cards of backbones met before: a cached fit needs the card, and must not import a library to make it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headstart import digest
from headstart.backbone import Backbone, restore
from headstart.files import read_json, unwritable, write_whole


def remember(root: Path, card: Backbone, files: Sequence[Path]) -> None:
    """Keeps a card, so that the next run need not import its library. Valid while `files` stay as they are."""
    if files:
        try:
            (root / "cards").mkdir(parents=True, exist_ok=True)
            write_whole(_card(root, card.name), {"files": _signature(files), "card": card.facts()})
        except OSError as error:
            raise unwritable(root, error) from error


def recall(root: Path, name: str, files: Sequence[Path]) -> Backbone | None:
    """The card of a backbone met before; None when its files changed, or nothing sound is remembered."""
    kept = read_json(_card(root, name)) if files else None
    try:
        if kept is None or kept["files"] != _signature(files):
            return None
        return restore(kept["card"])
    except (KeyError, TypeError, OSError):
        return None


def _card(root: Path, name: str) -> Path:
    return root / "cards" / f"{digest.of_bytes(name.encode())}.json"


def _signature(files: Sequence[Path]) -> list[list]:
    """Resolved path, size and time of change of each: a hub's snapshot is a link to its content."""
    real = [file.resolve() for file in files]
    return [[str(r), r.stat().st_size, r.stat().st_mtime_ns] for r in real]
