"""Where everything that the command prints goes through: names from elsewhere cannot steer a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import typer

from headstart.core.messages import printable_facts, printable_lines


def show(facts: dict, summarise: Callable[[Any], str], as_json: bool) -> None:
    """Prints facts: as JSON, which escapes by itself what no terminal should obey, or as `summarise` words them."""
    typer.echo(json.dumps(facts, default=str) if as_json else summarise(printable_facts(facts)))


def show_csv(table: Sequence[Sequence[object]]) -> None:
    """Prints rows as CSV: to a file as they are, for `core/spreadsheet.py` to read back; a terminal gets escapes.

    What goes to a file or into a pipe is UTF-8, whatever the console writes.
    """
    from headstart.core.spreadsheet import csv_text

    if sys.stdout.isatty() or not hasattr(sys.stdout, "buffer"):
        sys.stdout.write(csv_text(printable_facts(table) if sys.stdout.isatty() else table))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(csv_text(table).encode())
    sys.stdout.buffer.flush()


def show_error(heading: str, error: BaseException, facts: dict | None) -> None:
    """Prints an error on stderr. facts: what stdout gets as JSON, None for nothing"""
    if facts is not None:
        with suppress(OSError):  # it may be stdout that the error is about
            typer.echo(json.dumps(facts))
    typer.echo(f"{heading}: {printable_lines(str(error))}", err=True)


def prepare_streams() -> None:
    """What a terminal's encoding does not have is shown as an escape, and is no error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # tests and notebooks put others in their place
            stream.reconfigure(errors="backslashreplace")
