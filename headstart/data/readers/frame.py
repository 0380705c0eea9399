"""A frame of pandas, polars or pyarrow, or a data set of the Hugging Face library: a table in memory."""

from __future__ import annotations

from typing import Any

from headstart.core.errors import SourceError
from headstart.core.input_contract import InputContract
from headstart.data.contents import Reading
from headstart.data.frames import frame_sheet, is_frame
from headstart.data.readers.table import read_tables
from headstart.data.split_names import part_of


def reads(source: object) -> bool:
    """Whether it is a frame, or a dict of such by the names of parts."""
    frames = list(source.values()) if isinstance(source, dict) else [source]
    return bool(frames) and all(map(is_frame, frames))


def read(
    source: Any,
    *,
    label: str | None,
    input: str | None,
    kind: str | None,
    group: str | None = None,
    contract: InputContract | None = None,
) -> Reading:
    """One example a row; its id is "<row from 0>", or "<part>:<row>".

    Raises SourceError when the columns cannot be told apart, or the parts are not named as such.
    """
    parts = dict(source) if isinstance(source, dict) else {"": source}
    unnamed = [name for name in parts if name and not part_of(str(name))]
    if unnamed or (isinstance(source, dict) and "" in parts):
        raise SourceError(
            f"The parts are named {', '.join(map(repr, parts))}; train, validation and test are expected. "
            "Leave the others out."
        )
    sheets = {str(name): [(str(name), frame_sheet(frame))] for name, frame in parts.items()}
    empty = next((name for name, [(_, sheet)] in sheets.items() if not sheet.rows), None)
    if empty is not None:
        raise SourceError(f"The frame{f' {empty!r}' if empty else ''} has no rows.")
    return read_tables(sheets, "frame", label=label, input=input, kind=kind, group=group, contract=contract)
