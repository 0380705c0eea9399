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


def chance(p: float) -> str:
    """A p-value: 'p = 0.03', 'p < 0.001'."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
