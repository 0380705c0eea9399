"""A run is a folder and a journal: one event a line, which screens, reports and pages read."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.core.result import Finding

Emit = Callable[[str, dict], None]  # takes an event and its facts


@dataclass(slots=True)
class Run:
    """The folder of a run, the findings of its guards, and the seconds each stage took.

    root:          the cache folder
    echo:          called with every event as it is written; a terminal shows them
    seconds:       of each stage.  guard_seconds: those that guards took, part of the stages' seconds
    raise_on_stop: whether a finding of level "stop" ends the run
    """

    folder: Path
    root: Path
    echo: Callable[[dict], None] | None = None
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    raise_on_stop: bool = True
    guard_seconds: float = 0.0

    @classmethod
    def start(
        cls, into: Path, root: Path, echo: Callable[[dict], None] | None = None, *, raise_on_stop: bool = True
    ) -> Run:
        """A fresh folder. An earlier run there is kept as `<folder>.previous`.

        Raises SourceError when something that is not a run lies there.
        """
        started, advice = time.perf_counter(), "Name another folder with --into."
        if into.exists() and (not into.is_dir() or any(into.iterdir())):
            if not (into / "journal.jsonl").exists():
                raise SourceError(f"{into} exists and is not a run of Headstart. {advice}")
            previous = into.with_name(into.name + ".previous")
            if previous.exists() and not (previous / "journal.jsonl").exists():
                raise SourceError(f"{into} holds an earlier run and {previous} is in the way. {advice}")
            shutil.rmtree(previous, ignore_errors=True)
            into.rename(previous)
        try:
            into.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(f"Cannot write the run into {into}: {error.strerror}. {advice}") from error
        return cls(into, root, echo, started=started, raise_on_stop=raise_on_stop)

    def emit(self, event: str, facts: dict) -> None:
        """One line of the journal: {"event": …, "at": seconds since the start, …facts}."""
        line = {"event": event, "at": round(time.perf_counter() - self.started, 4), **facts}
        with open(self.folder / "journal.jsonl", "a", encoding="utf-8") as journal:
            journal.write(json.dumps(line, default=str) + "\n")
        if self.echo:
            self.echo(line)

    def last(self, event: str, name: str) -> object:
        """What the latest event of that kind in the journal says under `name`; None where there is none."""
        value = None
        with open(self.folder / "journal.jsonl", encoding="utf-8") as journal:
            for line in journal:
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
