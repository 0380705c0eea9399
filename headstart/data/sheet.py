"""A table as its columns, loaded when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from headstart.data.number_text import is_number


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Columns of equal length, loaded when asked for.

    values: name of a column -> its values, None where there is none; not for those in `binary`
    binary: columns of bytes, or of {bytes, path} as Hugging Face lays images out
    paths:  name of such a column -> its paths
    classes: name of a column of numbers -> the class names they stand for
    bad:    row -> why it cannot be read
    typed:  whether values have types of their own; in delimited text they are what is written
    semicolons: whether they cut the columns, as where the comma is a decimal one
    encoding: of text that is no UTF-8
    in_memory: whether `values` gives the bytes of columns in `binary` too: there is no file to read them from
    """

    path: Path
    names: tuple[str, ...]
    rows: int
    values: Callable[[str], list]
    binary: tuple[str, ...] = ()
    paths: Callable[[str], list] = lambda name: []
    classes: dict[str, list[str]] = field(default_factory=dict)
    bad: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    typed: bool = True
    semicolons: bool = False
    encoding: str = ""
    in_memory: bool = False

    def show(self) -> str:
        """Every column with its first values, for messages."""
        lines = []
        for name in self.names:
            values = ["<bytes>"] if name in self.binary else self.values(name)[:200]
            distinct = list(dict.fromkeys(_shorten(v, self.typed) for v in values if v is not None and v != ""))[:3]
            lines.append(f"  {name}: {', '.join(distinct) or 'empty'}")
        return "\n".join(lines)


def _shorten(value: object, typed: bool) -> str:
    text = repr(value) if typed or not is_number(str(value)) else str(value)
    return text if len(text) <= 40 else text[:37] + "…" + text[0] * isinstance(value, str)
