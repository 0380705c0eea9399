"""Data in memory: (X, y), or {"train": (X, y), "test": (X, y)}."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.errors import SourceError, Unreadable
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data.contents import IMAGE_SUFFIXES, Reading, hash_files, valid_text
from headstart.data.readers.table import clean_label
from headstart.data.split_names import part_of

LABEL_KINDS = "biufUSO"  # of numpy: no times, complex numbers or records, which would become numbers or tags
SMALLEST_FEATURE = 1e-30  # of the largest number in X: below about 1e-38 float32 has no digits left
EXPECTED = (
    "X is one of: a 2-D array of numbers (features computed elsewhere), a list of texts, of paths, of PIL images, "
    "of bytes, or uint8 arrays (n, height, width[, 3])"
)


def reads(source: object) -> bool:
    """Whether it is a pair (X, y), a triple (X, y, groups), or a dict of these."""
    return isinstance(source, tuple | dict)


def read(
    source: tuple | dict, *, label: str | None, input: str | None, kind: str | None, group: str | None = None
) -> Reading:
    """Ids are "<position>", or "<part>:<position>".

    Raises SourceError when X is nothing known, or X and y differ in length.
    """
    if label or input or group:
        raise SourceError(
            "Data in memory have no columns: give (X, y) or (X, y, groups), without label, input or group."
        )
    parts = source if isinstance(source, dict) else {"": source}
    if isinstance(source, dict) and not (source and all(isinstance(p, str) and part_of(p) for p in source)):
        raise SourceError(
            f"The parts are named {', '.join(map(repr, source)) or 'nothing'}; train, val and test are expected."
        )
    examples: dict[str, list[Example]] = {}
    aside: list[SetAside] = []
    kinds, notes = set(), []
    for part, data in parts.items():
        x, labels, groups = _unpack(data, part, label)
        part_kind, contents, digests, part_notes = _contents(x, kind)
        kinds.add(part_kind)
        notes += part_notes
        examples[part] = []
        for i, (content, digest_or_reason, value) in enumerate(zip(contents, digests, labels, strict=True)):
            name = f"{part}:{i}" if part else str(i)
            if isinstance(digest_or_reason, Unreadable):
                aside.append(SetAside(name, str(digest_or_reason)))
            elif value is None and label != "":
                aside.append(SetAside(name, "no label"))
            else:
                examples[part].append(Example(name, content, digest_or_reason, value, groups[i]))
    if len(kinds) > 1:
        raise SourceError(f"The parts hold different things: {' and '.join(sorted(kinds))}.")
    kind = kinds.pop()
    return Reading(kind, examples, (f"Kind: {kind}, because of what X holds.", *dict.fromkeys(notes)), tuple(aside))


def _unpack(data: object, part: str, label: str | None) -> tuple[Sequence, list, list[str]]:
    """X, the labels and the groups of one part."""
    where = f" of part {part!r}" if part else ""
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        raise SourceError(f"The data{where} are a {type(data).__name__}. A pair (X, y) is expected, or (X, y, groups).")
    x, y = (_plain_values(column) for column in data[:2])
    groups = _plain_values(data[2]) if len(data) == 3 else None
    if isinstance(x, str | bytes | Path) or not _has_length(x):
        raise SourceError(f"X{where} is a {type(x).__name__}. {EXPECTED}.")
    if y is None and label != "":
        raise SourceError(f"y{where} is missing: one label for each of the {len(x)} examples is expected.")
    labels = [None] * len(x) if y is None else _plain_labels(y)
    names = [""] * len(x) if groups is None else ["" if g is None else str(g) for g in map(clean_label, groups)]
    for noun, values in (("labels", labels), ("groups", names)):
        if len(values) != len(x):
            raise SourceError(
                f"X{where} has {len(x)} examples and there are {len(values)} {noun}. One each is expected."
            )
    return x, labels, names


def _has_length(x: Any) -> bool:
    try:
        return len(x) >= 0
    except TypeError:
        return False


def _plain_values(column: Any) -> Any:
    """What a table library or a masked array holds, missing values as None or NaN; anything else as it is.

    A frame of numbers becomes (n, d) float64, a frame of one column that column's values, a series a list.
    Raises SourceError for a frame that mixes numbers with other things.
    """
    if isinstance(column, np.ma.MaskedArray):
        if not np.ma.is_masked(column):
            return column.data
        numbers = column.ndim > 1 and column.dtype.kind in "fiub"
        return np.ma.filled(column.astype(np.float64), np.nan) if numbers else column.tolist()
    if hasattr(column, "to_pandas") and hasattr(column, "column_names"):
        column = column.to_pandas()  # a table of pyarrow
    if hasattr(column, "to_pylist"):
        return column.to_pylist()  # an array of pyarrow
    if not (hasattr(column, "to_numpy") and hasattr(column, "dtypes") and hasattr(column, "columns")):
        return column.to_list() if hasattr(column, "to_list") else column  # a series
    names = list(column.columns)
    if len(names) == 1:
        values = column[names[0]].to_list()
        return values if any(isinstance(v, str) for v in values) else _number_rows([[v] for v in values], names)
    return _number_rows([list(row) for row in zip(*(column[name].to_list() for name in names), strict=True)], names)


def _number_rows(rows: list[list], names: list) -> np.ndarray:
    """The rows of a frame as (n, d) float64, NaN where a value is missing."""
    for row in rows:
        for i, value in enumerate(row):
            if clean_label(value) is None:
                row[i] = np.nan
            elif not isinstance(value, bool | int | float | np.number | np.bool_):
                raise SourceError(
                    f"Column {str(names[i])!r} of a frame holds {type(value).__name__}, such as {str(value)[:40]!r}. "
                    "A frame of numbers is expected, or one column of texts or paths: X[column]."
                )
    return np.array(rows, np.float64).reshape(len(rows), len(names))


def _plain_labels(y: Any) -> list:
    """Labels as plain Python values; rows of 0 and 1 become the positions of the ones."""
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


def _contents(x: Sequence, kind: str | None) -> tuple[str, list, list[str | Unreadable], list[str]]:
    """Kind, contents, digests (or why there is none), and notes."""
    array = _as_array(x)
    if array is not None and array.ndim == 2 and kind in (None, "vector"):
        contents: list = [row.tobytes() for row in _single_precision(array)]
        return "vector", contents, [digest.of_bytes(c) for c in contents], []
    if array is not None and array.ndim in (3, 4):
        if array.dtype != np.uint8:
            raise SourceError(
                f"X holds {array.dtype} pictures of shape {array.shape[1:]}. Give uint8 from 0 to 255. {EXPECTED}."
            )
        return _images([encode_png(picture) for picture in array])
    items = list(x)
    if not items:
        raise SourceError(f"X is empty. {EXPECTED}.")
    if all(isinstance(i, str) or i is None for i in items):
        return _texts_or_paths(items, kind)
    if all(isinstance(i, os.PathLike) for i in items):
        return "image", [Path(i) for i in items], hash_files([os.fspath(i) for i in items]), []
    if all(isinstance(i, bytes) for i in items):
        return _images(items)
    if all(isinstance(i, np.ndarray) and i.dtype == np.uint8 for i in items):
        return _images([encode_png(i) for i in items])
    if all(_is_pil_image(i) for i in items):
        return _images([_encode_lossless(i) for i in items])
    found = ", ".join(sorted({type(i).__name__ for i in items})[:4])
    shape = f" of type {x.dtype} and shape {x.shape}" if isinstance(x, np.ndarray) else ""
    raise SourceError(f"X holds {found}{shape}. {EXPECTED}.")


def _single_precision(array: np.ndarray) -> np.ndarray:
    """The numbers as little-endian float32. Raises SourceError where nothing of them would be left.

    What is too large for float32 becomes its largest number, not infinity, which no one wrote.
    """
    if not array.shape[1]:
        raise SourceError(f"X has the shape {array.shape}: no column, so there is nothing to learn from.")
    size = np.abs(array[np.isfinite(array)].astype(np.float64, copy=False)).max(initial=0.0)
    if 0 < size < SMALLEST_FEATURE:
        raise SourceError(
            f"The largest number in X is {size:g}, and features are kept in single precision, which holds nothing of "
            "such ones. Multiply X, as by giving it in another unit."
        )
    largest = np.finfo(np.float32).max
    if size > largest:
        array = np.where(np.isfinite(array), np.clip(array, -largest, largest), array)
    return np.ascontiguousarray(array, dtype="<f4")


def _as_array(x: Sequence) -> np.ndarray | None:
    """X as an array of numbers, if it is one: an array, a frame or a list of rows of numbers."""
    if isinstance(x, list | tuple):
        if not x or not all(_is_row(row) for row in x):
            return None
        if len({len(row) for row in x}) > 1:
            raise SourceError("The rows of X differ in length.")
        x = [_plain_values(row) if isinstance(row, np.ma.MaskedArray) else row for row in x]
    array = np.asarray(x)
    if array.dtype == object and array.ndim == 2:
        with suppress(TypeError, ValueError, OverflowError):  # numbers, with None for missing ones
            array = array.astype(np.float64)
    return array if array.dtype.kind in "fiub" else None


def _is_row(row: object) -> bool:
    if isinstance(row, np.ndarray):
        return row.ndim == 1 and row.dtype.kind in "fiub"
    return isinstance(row, list | tuple) and all(isinstance(v, int | float | np.number) for v in row)


def _images(contents: list[bytes]) -> tuple[str, list, list[str | Unreadable], list[str]]:
    return "image", contents, [digest.of_bytes(c) for c in contents], []


def _texts_or_paths(items: list, kind: str | None) -> tuple[str, list, list[str | Unreadable], list[str]]:
    """Strings are texts, unless each of them ends like an image and the first is a file, or `kind` says so."""
    strings = [i or "" for i in items]
    are_paths = all(s.lower().endswith(IMAGE_SUFFIXES) for s in strings) and _is_file(strings[0])
    if kind == "image" or (kind is None and are_paths):
        note = "The strings in X are taken as paths, because they end like images and the first is a file."
        return "image", [Path(s) for s in strings], hash_files(strings), [] if kind else [note]
    strings = [valid_text(s) for s in strings]
    digests = [digest.of_bytes(s.encode()) if s.strip() else Unreadable("empty text") for s in strings]
    return "text", strings, digests, []


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # half a character, or a zero byte: no name of a file
        return False


def _is_pil_image(item: object) -> bool:
    """A PIL image, told by its module: importing PIL to ask would cost 0.1 s where there is none."""
    return any(c.__module__ == "PIL.Image" and c.__name__ == "Image" for c in type(item).__mro__)


def _encode_lossless(image) -> bytes:
    """A PIL image as the bytes of a file that holds the same pixels and the same orientation."""
    buffer = io.BytesIO()
    fits_png = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    image.save(buffer, "PNG" if fits_png else "TIFF", **({"exif": image.getexif()} if image.getexif() else {}))
    return buffer.getvalue()


def encode_png(picture: np.ndarray) -> bytes:
    """A uint8 picture, (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), as a PNG file. Raises SourceError for other shapes.

    Source: PNG specification, third edition, chapters 5 and 11; every row has filter 0.
    """
    rows = picture[:, :, 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    colour = {2: 0, 3: {3: 2, 4: 6}.get(rows.shape[-1])}.get(rows.ndim)
    if colour is None or not rows.size:
        raise SourceError(
            f"X holds a picture of shape {picture.shape}; (height, width) or (height, width, 3) is expected."
        )
    height, width = rows.shape[:2]
    flat = np.ascontiguousarray(rows).reshape(height, -1)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), flat], axis=1)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(filtered.tobytes(), 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
