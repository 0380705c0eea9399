"""What a disk or the memory refuses, in words: caught once, at the public functions, never shown as a traceback."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from headstart.core.errors import DiskError, HeadstartError
from headstart.core.messages import type_and_first_line

F = TypeVar("F", bound=Callable[..., Any])

ELSEWHERE = "or name another folder: --into FOLDER for what is written, HEADSTART_CACHE=FOLDER for the cache."
WAYS_OUT = {
    errno.ENOSPC: f"The disk is full. Free space there, {ELSEWHERE}",
    errno.EDQUOT: f"Your share of the disk is used up. Free space there, {ELSEWHERE}",
    errno.EACCES: f"This user may not do that there. Change who may, {ELSEWHERE}",
    errno.EPERM: f"This user may not do that there. Change who may, {ELSEWHERE}",
    errno.EROFS: f"That disk is mounted read-only. Mount it otherwise, {ELSEWHERE}",
    errno.EIO: "The disk failed there: look at the system's log, and copy what you need from that disk.",
    errno.EMFILE: "Too many files are open at once: raise the limit (ulimit -n 4096) and run this again.",
    errno.ENAMETOOLONG: "The name is too long for that disk: use shorter names of files and folders.",
    errno.ENOENT: "It is not there, or was deleted while this ran. Bring it back, and run this again.",
}


def in_words(error: OSError) -> DiskError:
    """The error to raise from an OSError: which path, what the system said, and the way out."""
    path = " → ".join(str(p) for p in (error.filename, error.filename2) if p)
    said = error.strerror or str(error) or type(error).__name__
    way_out = WAYS_OUT.get(error.errno or 0, "Look at that path, and run this again.")
    return DiskError(f"{path}: {said}. {way_out}" if path else f"The disk says: {said}. {way_out}")


@contextmanager
def library_writes(path: Path) -> Iterator[None]:
    """A context in which a library does nothing but write below a path. Raises DiskError, and OSError, where it cannot.

    Libraries in C++ and Rust know a disk that refuses by errors of their own, which are no OSError.
    """
    try:
        yield
    except (OSError, MemoryError, HeadstartError):
        raise
    except Exception as error:  # RuntimeError, SafetensorError and what else they raise
        raise DiskError(
            f"{path} cannot be written: {type_and_first_line(error)}. Free space there, {ELSEWHERE}"
        ) from error


def disk_errors_in_words(function: F) -> F:
    """A public function that raises DiskError where a disk refuses, with the path, the cause and the way out.

    Where the memory is used up, it raises HeadstartError.
    """

    @functools.wraps(function)
    def worded(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except BrokenPipeError:
            raise  # the reader of our output has gone: the command line knows what to do
        except OSError as error:
            raise in_words(error) from error
        except MemoryError as error:
            said = f" ({error})" if str(error) else ""
            raise HeadstartError(
                f"The memory that this process may use is used up{said}. Take a sample of the data or a smaller "
                "backbone, raise the limit (ulimit -v), or use a machine with more."
            ) from error

    return cast(F, worded)
