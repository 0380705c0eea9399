"""Runs that have begun and have not ended: whoever ends the process early journals it in each of them.

A file of its own, because the command line asks it before anything else is imported.
"""

from __future__ import annotations

from collections.abc import Callable

_journals: dict[str, Callable[[str], None]] = {}  # by folder; each takes what ended the run
_latest: list[str] = []  # the folder of the run that was opened last, were it closed since


def add(folder: str, journal: Callable[[str], None]) -> None:
    """From now on `journal` is called when the process is ended early."""
    _journals[folder] = journal
    _latest[:] = [folder]


def discard(folder: str) -> None:
    """The run has ended."""
    _journals.pop(folder, None)


def latest_folder() -> str:
    """The folder of the run that was opened last; "" where none was."""
    return "".join(_latest)


def journal_interruption(by: str) -> None:
    """Journals the end in every open run, where the disk takes it. by: the name of the signal"""
    while _journals:
        _, journal = _journals.popitem()
        try:
            journal(by)
        except OSError:
            continue  # the process ends anyhow, and its last word is on the terminal
