"""A run is a folder and a journal: one event a line, which screens, reports and pages read."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from headstart.core import open_runs
from headstart.core.errors import SourceError
from headstart.core.files import append_file, make_folder, move, remove_folder
from headstart.core.folder_lock import LOCK, FolderLock
from headstart.core.result import Finding

JOURNAL = "journal.jsonl"

Emit = Callable[[str, dict], None]  # takes an event and its facts


@dataclass(slots=True)
class Run:
    """The folder of a run, the findings of its guards, and the seconds each stage took.

    root:          the cache folder
    echo:          called with every event as it is written; a terminal shows them
    seconds:       of each stage.  guard_seconds: those that guards took, part of the stages' seconds
    raise_on_stop: whether a finding of level "stop" ends the run
    elsewhere:     gives another folder where another process has taken this one; None where the user named it

    As a context it holds its folder against other processes, and journals it when it is interrupted.
    """

    folder: Path
    root: Path
    echo: Callable[[dict], None] | None = None
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    raise_on_stop: bool = True
    guard_seconds: float = 0.0
    elsewhere: Callable[[], Path] | None = None
    _unwritten: list[str] | None = field(default_factory=list)  # lines of the journal, None once there is a folder
    _lock: FolderLock | None = None

    @classmethod
    def start(
        cls,
        into: Path,
        root: Path,
        echo: Callable[[dict], None] | None = None,
        *,
        raise_on_stop: bool = True,
        elsewhere: Callable[[], Path] | None = None,
    ) -> Run:
        """A run that begins now; `open` makes its folder.

        Raises SourceError when something that is not a run lies there or another process works there, and OSError
        where no folder can be made.
        """
        started = time.perf_counter()
        _previous(into)
        if (into / LOCK).exists():
            FolderLock(into).release()
        _require_writable(into)
        return cls(into, root, echo, started=started, raise_on_stop=raise_on_stop, elsewhere=elsewhere)

    def open(self, *, resume: bool = False) -> None:
        """Makes the folder, once the data were read: a misspelt path leaves nothing behind, and moves nothing.

        An earlier run there is kept as `<folder>.previous`. resume: it is this one, which goes on
        Raises as `start` does.
        """
        while self._lock is None:
            make_folder(self.folder)
            try:
                lock = FolderLock(self.folder)
            except SourceError:
                if self.elsewhere is None:
                    raise
                self.folder = self.elsewhere()
                continue
            try:
                previous = None if resume else _previous(self.folder)
                if previous is None:
                    self._lock = lock
                elif self.elsewhere is not None:  # another process began and ended there while the data were read
                    lock.release()
                    self.folder = self.elsewhere()
                else:  # of two processes that want the folder, the one with the lock moves what lies there
                    _replace_previous(self.folder, previous)
                    lock.release(moved_to=previous)
            except BaseException:
                lock.release()
                raise
        lines, self._unwritten = self._unwritten, None
        append_file(self.folder / JOURNAL, "".join(lines or ()))
        open_runs.add(str(self.folder), self._end_early)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        open_runs.discard(str(self.folder))
        if kind is not None and not issubclass(kind, Exception) and self._lock is not None:
            with suppress(OSError):  # the interruption goes on, whatever the disk says
                self.emit("interrupted", {"by": str(error) or kind.__name__})
        if self._lock is not None:
            self._lock.release()

    def _end_early(self, by: str) -> None:
        """The process is ended while the run's thread is busy: nothing of it runs afterwards. by: name of the signal"""
        if self._lock is not None:
            self._lock.release()
        self.emit("interrupted", {"by": by})

    def emit(self, event: str, facts: dict) -> None:
        """One line of the journal: {"event": …, "at": seconds since the start, …facts}. Raises OSError."""
        line = {"event": event, "at": round(time.perf_counter() - self.started, 4), **facts}
        text = json.dumps(line, default=str) + "\n"
        if self._unwritten is None:
            append_file(self.folder / JOURNAL, text)
        else:
            self._unwritten.append(text)
        if self.echo:
            self.echo(line)

    def last(self, event: str, name: str) -> object:
        """What the latest event of that kind in the journal says under `name`; None where there is none."""
        value = None
        for line in (self.folder / JOURNAL).read_text(encoding="utf-8").splitlines():
            if f'"event": "{event}"' in line:
                value = json.loads(line).get(name, value)
        return value

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage and journals its end."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self.emit("stage", {"name": name, "seconds": round(self.seconds[name], 4)})


def unused_path(parent: Path, name: str) -> Path:
    """The first of name, name-2, name-3 … that does not exist in `parent`."""
    candidate, number = parent / name, 2
    while candidate.exists():
        candidate, number = parent / f"{name}-{number}", number + 1
    return candidate


def _previous(into: Path) -> Path | None:
    """Where the earlier run that lies there is to go; None where none does.

    Raises SourceError when something that is not a run lies there, or in the way.
    """
    advice = "Name another folder with --into."
    if not into.exists() or (into.is_dir() and not any(path.name != LOCK for path in into.iterdir())):
        return None
    if not (into / JOURNAL).exists():
        raise SourceError(f"{into} exists and is not a run of Headstart. {advice}")
    place = into.absolute()  # "." has no name
    previous = place.with_name(place.name + ".previous")
    if previous.exists() and not (previous / JOURNAL).exists():
        raise SourceError(f"{into} holds an earlier run and {previous} is in the way. {advice}")
    return previous


def _replace_previous(folder: Path, previous: Path) -> None:
    if previous.exists():
        FolderLock(previous).release()  # nobody writes there
    remove_folder(previous)
    move(folder, previous)


def _require_writable(folder: Path) -> None:
    """Raises OSError where the folder cannot be made: at once, and not after an hour of reading."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        cause = errno.EACCES if place.is_dir() else errno.ENOTDIR
        raise OSError(cause, os.strerror(cause), str(folder))
