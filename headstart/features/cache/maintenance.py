"""The feature cache as a whole: what it holds, what goes when it is full, whether its numbers are what was written."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from headstart.core.errors import CacheError
from headstart.core.files import read_json
from headstart.features.cache.segments import SUFFIX, read

# Small things beside them that are made again when they are missing. How often a test part was looked at is not one.
MADE = ("cards", "glances", "reference", "engines", "witness", "untrained", "unpacked")


@dataclass(frozen=True, slots=True)
class Held:
    """One shelf of rows, or one compiled graph, for people. kind: "rows", "graph".  used: seconds since 1970"""

    kind: str
    key: str
    backbone: str
    cut: int
    rows: int
    bytes: int
    used: float


def contents(root: Path) -> list[Held]:
    """Every shelf and every graph, most recently used first."""
    held = []
    for folder in (*_shelves(root), *_graphs(root)):
        facts = _facts(folder)
        rows = sum(len(s.digests) for s in map(read, folder.glob(f"*{SUFFIX}")) if s is not None)
        kind, name, at = _kind(folder), facts.get("backbone", "unknown"), facts.get("cut", -1)
        held.append(Held(kind, folder.name, name, at, rows, _size(folder), _used(folder)))
    return sorted(held, key=lambda h: -h.used)


def evict(root: Path, most: int, keep: Collection[str] = ()) -> list[str]:
    """Drops whole shelves and graphs, least recently used first, until at most `most` bytes are left. Gives keys."""
    sizes = {folder: _size(folder) for folder in (*_shelves(root), *_graphs(root))}
    gone = []
    for folder in sorted(sizes, key=_used):
        if sum(sizes.values()) <= most:
            break
        if folder.name not in keep:
            shutil.rmtree(folder, ignore_errors=True)
            del sizes[folder]
            gone.append(folder.name)
    return gone


def clear(root: Path, backbone: str | None = None) -> int:
    """Drops all that can be made again, or one backbone's rows and graphs. Gives the bytes freed.

    Raises CacheError for an unknown backbone.
    """
    every = (*_shelves(root), *_graphs(root))
    chosen = [f for f in every if backbone is None or _facts(f).get("backbone") == backbone]
    if backbone is not None and not chosen:
        known = sorted({h.backbone for h in contents(root)})
        raise CacheError(f"The cache has nothing of {backbone!r}. It has: {', '.join(known) or 'nothing'}.")
    freed = sum(map(_size, chosen))
    for folder in chosen:
        shutil.rmtree(folder, ignore_errors=True)
    if backbone is None:
        for name in MADE:
            shutil.rmtree(root / name, ignore_errors=True)
    return freed


def verify(root: Path) -> list[str]:
    """Reads every number against its checksum. Gives a line for each damaged segment, which is dropped."""
    problems = []
    for folder in _shelves(root):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            segment = read(path)
            if segment is None or not segment.sound():
                path.unlink(missing_ok=True)
                problems.append(f"{path} was damaged and is dropped; its rows will be computed again.")
    return problems


def _shelves(root: Path) -> list[Path]:
    return [f for f in sorted((root / "features").glob("*")) if f.is_dir()]


def _graphs(root: Path) -> list[Path]:
    """What engines compiled: folders of one graph each."""
    return [f for f in sorted((root / "compiled").glob("[!.]*")) if f.is_dir()]


def _kind(folder: Path) -> str:
    return "graph" if folder.parent.name == "compiled" else "rows"


def _facts(folder: Path) -> dict:
    """What a shelf or a graph says of itself."""
    return read_json(folder / ("facts.json" if _kind(folder) == "graph" else "shelf.json")) or {}


def _size(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # another process merged or swept it meanwhile
    return total


def _used(folder: Path) -> float:
    marker = folder / "used"
    return (marker if marker.exists() else folder).stat().st_mtime
