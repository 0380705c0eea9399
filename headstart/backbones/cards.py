"""Finds a backbone's card by name, and caches cards so that the next run need not import the backbone's library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headstart.core import digest
from headstart.core.backbone import Backbone, restore
from headstart.core.errors import NameNotFound
from headstart.core.files import read_json, write_json_atomic, writing_cache
from headstart.core.messages import did_you_mean
from headstart.core.plugins import member, names


def find_card(name: str, root: Path) -> Backbone:
    """The card of a backbone by its full name, from the cache where its files did not change.

    Raises NameNotFound for an unknown family, and what the family raises for an unknown name.
    """
    family, colon, local = name.partition(":")
    if not colon and family not in names("backbones"):
        hint = did_you_mean(family, names("backbones")) or f" If it is a timm model, type timm:{name}."
        raise NameNotFound(
            f"{name!r} is not a backbone.{hint} Backbones are named FAMILY:NAME; "
            f"families: {', '.join(names('backbones'))}."
        )
    provider = member("backbones", family)
    files = provider.files(local)
    card = load_card(root, name, files)
    if card is None:
        card = provider.card(local)
        save_card(root, card, files)
    return card.with_files(files)


def save_card(root: Path, card: Backbone, files: Sequence[Path]) -> None:
    """Caches a card; it is valid while `files` do not change. Raises CacheError where the folder cannot be written."""
    if files:
        with writing_cache(root):
            (root / "cards").mkdir(parents=True, exist_ok=True)
            write_json_atomic(_cache_file(root, card.name), {"files": _signature(files), "card": card.facts()})


def load_card(root: Path, name: str, files: Sequence[Path]) -> Backbone | None:
    """The cached card of a backbone; None where its files changed, or no readable card is cached."""
    cached = read_json(_cache_file(root, name)) if files else None
    try:
        if cached is None or cached["files"] != _signature(files):
            return None
        return restore(cached["card"])
    except (KeyError, TypeError, OSError):
        return None


def _cache_file(root: Path, name: str) -> Path:
    return root / "cards" / f"{digest.of_bytes(name.encode())}.json"


def _signature(files: Sequence[Path]) -> list[list]:
    """Resolved path, size and modification time of each: a hub snapshot is a link to its content."""
    resolved = [file.resolve() for file in files]
    return [[str(r), r.stat().st_size, r.stat().st_mtime_ns] for r in resolved]
