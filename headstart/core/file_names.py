"""Names of files that a card may pin: plain names inside of its folder, of types that cannot run code."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from pathlib import Path

from headstart.core.errors import ArtifactError
from headstart.core.schema import shorten

FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}){0,3}")


def check_name(name: object, card: Path, suffixes: Sequence[str]) -> None:
    """Raises ArtifactError unless a file's name stays inside of the folder and has one of the suffixes.

    card: the file that names it
    """
    if not isinstance(name, str) or not FILE_NAME.fullmatch(name) or ".." in name:
        raise ArtifactError(
            f"{card} names the file {shorten(name)}: only plain names inside of the folder are read, no '..', no "
            f"absolute path, no backslash. Do not trust this folder; ask whoever made it."
        )
    if not name.endswith(tuple(suffixes)):
        raise ArtifactError(
            f"{card} names the file {shorten(name)}: only {', '.join(suffixes)} are read, because a pickle can run "
            f"code. Do not trust this folder; ask whoever made it."
        )


def regular_file(folder: Path, name: str, fix: str) -> Path:
    """A file of the folder. Raises ArtifactError where it is missing, no plain file, or a link that leads outside.

    fix: what to do about a file that is missing
    """
    file = folder / name
    try:
        status = file.stat()
        inside = file.resolve(strict=True).is_relative_to(folder.resolve())
    except PermissionError as error:
        raise ArtifactError(
            f"{file} cannot be read: {error.strerror}. Let this user read it, or copy the folder."
        ) from error
    except (OSError, RuntimeError) as error:
        raise ArtifactError(f"{file} is missing. {fix}") from error
    if not inside:
        raise ArtifactError(f"{file} is a link that leads out of the folder. Put the file itself there.")
    if not stat.S_ISREG(status.st_mode):
        raise ArtifactError(f"{file} is not a plain file. {fix}")
    return file
