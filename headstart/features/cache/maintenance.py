"""Listing, eviction, clearing and verification of everything in the cache folder.

features/<key>/     a shelf of rows, see store.py
compiled/<key>/     a compiled graph, with a manifest of its files
named/              paths of backbones that the user named: not cleared, or models on them would ask again
judged/             how often each test part was looked at: cannot be computed again, so it is never cleared
web-runtime/        what an exported page needs, pinned by digest where it is read: see deployment/
…/                  cards, previews, references, measurements: files that prove themselves, made again where absent
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headstart.core.checked_folder import read_manifest
from headstart.core.errors import CacheError
from headstart.core.files import (
    matching,
    read_checked,
    read_checked_json,
    read_json,
    remove,
    remove_folder,
    remove_stale_temporaries,
)
from headstart.features.cache.segments import MAGIC_1, SUFFIX, read_segment

# Folders of files that are computed again where they are missing.
RECOMPUTABLE = ("cards", "glances", "reference", "engines", "witness", "untrained", "unpacked")
PLAIN = (b"{", b"PK")  # how a JSON or .npz file of an earlier version begins: nothing reads it


@dataclass(frozen=True, slots=True)
class CacheItem:
    """One shelf of rows, one compiled graph, or one folder of other files, as listed.

    kind: "rows", "graph", "files", or "temporary": what killed processes left.  used: seconds since 1970
    """

    kind: str
    key: str
    backbone: str
    cut: int
    rows: int
    bytes: int
    used: float


def list_items(root: Path) -> list[CacheItem]:
    """Everything in the cache folder, most recently used first. Sizes add up to what it takes on the disk."""
    items = []
    for folder in (*_shelves(root), *_graphs(root)):
        facts = _facts(folder)
        kind, name, cut = _kind(folder), facts.get("backbone", "unknown"), facts.get("cut", -1)
        items.append(CacheItem(kind, folder.name, name, cut, _count_rows(folder), _size(folder), _used(folder)))
    for folder in _others(root):
        items.append(CacheItem("files", folder.name, f"{folder.name}/", -1, 0, _size(folder), _used(folder)))
    if temporaries := list(_temporaries(root)):
        size, used = sum(map(_size, temporaries)), max(map(_used, temporaries))
        items.append(CacheItem("temporary", "temporary", "left by killed processes", -1, 0, size, used))
    return sorted((item for item in items if item.bytes or item.rows), key=lambda item: -item.used)


def evict(root: Path, max_bytes: int, keep: Collection[str] = ()) -> list[str]:
    """Brings all that the cache folder takes down to `max_bytes`. Gives the names of what was deleted.

    Swept is what killed processes left; then whole shelves, graphs and other files go that can be computed again, least
    recently used first. What cannot be deleted stays.
    """
    sweep(root)
    sizes = {path: _size(path) for path in (*_shelves(root), *_graphs(root))}
    sizes |= {path: _size(path) for name in RECOMPUTABLE for path in matching(root / name, "[!.]*")}
    others = [path for path in _others(root) if path.name not in RECOMPUTABLE]
    total, deleted = sum(sizes.values()) + sum(map(_size, (*others, *_temporaries(root)))), []
    for path in sorted(sizes, key=_used):
        if total <= max_bytes:
            break
        if path.name not in keep and not _delete(path):
            total -= sizes[path]
            deleted.append(path.name)
    return deleted


def clear(root: Path, backbone: str | None = None) -> int:
    """Deletes all that can be computed again, or one backbone's rows and graphs. Gives the bytes freed.

    Raises CacheError for an unknown backbone, and for what cannot be deleted, after all else was.
    """
    folders = [*_shelves(root), *_graphs(root)]
    chosen = [f for f in folders if backbone is None or _facts(f).get("backbone") == backbone]
    if backbone is not None and not chosen:
        known = sorted({_facts(f).get("backbone", "unknown") for f in folders})
        raise CacheError(f"The cache has nothing of {backbone!r}. It has: {', '.join(known) or 'nothing'}.")
    if backbone is None:
        chosen += [*(root / name for name in RECOMPUTABLE if (root / name).is_dir()), *_temporaries(root)]
    freed, stayed = 0, []
    for path in chosen:
        size = _size(path)
        if problem := _delete(path):
            stayed.append(f"{path} ({problem})")
        freed += size - _size(path)
    if stayed:
        raise CacheError(
            f"{len(stayed)} of {len(chosen)} folders in {root} could not be deleted, {freed:,} bytes were freed: "
            f"{'; '.join(stayed[:3])}{' …' if len(stayed) > 3 else ''}. Change who may write there, and run this again."
        )
    return freed


def verify(root: Path) -> list[str]:
    """Reads everything in the cache against its checksums.

    Gives a line for each file that is not what was written. It is deleted, or the line says why it cannot be.
    """
    return [*_verify_shelves(root), *_verify_others(root)]


def sweep(root: Path) -> list[Path]:
    """Deletes temporary files and folders that killed processes left anywhere in the cache. Gives what it deleted."""
    before = list(_temporaries(root))
    for folder in {path.parent for path in before}:
        remove_stale_temporaries(folder)
    return [path for path in before if not path.exists()]


def _verify_shelves(root: Path) -> Iterator[str]:
    for folder in _shelves(root):
        for path in matching(folder, f"*{SUFFIX}"):
            try:
                if _is_of_earlier_version(path, (MAGIC_1,)):
                    continue
                segment = read_segment(path)
                if segment is not None and segment.is_intact():
                    continue
            except FileNotFoundError:
                continue  # merged by another process meanwhile
            except OSError as error:
                yield f"{path} cannot be read: {error.strerror or error}."
                continue
            yield _dropped(path, "its rows will be computed again")
        for path in (folder / "shelf.json", *matching(folder, "receipt-*.json")):
            yield from _verify_file(path)


def _verify_others(root: Path) -> Iterator[str]:
    for graph in _graphs(root):
        earlier = read_json(graph / "facts.json") is not None  # plain JSON
        if not earlier and read_manifest(graph / "facts.json", graph) is None:
            yield _dropped(graph, "the graph will be compiled again")
    for folder in _others(root):
        if folder.name == "web-runtime":
            continue
        for path in (p for p in matching(folder, "*") if not _is_temporary(p)):
            manifest = path.with_name(f"{path.name}.json")
            if path.is_dir() and manifest.is_file() and read_manifest(manifest, path) is None:
                yield _dropped(path, "it will be made again")
            elif path.is_file():
                yield from _verify_file(path)


def _verify_file(path: Path) -> Iterator[str]:
    """A line where a file that should prove itself does not."""
    try:
        if not path.is_file() or _is_of_earlier_version(path, PLAIN) or read_checked(path) is not None:
            return
    except OSError as error:
        yield f"{path} cannot be read: {error.strerror or error}."
        return
    lost = "how often that test part was looked at is not known any more"
    yield _dropped(path, lost if path.parent.name == "judged" else "it will be made again")


def _is_of_earlier_version(path: Path, beginnings: tuple[bytes, ...]) -> bool:
    """Whether a file is of a kind that is not read any more. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC_1)).startswith(beginnings)


def _dropped(path: Path, consequence: str) -> str:
    """Deletes what is damaged, and says so."""
    if problem := _delete(path):
        return f"{path} is damaged and cannot be deleted ({problem}); it is not used, and {consequence}."
    return f"{path} was damaged and is dropped; {consequence}."


def _delete(path: Path) -> str:
    """Deletes a file or a folder. Gives "", or what the system says."""
    try:
        remove_folder(path) if path.is_dir() else remove(path)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _shelves(root: Path) -> list[Path]:
    return [f for f in matching(root / "features", "[!.]*") if f.is_dir()]


def _graphs(root: Path) -> list[Path]:
    """Folders of one compiled graph each."""
    return [f for f in matching(root / "compiled", "[!.]*") if f.is_dir()]


def _others(root: Path) -> list[Path]:
    """The other folders of the cache."""
    return [f for f in matching(root, "[!.]*") if f.is_dir() and f.name not in ("features", "compiled")]


def _temporaries(root: Path) -> Iterator[Path]:
    for pattern in (".*.tmp", "*/.*.tmp", "*/*/.*.tmp"):
        yield from matching(root, pattern)


def _is_temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".tmp")


def _kind(folder: Path) -> str:
    return "graph" if folder.parent.name == "compiled" else "rows"


def _facts(folder: Path) -> dict:
    """The facts of a shelf or a graph, for people; those of earlier versions are plain JSON."""
    file = folder / ("facts.json" if _kind(folder) == "graph" else "shelf.json")
    return read_checked_json(file) or read_json(file) or {}


def _count_rows(folder: Path) -> int:
    count = 0
    for path in matching(folder, f"*{SUFFIX}"):
        with suppress(OSError):  # merged by another process meanwhile, or not ours to read
            segment = read_segment(path)
            count += len(segment.digests) if segment else 0
    return count


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder. Temporaries are counted by themselves."""
    total = 0
    for file in matching(path, "**/*") if path.is_dir() else [path]:
        with suppress(OSError):  # another process merged or swept it meanwhile
            if not (_is_temporary(file) and file != path):
                total += file.stat().st_size if file.is_file() else 0
    return total


def _used(path: Path) -> float:
    marker = path / "used"
    with suppress(OSError):
        return (marker if marker.exists() else path).stat().st_mtime
    return 0.0
