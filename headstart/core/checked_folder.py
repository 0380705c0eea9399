"""Folders of files that prove themselves: a manifest, itself checked, holds the digest of every file in one."""

from __future__ import annotations

from pathlib import Path

from headstart.core import digest
from headstart.core.files import read_checked_json, write_checked_json


def write_manifest(manifest: Path, folder: Path, facts: dict | None = None) -> None:
    """A manifest of all files that are in a folder now, with facts on them. Raises OSError."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != manifest)
    digests = {p.relative_to(folder).as_posix(): digest.of_file(p) for p in files}
    write_checked_json(manifest, {**(facts or {}), "digests": digests})


def read_manifest(manifest: Path, folder: Path) -> dict | None:
    """The facts of a folder; None where the manifest or a file that it names is gone or damaged. Reads all of them."""
    facts = read_checked_json(manifest)
    digests = facts.get("digests") if facts else None
    if facts is None or not isinstance(digests, dict) or not digests:
        return None
    try:
        intact = all(digest.of_file(folder / name) == expected for name, expected in digests.items())
    except OSError:
        return None
    return facts if intact else None
