"""What libraries hold in memory as plain Python values: labels, groups, one column of X, pairs of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from headstart.core.errors import SourceError
from headstart.data.frames import frame_sheet, is_frame
from headstart.data.label_values import clean_label, is_missing

LABEL_KINDS = "biufUSO"  # of numpy: no times, complex numbers or records, which would become numbers or tags


def plain_values(column: Any) -> Any:
    """What a series or a masked array holds, missing values as None or NaN; anything else as it is."""
    if isinstance(column, np.ma.MaskedArray):
        if not np.ma.is_masked(column):
            return column.data
        numbers = column.ndim > 1 and column.dtype.kind in "fiub"
        return np.ma.filled(column.astype(np.float64), np.nan) if numbers else column.tolist()
    if hasattr(column, "to_pylist"):
        return column.to_pylist()  # an array of pyarrow
    if hasattr(column, "to_list") and not is_frame(column):
        return column.to_list()  # a series
    return column


def plain_labels(y: Any) -> list:
    """Labels as plain Python values; rows of 0 and 1 become the names, or else the positions, of the ones."""
    names: tuple[str, ...] = ()
    if is_frame(y):
        sheet = frame_sheet(y)
        names = sheet.names
        columns = [sheet.values(name) for name in names]
        y = columns[0] if len(names) == 1 else _hot_rows(columns, names)
    y = plain_values(y)
    if isinstance(y, list | tuple):
        return [clean_label(v) for v in y]
    array = np.asarray(y)
    if array.dtype.kind not in LABEL_KINDS:
        raise SourceError(f"y holds {array.dtype}. Words, numbers or lists of words are expected.")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.dtype.kind in "fiub" and np.isin(array, (0, 1)).all():
        return [tuple(str(i) for i in np.flatnonzero(row)) for row in array]
    if array.ndim != 1:
        raise SourceError(f"y has shape {array.shape}. One label an example is expected, or (n, tags) of 0 and 1.")
    return [clean_label(v) for v in array.tolist()]


def _hot_rows(columns: list[list], names: tuple[str, ...]) -> list[tuple[str, ...] | None]:
    """The names of the columns that hold 1 in each row; None for a row of which nothing is known."""
    for name, column in zip(names, columns, strict=True):
        odd = next((v for v in column if not is_missing(v) and v not in (0, 1)), None)
        if odd is not None:
            raise SourceError(
                f"y is a frame of {len(names)} columns, and {name!r} holds {str(odd)[:40]!r}. One column of labels is "
                "expected, or a column a tag of 0 and 1: y[column]."
            )
    rows = zip(*columns, strict=True)
    return [
        None if all(map(is_missing, row)) else tuple(n for n, v in zip(names, row, strict=True) if v == 1)
        for row in rows
    ]


def gives_pairs(source: object) -> bool:
    """Whether it is a generator, or like a data set of torch: it has a length, and items are taken by number."""
    if isinstance(source, Iterator):
        return True
    plain = isinstance(source, str | bytes | list | tuple | dict | np.ndarray) or is_frame(source)
    numbered = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    return numbered and not plain and not any(hasattr(source, name) for name in ("__array__", "to_list", "to_pylist"))


def pairs_apart(source: Any) -> tuple[list, list | None]:
    """(X, y) of what gives pairs (x, y); y is None where it gives no pairs, and words where it names its classes.

    Raises SourceError where its items differ in form.
    """
    try:
        items = list(source) if isinstance(source, Iterator) else [source[i] for i in range(len(source))]
    except (TypeError, KeyError) as error:
        raise SourceError(
            f"A {type(source).__name__} cannot be read: items are taken by number from 0 ({error})."
        ) from error
    pairs = [isinstance(item, tuple | list) and len(item) == 2 for item in items]
    if not any(pairs):
        return items, None
    if not all(pairs):
        odd, name = pairs.index(False), type(source).__name__
        raise SourceError(f"Item {odd} of a {name} is no pair (x, y), and item {pairs.index(True)} is one.")
    x, y = [pair[0] for pair in items], [_plain_label(pair[1]) for pair in items]
    classes = getattr(source, "classes", None)
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in y)
    if isinstance(classes, list | tuple) and whole and y and 0 <= min(y) and max(y) < len(classes):
        y = [str(classes[v]) for v in y]
    return x, y


def _plain_label(label: Any) -> Any:
    return label.tolist() if hasattr(label, "tolist") else label


def plain_picture(item: Any) -> Any:
    """A picture of torch, (3, h, w) or (1, h, w), as an array (h, w, 3) of uint8; anything else as it is.

    Raises SourceError where its numbers are neither from 0 to 255 nor from 0 to 1.
    """
    if not (hasattr(item, "detach") and hasattr(item, "numpy")):
        return item
    array = item.detach().cpu().numpy()
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (3, 4):
        array = np.ascontiguousarray(array.transpose(1, 2, 0))
    if array.ndim in (2, 3) and array.dtype.kind == "f":
        if not (np.isfinite(array).all() and array.min(initial=0) >= 0 and array.max(initial=0) <= 1):
            raise SourceError(
                f"A picture of torch holds numbers from {array.min():g} to {array.max():g}. From 0 to 1, or uint8 from "
                "0 to 255, are expected: leave out the normalisation, which the backbone does itself."
            )
        array = np.round(array * 255).astype(np.uint8)
    return array
