"""Every write of ours: files whole or not there at all, files that prove themselves when they are read.

Folders are made, files are written, moved and deleted through the functions here and no others, so that a test can
let each of their calls fail in turn. Each raises OSError with its path; `core/disk_errors.py` makes words of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from headstart.core.errors import CacheError

T = TypeVar("T")
Content = bytes | memoryview | str
STALE_SECONDS = 3600.0  # seconds after which a temporary file of a process that is gone is swept
MAGIC = b"HEADSTART KEPT 1 "  # then 64 hex digits of BLAKE2b over the payload, a line break, the payload
DIGEST_BYTES = 32
GLOB_ATTEMPTS = 100  # at a folder in which others delete


def read_json(path: Path) -> dict | None:
    """The JSON object in a file; None when it is gone or damaged."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def write_atomic(path: Path, content: Content | Iterable[bytes]) -> None:
    """A file that is there whole or not at all, whoever else writes it too, and stays after a power cut.

    Text is written as UTF-8, large content piece by piece. Raises OSError.
    """
    temporary = temporary_path(path)
    try:
        _write(temporary, content, os.O_EXCL, durable=True)
        _call(os.replace, temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename = error.filename2 = None
            error.filename = str(path)  # what the caller asked for, and not the temporary file's name
        raise


def write_file(path: Path, content: Content) -> None:
    """A file that may be made again at any time: previews, pages. Text is written as UTF-8. Raises OSError."""
    _write(path, content, os.O_TRUNC, durable=False)


def append_file(path: Path, content: bytes | str) -> None:
    """Adds to the end of a file, in one call where the system takes it. Raises OSError."""
    _write(path, content, os.O_APPEND, durable=False)


def write_json_atomic(path: Path, facts: dict) -> None:
    """A JSON file that is there whole or not at all, whoever else writes it too. Raises OSError."""
    write_atomic(path, json.dumps(facts))


def write_checked(path: Path, payload: bytes) -> None:
    """A file that proves itself: `read_checked` gives the payload as it was written, or None. Raises OSError."""
    write_atomic(path, MAGIC + _payload_digest(payload) + b"\n" + payload)


def read_checked(path: Path) -> bytes | None:
    """What `write_checked` wrote; None where the file is gone or damaged, were it by one bit."""
    try:
        head, line_break, payload = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return payload if line_break and head == MAGIC + _payload_digest(payload) else None


def write_checked_json(path: Path, facts: dict) -> None:
    """A JSON object in a file that proves itself. Raises OSError."""
    write_checked(path, json.dumps(facts).encode())


def read_checked_json(path: Path) -> dict | None:
    """What `write_checked_json` wrote; None where the file is gone or damaged."""
    payload = read_checked(path)
    if payload is None:
        return None
    try:
        facts = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def make_folder(path: Path) -> None:
    """A folder with its parents; it may be there already. Raises OSError."""
    _call(os.makedirs, path, exist_ok=True)


def move(source: Path, target: Path) -> None:
    """Renames a file, which takes the place of one that is there, or a folder. Raises OSError."""
    _call(os.replace, source, target)


def remove(path: Path) -> None:
    """Deletes a file; it may have gone already. Raises OSError."""
    with suppress(FileNotFoundError):
        _call(os.unlink, path)


def touch(path: Path) -> None:
    """Makes a file that is empty, or says that it was used now. Raises OSError."""
    os.close(_call(os.open, path, os.O_WRONLY | os.O_CREAT, 0o666))
    _call(os.utime, path)


def remove_folder(path: Path) -> None:
    """Deletes a folder with all in it; it may have gone already. Raises OSError naming what cannot be deleted."""
    while path.exists():
        with suppress(FileNotFoundError):  # another process deletes there too
            shutil.rmtree(path)


def temporary_path(path: Path) -> Path:
    """A name beside a path that nothing else has, and that `remove_stale_temporaries` sweeps."""
    return path.with_name(f".{path.name[:180]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def matching(folder: Path, pattern: str) -> list[Path]:
    """What matches in a folder, by path: `folder.glob`, but for what other processes delete while it is looked at."""
    for _ in range(GLOB_ATTEMPTS):
        with suppress(FileNotFoundError):  # a folder on the way has gone, and is not met next time
            return sorted(folder.glob(pattern))
    return sorted(folder.glob(pattern))


def remove_stale_temporaries(folder: Path) -> None:
    """Removes temporary files and folders that a killed process left in a folder. Raises nothing: another may sweep."""
    for path in matching(folder, ".*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path) if path.is_dir() else os.unlink(path)


@contextmanager
def writing_cache(folder: Path) -> Iterator[None]:
    """A context that writes to the cache. Raises CacheError, with what to do, where that raises OSError."""
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"The feature cache at {folder} cannot be written: {error.strerror or str(error)}. "
            "Free space there, or move it: HEADSTART_CACHE=FOLDER."
        ) from error


def _write(path: Path, content: Content | Iterable[bytes], flag: int, *, durable: bool) -> None:
    pieces = [content] if isinstance(content, Content) else content
    descriptor = _call(os.open, path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | flag, 0o666)
    try:
        for piece in pieces:
            left = memoryview(piece.encode() if isinstance(piece, str) else piece).cast("B")
            while left:
                left = left[_named(path, os.write, descriptor, left) :]
        if durable:
            _named(path, os.fsync, descriptor)
    finally:
        os.close(descriptor)


def _call(function: Callable[..., T], path: Path, *arguments: Any, **options: Any) -> T:
    """The function of `os` on the path."""
    return _named(path, function, path, *arguments, **options)


def _named(path: Path, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """What the function gives. An OSError that it raises names the path, as those of a descriptor do not."""
    try:
        return function(*arguments, **options)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _payload_digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=DIGEST_BYTES).hexdigest().encode()
