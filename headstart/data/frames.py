"""Frames in memory: of pandas, polars and pyarrow, and data sets of the Hugging Face library, told by what they have.

None of these libraries is imported: whoever hands a frame over has done so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import SourceError
from headstart.core.input_contract import InputContract
from headstart.core.messages import join_quoted
from headstart.data.column_names import INPUT_COLUMNS
from headstart.data.column_roles import infer_roles
from headstart.data.columnar import sheet_of_arrow
from headstart.data.image_bytes import encode_array, encode_picture, is_number_array, is_pil_image
from headstart.data.label_values import clean_label, is_missing
from headstart.data.sheet import Sheet

KNOWN_COLUMNS = {name for tier in INPUT_COLUMNS for name in tier}


def is_frame(x: object) -> bool:
    """Whether it is a table in memory: columns with names."""
    if type(x).__name__ in ("LazyFrame", "IterableDataset", "IterableDatasetDict"):
        return False
    named = hasattr(x, "columns") or hasattr(x, "column_names")
    return named and not isinstance(x, dict) and (_is_library_frame(x) or _is_arrow(x) or _is_data_set(x))


def require_rows(x: object) -> None:
    """Raises SourceError for a frame that has none before it is asked for them."""
    if type(x).__name__ == "LazyFrame" and hasattr(x, "collect"):
        raise SourceError("A LazyFrame holds no rows yet: give what its .collect() gives.")
    if type(x).__name__ in ("IterableDataset", "IterableDatasetDict") and hasattr(x, "map"):
        raise SourceError("A data set that is streamed has no length: give datasets.Dataset.from_list(list(data)).")


def _is_library_frame(x: object) -> bool:
    return hasattr(x, "to_numpy") and hasattr(x, "dtypes") and hasattr(x, "columns")


def _is_arrow(x: object) -> bool:
    return hasattr(x, "to_pandas") and hasattr(x, "schema") and hasattr(x, "num_rows")


def _is_data_set(x: object) -> bool:
    return hasattr(x, "features") and hasattr(x, "with_format") and hasattr(x, "column_names")


def frame_sheet(frame: Any) -> Sheet:
    """A frame as a sheet, its pictures as bytes. Raises SourceError where two columns have one name."""
    if _is_data_set(frame):
        frame = frame.with_format("arrow")[:]
    title = Path(type(frame).__name__)
    if _is_arrow(frame):
        return sheet_of_arrow(title, frame.schema, frame.num_rows, lambda name, inner="": frame.column(name), True)
    names = tuple(map(str, frame.columns))
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise SourceError(f"The frame has two columns named {repeated!r}. Give every column its own name.")
    columns = {name: _column(frame, own) for name, own in zip(names, frame.columns, strict=True)}
    firsts = {name: next((v for v in values if not is_missing(v)), None) for name, values in columns.items()}
    binary = tuple(name for name, first in firsts.items() if _is_picture(first))
    paths = {name: [v.get("path") if isinstance(v, dict) else None for v in columns[name]] for name in binary}
    columns |= {name: list(map(_picture_bytes, columns[name])) for name in binary}
    return Sheet(title, names, len(frame), columns.__getitem__, binary, paths.__getitem__, in_memory=True)


def _column(frame: Any, name: Any) -> list:
    values = frame[name].to_list()
    return [None if is_missing(v) else v.item() if isinstance(v, np.generic) else v for v in values]


def _is_picture(value: object) -> bool:
    if is_number_array(value):
        return np.asarray(value).ndim > 1
    return isinstance(value, bytes) or is_pil_image(value) or (isinstance(value, dict) and "bytes" in value)


def _picture_bytes(value: Any) -> bytes | None:
    if is_pil_image(value):
        return encode_picture(value)
    if is_number_array(value):
        return encode_array(value)
    return value.get("bytes") if isinstance(value, dict) else value


def frame_input(frame: Any, contract: InputContract | None) -> tuple[Any, tuple[str, ...]]:
    """What a frame holds as X: a list of one column's values, or an array (n, d) float64; and the columns of it.

    A frame of several columns is numbers, or has one whose name says that it is the input.
    contract: the columns that were learned from, which must be there
    Raises SourceError, naming the columns, where they are neither.
    """
    sheet = frame_sheet(frame)
    names = sheet.names
    if not names or not sheet.rows:
        raise SourceError(f"The frame has {sheet.rows} rows and {len(names)} columns: there is nothing to read.")
    if contract is not None and contract.columns:
        missing = [name for name in contract.columns if name not in names]
        if missing and len(names) > 1:
            raise SourceError(
                f"The frame has no column {missing[0]!r}, which the model learned from; it has {join_quoted(names)}. "
                "Give the columns that were learned from: X[columns]."
            )
        names = names if missing else contract.columns
    elif len(names) > 1 and set(map(str.lower, names)) & KNOWN_COLUMNS:
        names = infer_roles(sheet, label="", input=None, group=None).inputs
    columns = [sheet.values(name) for name in names]
    words = [any(isinstance(v, str) for v in column) for column in columns]
    if contract is None and all(is_missing(v) for column in columns for v in column):
        raise SourceError(f"The frame holds no value in {join_quoted(names)}: there is nothing to learn from.")
    asked = contract is not None and contract.kind != "vector"  # all of it may be missing
    if len(names) == 1 and (words[0] or names[0] in sheet.binary or asked):
        return columns[0], names
    if contract is not None and contract.kind == "text" and all(words):
        return ["\n".join(str(v) for v in row if not is_missing(v)) for row in zip(*columns, strict=True)], names
    return _numbers(columns, names), names


def _numbers(columns: list[list], names: Sequence[str]) -> np.ndarray:
    """(n, d) float64, NaN where a value is missing."""
    for column, name in zip(columns, names, strict=True):
        for i, value in enumerate(column):
            if clean_label(value) is None:
                column[i] = np.nan
            elif not isinstance(value, bool | int | float):
                others = f" Its columns are {join_quoted(names)}." if len(names) > 1 else ""
                raise SourceError(
                    f"Column {name!r} of a frame holds {type(value).__name__}, such as {str(value)[:40]!r}. "
                    f"A frame of numbers is expected, or one column of texts or paths: X[[column]].{others}"
                )
    return np.array(columns, np.float64).reshape(len(names), -1).T.copy()
