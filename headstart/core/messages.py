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


def smaller(delta: float, full: float) -> str:
    """How much less a delta takes than a whole copy: "290 times smaller than the model"; "" where neither is known.

    delta, full: bytes
    """
    if not delta or not full:
        return ""
    times = full / delta
    if times < 1.5:
        return "as large as the model" if times > 0.67 else "larger than the model"
    return f"{times:,.1f} times smaller than the model" if times < 10 else f"{_two(times)} times smaller than the model"


def _two(times: float) -> str:
    """Two significant digits: 293.4 is 290."""
    unit = 10 ** (len(str(int(times))) - 2)
    return f"{round(times / unit) * unit:,}"
