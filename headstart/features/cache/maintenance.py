"""Listing, eviction, clearing and verification of the feature cache."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headstart.core.errors import CacheError
from headstart.core.files import read_json
from headstart.features.cache.segments import SUFFIX, read_segment

# Other folders whose content is computed again where it is missing. How often a test part was looked at is not one.
RECOMPUTABLE = ("cards", "glances", "reference", "engines", "witness", "untrained", "unpacked")


@dataclass(frozen=True, slots=True)
class CacheItem:
    """One shelf of rows, or one compiled graph, as listed. kind: "rows", "graph".  used: seconds since 1970"""

    kind: str
    key: str
    backbone: str
    cut: int
    rows: int
    bytes: int
    used: float


def list_items(root: Path) -> list[CacheItem]:
    """Every shelf and every graph, most recently used first."""
    items = []
    for folder in (*_shelves(root), *_graphs(root)):
        facts = _facts(folder)
        rows = sum(len(s.digests) for s in map(read_segment, folder.glob(f"*{SUFFIX}")) if s is not None)
        kind, name, cut = _kind(folder), facts.get("backbone", "unknown"), facts.get("cut", -1)
        items.append(CacheItem(kind, folder.name, name, cut, rows, _size(folder), _used(folder)))
    return sorted(items, key=lambda item: -item.used)


def evict(root: Path, max_bytes: int, keep: Collection[str] = ()) -> list[str]:
    """Deletes whole shelves and graphs, least recently used first, down to `max_bytes`. Gives the keys deleted."""
    sizes = {folder: _size(folder) for folder in (*_shelves(root), *_graphs(root))}
    deleted = []
    for folder in sorted(sizes, key=_used):
        if sum(sizes.values()) <= max_bytes:
            break
        if folder.name not in keep:
            shutil.rmtree(folder, ignore_errors=True)
            del sizes[folder]
            deleted.append(folder.name)
    return deleted


def clear(root: Path, backbone: str | None = None) -> int:
    """Deletes all that can be computed again, or one backbone's rows and graphs. Gives the bytes freed.

    Raises CacheError for an unknown backbone.
    """
    folders = (*_shelves(root), *_graphs(root))
    chosen = [f for f in folders if backbone is None or _facts(f).get("backbone") == backbone]
    if backbone is not None and not chosen:
        known = sorted({h.backbone for h in list_items(root)})
        raise CacheError(f"The cache has nothing of {backbone!r}. It has: {', '.join(known) or 'nothing'}.")
    freed = sum(map(_size, chosen))
    for folder in chosen:
        shutil.rmtree(folder, ignore_errors=True)
    if backbone is None:
        for name in RECOMPUTABLE:
            shutil.rmtree(root / name, ignore_errors=True)
    return freed


def verify(root: Path) -> list[str]:
    """Compares all rows with their checksums. Gives a line for each damaged segment, which is deleted."""
    problems = []
    for folder in _shelves(root):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            segment = read_segment(path)
            if segment is None or not segment.is_intact():
                path.unlink(missing_ok=True)
                problems.append(f"{path} was damaged and is dropped; its rows will be computed again.")
    return problems


def _shelves(root: Path) -> list[Path]:
    return [f for f in sorted((root / "features").glob("*")) if f.is_dir()]


def _graphs(root: Path) -> list[Path]:
    """Folders of one compiled graph each."""
    return [f for f in sorted((root / "compiled").glob("[!.]*")) if f.is_dir()]


def _kind(folder: Path) -> str:
    return "graph" if folder.parent.name == "compiled" else "rows"


def _facts(folder: Path) -> dict:
    """The facts file of a shelf or a graph."""
    return read_json(folder / ("facts.json" if _kind(folder) == "graph" else "shelf.json")) or {}


def _size(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process merged or swept it meanwhile
            total += path.stat().st_size
    return total


def _used(folder: Path) -> float:
    marker = folder / "used"
    return (marker if marker.exists() else folder).stat().st_mtime
