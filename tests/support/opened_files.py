"""What a piece of code opens, as the interpreter itself reports it: files, sockets, pickles, processes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

NEVER = ("socket.connect", "socket.getaddrinfo", "pickle.find_class", "subprocess.Popen", "os.system")


@dataclass
class Seen:
    """files: that were opened, resolved.  others: events that nothing of ours may cause."""

    files: set[Path] = field(default_factory=set)
    others: list[str] = field(default_factory=list)

    def inside(self, folder: Path) -> set[str]:
        """Names of the files in a folder that were opened."""
        return {str(f.relative_to(folder.resolve())) for f in self.files if f.is_relative_to(folder.resolve())}


_seen: list[Seen] = []
_installed: list[bool] = []


def _hook(event: str, arguments: tuple) -> None:
    if not _seen:
        return
    if event == "open" and isinstance(arguments[0], str | bytes):
        name = arguments[0] if isinstance(arguments[0], str) else arguments[0].decode(errors="replace")
        _seen[-1].files.add(Path(name).resolve())
    elif event in NEVER:
        _seen[-1].others.append(event)


@contextmanager
def watching() -> Iterator[Seen]:
    """A context in which everything that this process opens is seen."""
    if not _installed:
        sys.addaudithook(_hook)  # it cannot be taken away again, and does nothing outside of this context
        _installed.append(True)
    _seen.append(Seen())
    try:
        yield _seen[-1]
    finally:
        _seen.pop()
