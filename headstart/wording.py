"""How messages show many things in few words."""

from __future__ import annotations

from collections.abc import Iterable


def quoted(items: Iterable, most: int = 5) -> str:
    """The first items in quotation marks with commas between, and … where there are more."""
    return plain((repr(item) for item in items), most)


def plain(items: Iterable[str], most: int = 5) -> str:
    """Like `quoted`, without quotation marks: for files and suffixes."""
    shown = list(items)
    return ", ".join(shown[:most]) + (" …" if len(shown) > most else "")
