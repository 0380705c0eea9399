"""The files below folders, each folder once: no link leads in a circle, into another class or out to all of the disk.

The rule, for whatever reads a folder: a folder is known by its resolved path and read once. Folders that really lie
there come first. A link to a folder is followed unless that folder holds the data itself, or is read under another
name already; a link to a file, unless that file is read under another name. What is not followed has its reason.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from headstart.data.contents import valid_name

IGNORED_NAMES = {
    *("thumbs.db", "desktop.ini", "icon\r", "__macosx", "lost+found", "node_modules"),
    *("@recycle", "@recently-snapshot", "found.000", "found.001", "_gsdata_", "lost.dir", "recycler"),
    *("@eadir", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "system volume information"),
}
# A run, a model, an export, a cleaned list of ours.
OWN_FILES = (
    *(("journal.jsonl",), ("card.json", "delta.safetensors"), ("result.json", "report.html")),
    *(("export.json", "README.md"), ("removed.csv", "train.csv"), ("removed.csv", "train.jsonl")),
)
MAX_COUNTED = 10_000  # files in what is left out, beyond which they are not counted
_kept: ContextVar[tuple[str, ...]] = ContextVar("kept", default=())


@contextmanager
def keeping(names: Sequence[str]) -> Iterator[None]:
    """Meanwhile names like these (".net", "~*") are read, though they look hidden or like a system's own."""
    token = _kept.set(tuple(names))
    try:
        yield
    finally:
        _kept.reset(token)


def is_visible(name: str) -> bool:
    """Whether a file or folder of this name is meant to be read: it is not hidden, a backup or a system's own."""
    return (not name.startswith((".", "~")) and name.lower() not in IGNORED_NAMES) or _is_kept(name)


def is_own(folder: str) -> bool:
    """Whether Headstart wrote a folder: what lies in a run is never data."""
    wrote = any(all(os.path.isfile(os.path.join(folder, name)) for name in names) for names in OWN_FILES)
    return wrote and not _is_kept(os.path.basename(folder))


def describe_left_out(root: str) -> list[str]:
    """A note on the hidden files, and those of systems and of Headstart, that are no data; none where there are none.

    root: the folder that was read; links are not followed
    """
    found: Counter[str] = Counter()
    waiting = [root]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                folder = entry.is_dir(follow_symlinks=False)
                if is_visible(entry.name) and not (folder and is_own(entry.path)):
                    waiting += [entry.path] if folder else []
                elif folder:
                    own = is_visible(entry.name)
                    found["what Headstart wrote" if own else entry.name] += _count_files(entry.path)
                else:
                    known = entry.name.lower() in IGNORED_NAMES
                    found[entry.name if known else f"{'._' if entry.name[:2] == '._' else entry.name[0]}*"] += 1
    most = +found  # less empty folders
    if not most:
        return []
    counts = ((name, f"{n:,}" if n < MAX_COUNTED else f"{MAX_COUNTED:,} or more") for name, n in most.most_common(5))
    told = ", ".join(f"{valid_name(name.strip())} ({n})" for name, n in counts)
    more = f" and {len(most) - 5:,} more" if len(most) > 5 else ""
    return [f"Files left out, as hidden or a system's own: {told}{more}; --keep NAME reads them."]


def _is_kept(name: str) -> bool:
    return any(fnmatchcase(name, kept) for kept in _kept.get())


def _count_files(folder: str) -> int:
    total = 0
    for _, _, files in os.walk(folder):
        total += len(files)
        if total >= MAX_COUNTED:
            break
    return total


def list_files(root: str, tops: Sequence[str]) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """The paths of the visible files below each of `tops`, in order of name, and (path, reason) of what was left out.

    root: the data folder, which the tops lie in. A file is whatever is no folder: it has not been opened
    """
    walk = _Walk(os.path.realpath(root), tuple(tops), [[] for _ in tops])
    for i, top in enumerate(tops):
        if os.path.islink(top):
            walk.links.append((i, top))
        else:
            walk.enter(i, top, os.path.realpath(top))
    walk.follow_links()
    walk.leave_out_linked_files()
    return [sorted(files, key=_by_folder) for files in walk.files], walk.aside


def holds_file(folder: str, wanted: Callable[[str], bool], *, deep: bool = True) -> bool:
    """Whether a folder, or with `deep` one below it, has a file of a wanted name. Stops at the first."""
    own = os.path.realpath(folder)
    seen, waiting = {own}, [folder]
    while waiting:
        below = []
        with suppress(OSError), os.scandir(waiting.pop()) as entries:  # what cannot be read holds nothing for us
            for entry in entries:
                if not is_folder(entry):
                    if wanted(entry.name):
                        return True
                elif deep and is_visible(entry.name):
                    real = os.path.realpath(entry.path)
                    if real not in seen and not contains(real, own) and not is_own(entry.path):
                        seen.add(real)
                        below.append(entry.path)
        waiting += sorted(below, reverse=True)
    return False


def is_folder(entry: os.DirEntry) -> bool:
    """Whether it is a folder or a link to one; a link in a circle, or to where one may not look, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def contains(folder: str, path: str) -> bool:
    """Whether a resolved folder is a resolved path, or lies above it."""
    return path == folder or path.startswith(os.path.join(folder, ""))


@dataclass(slots=True)
class _Walk:
    """root: resolved.  files: of each top.  owner: resolved folder -> the top that it is read for"""

    root: str
    tops: tuple[str, ...]
    files: list[list[str]]
    owner: dict[str, int] = field(default_factory=dict)
    links: list[tuple[int, str]] = field(default_factory=list)
    linked_files: list[tuple[int, str]] = field(default_factory=list)
    aside: list[tuple[str, str]] = field(default_factory=list)

    def enter(self, top: int, path: str, real: str) -> None:
        """Takes the files of a folder and of those below it, and remembers the links."""
        waiting = [(path, real)]
        while waiting:
            path, real = waiting.pop()
            if self._is_taken(top, path, real):
                continue
            self.owner[real] = top
            try:
                with os.scandir(path) as found:
                    entries = sorted((e for e in found if is_visible(e.name)), key=lambda e: e.name)
            except OSError as error:
                self.aside.append((path, f"cannot be read: {error.strerror or error}"))
                continue
            below = []
            for entry in entries:
                if entry.is_symlink():
                    (self.links if is_folder(entry) else self.linked_files).append((top, entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    if is_own(entry.path):
                        continue
                    below.append((entry.path, os.path.join(real, entry.name)))
                else:
                    self.files[top].append(entry.path)
            waiting += reversed(below)

    def follow_links(self) -> None:
        """Enters the folders that links lead to, and those that links in them lead to."""
        while self.links:
            top, path = self.links.pop(0)
            real = os.path.realpath(path)
            if contains(real, self.root) or any(contains(real, o) for o, t in self.owner.items() if t != top):
                if real not in self.owner:
                    self.aside.append((path, f"is a link to {real}, which holds what is read under other names"))
                    continue
            self.enter(top, path, real)

    def leave_out_linked_files(self) -> None:
        """Takes the links to files, but not those to a file that is read under another top."""
        for top, path in self.linked_files:
            real = os.path.realpath(path)
            other = self.owner.get(os.path.dirname(real), top)
            if other != top and os.path.exists(real):
                self.aside.append((path, f"is a link to {real}, which is read as part of {self.tops[other]}"))
            else:
                self.files[top].append(path)

    def _is_taken(self, top: int, path: str, real: str) -> bool:
        """Whether a folder was read before; where that was under another name, the reason is kept."""
        other = self.owner.get(real)
        if other is not None and other != top:
            self.aside.append((path, f"is a link to {real}, which is read as part of {self.tops[other]}"))
        return other is not None


def _by_folder(path: str) -> tuple[list[str], str]:
    """Folder by folder, those below after it: one order, wherever the walk began."""
    *folders, name = path.split(os.sep)
    return folders, name
