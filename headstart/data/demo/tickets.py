"""Support tickets of a shop for tools, written by hand: a small table of real sentences for the demo."""

from __future__ import annotations

import csv
from pathlib import Path

TABLE = Path(__file__).with_name("tickets.csv")


def tickets() -> list[tuple[str, str]]:
    """Text and label of every ticket. Labels: billing, delivery, feature, login, returns."""
    with open(TABLE, encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def write_tickets(into: Path) -> Path:
    """`into`/tickets.csv, now holding the tickets under the header `text,label`."""
    into.mkdir(parents=True, exist_ok=True)
    written = into / TABLE.name
    written.write_bytes(TABLE.read_bytes())
    return written
