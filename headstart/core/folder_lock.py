"""One process at a time in a folder: a lock that ends with its process, were it killed, and names its owner."""

from __future__ import annotations

import errno
import json
import os
import socket
from contextlib import suppress
from pathlib import Path

from headstart.core.errors import SourceError

LOCK = ".lock"
NOT_LOCKABLE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # said by some network disks


class FolderLock:
    """The lock of a folder, held until `release` or the end of its context.

    What lies there after a kill is nobody's, and is taken over.
    """

    def __init__(self, folder: Path):
        """Raises SourceError, naming its owner, where another process has it, and OSError where none can be made."""
        self._path = folder / LOCK
        while True:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            if not _try_lock(self._descriptor):
                os.close(self._descriptor)
                raise SourceError(
                    f"{folder} is in use by {_owner(self._path)}. Wait for it to end, or name another folder with "
                    "--into."
                )
            if self._is_in_place(self._descriptor):
                break
            os.close(self._descriptor)  # its former owner deleted the file, or moved the folder, in between
        owner = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
        with suppress(OSError):  # a full disk: the lock holds all the same, it only has no name
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, owner.encode())

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def release(self, moved_to: Path | None = None) -> None:
        """Gives the folder free. moved_to: where it lies now, if it was moved. May be called again, by any thread."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._path = moved_to / LOCK if moved_to else self._path
            with suppress(OSError):  # nobody holds it once it is closed, whether or not the file stays
                if self._is_in_place(descriptor):
                    self._path.unlink()
            os.close(descriptor)

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False


def _try_lock(descriptor: int) -> bool:
    """Whether nobody else holds the file. The system frees it when the process ends, however it ends."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # a byte behind the text, which others may read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in NOT_LOCKABLE
    return True


def _owner(path: Path) -> str:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return f"process {int(facts['pid'])} on {facts['host']}"
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return "another process"  # which has not written its name yet
