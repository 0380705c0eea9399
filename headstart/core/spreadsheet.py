"""CSV that a spreadsheet may open: no cell in it is run as a formula, and `read_csv` gives back what was written.

A text that a spreadsheet would take for a formula has an apostrophe before it, as one types it there to say "text".
So has what follows a semicolon, tab or line break inside of a cell: some spreadsheets begin a new cell there.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from headstart.core.errors import ArtifactError
from headstart.core.messages import first_line

# Behind blanks, quotes and characters that are not seen, a sign by which a formula begins, also in its wide forms, and
# more than a number.
FORMULA = re.compile(
    r"""(^|[;\t\r\n|])(?=[\s'"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*"""
    r"""[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212\t\r])"""
    r"""(?![+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?:[;\t\r\n|]|$))"""
)
ESCAPED = re.compile(FORMULA.pattern.replace("(?=", "'(?=", 1))


def csv_cell(value: object) -> str:
    """A value as text that no spreadsheet runs. Numbers stay numbers; lists are joined by semicolons; None is empty."""
    if value is None or isinstance(value, int | float):
        return "" if value is None else str(value)
    text = ";".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return FORMULA.sub(r"\1'", text)


def original_cell(cell: str) -> str:
    """The text that `csv_cell` was given."""
    return ESCAPED.sub(r"\1", cell)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as a CSV document. Halves of surrogate pairs, which UTF-8 cannot hold, become escapes."""
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([csv_cell(value) for value in row] for row in rows)
    return stream.getvalue().encode("utf-8", "backslashreplace").decode()


def read_csv(file: Path, columns: Sequence[str], fix: str) -> list[dict[str, str]]:
    """The rows of a CSV file that `csv_text` made, by the names in its first row.

    Raises ArtifactError where it is damaged or lacks one of the columns, and OSError.
    """
    raw = file.read_bytes()
    try:
        table = list(csv.reader(io.StringIO(raw.decode(), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"{file} is damaged: it is no CSV ({first_line(error)}). {fix}") from error
    head, rows = (table[0] if table else []), table[1:]
    if not set(columns) <= set(head) or any(len(row) != len(head) for row in rows):
        raise ArtifactError(f"{file} is damaged: the columns {', '.join(columns)} are expected in each row. {fix}")
    return [{name: original_cell(cell) for name, cell in zip(head, row, strict=True)} for row in rows]
