"""Data in memory: (X, y), or {"train": (X, y), "test": (X, y)}."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.errors import SourceError, Unreadable
from headstart.core.input_contract import InputContract
from headstart.core.messages import first_line
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data.contents import Reading, hash_files, text_digest, valid_text
from headstart.data.frames import frame_input, is_frame
from headstart.data.image_bytes import encode_array, encode_picture, is_colour, is_number_array, is_pil_image
from headstart.data.input_form import decode_image_text, form_of_strings
from headstart.data.label_values import NO_LABEL, clean_label, is_missing
from headstart.data.memory_labels import gives_pairs, pairs_apart, plain_labels, plain_picture, plain_values
from headstart.data.split_names import part_of
from headstart.data.table_folders import Place, resolve

SMALLEST_FEATURE = 1e-30  # of the largest number in X: below about 1e-38 float32 has no digits left
EXPECTED = (
    "X is one of: a 2-D array of numbers (features computed elsewhere), a list of texts, of paths, of PIL images, "
    "of bytes, or arrays (n, height, width[, 3])"
)


def reads(source: object) -> bool:
    """Whether it is a pair (X, y), a triple (X, y, groups), a dict of these, or a collection of pairs (x, y)."""
    if isinstance(source, dict):
        return not source or not all(map(is_frame, source.values()))
    return isinstance(source, tuple) or gives_pairs(source)


def read(
    source: Any,
    *,
    label: str | None,
    input: str | None,
    kind: str | None,
    group: str | None = None,
    contract: InputContract | None = None,
) -> Reading:
    """Ids are "<position>", or "<part>:<position>".

    Raises SourceError when X is nothing known, or X and y differ in length.
    """
    if label or (input and contract is None) or group:
        raise SourceError(
            "Data in memory have no columns: give (X, y) or (X, y, groups), without label, input or group."
        )
    parts = source if isinstance(source, dict) else {"": source}
    if isinstance(source, dict) and not (source and all(isinstance(p, str) and part_of(p) for p in source)):
        raise SourceError(
            f"The parts are named {', '.join(map(repr, source)) or 'nothing'}; train, val and test are expected."
        )
    examples: dict[str, list[Example]] = {}
    unlabelled: dict[str, list[Example]] = {}
    rows: list[Example | SetAside] = []
    read_as: list[_Contents] = []
    notes: list[str] = []
    columns: tuple[str, ...] = ()
    for part, data in parts.items():
        x, labels, groups, columns = _unpack(data, part, label, contract)
        found = _read_memory(x, kind, contract, columns)
        read_as.append(found)
        notes += found.notes
        examples[part] = []
        for i, (content, mark, value) in enumerate(zip(found.contents, found.digests, labels, strict=True)):
            name = f"{part}:{i}" if part else str(i)
            if isinstance(mark, Unreadable):
                rows.append(SetAside(name, str(mark)))
                continue
            example = Example(name, content, mark, value, groups[i])
            lacking = value is None and label != ""
            (unlabelled.setdefault(part, []) if lacking else examples[part]).append(example)
            rows.append(SetAside(name, NO_LABEL) if lacking else example)
    kinds = {found.kind for found in read_as}
    if len(kinds) > 1:
        raise SourceError(f"The parts hold different things: {' and '.join(sorted(kinds))}.")
    first = read_as[0]
    made = InputContract(kind=first.kind, container="memory", form=first.form, columns=columns, suffixes=first.suffixes)
    aside = tuple(row for row in rows if isinstance(row, SetAside))
    notes = [f"Kind: {first.kind}, because of what X holds.", *dict.fromkeys(notes)]
    return Reading(first.kind, examples, tuple(notes), aside, contract=made, rows=tuple(rows), unlabelled=unlabelled)


def _unpack(
    data: Any, part: str, label: str | None, contract: InputContract | None
) -> tuple[Sequence, list, list[str], tuple[str, ...]]:
    """X, the labels, the groups and the columns of X of one part."""
    where = f" of part {part!r}" if part else ""
    data = pairs_apart(data) if gives_pairs(data) else data
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        raise SourceError(f"The data{where} are a {type(data).__name__}. A pair (X, y) is expected, or (X, y, groups).")
    x, columns = frame_input(data[0], contract) if is_frame(data[0]) else (plain_values(data[0]), ())
    x = list(x) if isinstance(x, Iterator) else x
    groups = plain_values(data[2]) if len(data) == 3 else None
    if isinstance(x, str | bytes | Path) or not _has_length(x):
        raise SourceError(f"X{where} is a {type(x).__name__}. {EXPECTED}.")
    if data[1] is None and label != "":
        raise SourceError(f"y{where} is missing: one label for each of the {len(x)} examples is expected.")
    labels = [None] * len(x) if data[1] is None else plain_labels(data[1])
    names = [""] * len(x) if groups is None else ["" if g is None else str(g) for g in map(clean_label, groups)]
    for noun, values in (("labels", labels), ("groups", names)):
        if len(values) != len(x):
            raise SourceError(
                f"X{where} has {len(x)} examples and there are {len(values)} {noun}. One each is expected."
            )
    return x, labels, names, columns


def _has_length(x: Any) -> bool:
    try:
        return len(x) >= 0
    except TypeError:
        return False


@dataclass(frozen=True, slots=True)
class _Contents:
    """What X holds. digests: or why there is none.  form, suffixes: as in an InputContract"""

    kind: str
    form: str
    contents: list
    digests: list[str | Unreadable]
    notes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()


def _read_memory(x: Sequence, kind: str | None, contract: InputContract | None, columns: tuple[str, ...]) -> _Contents:
    array = _as_array(x)
    if array is not None and array.ndim == 2 and kind in (None, "vector"):
        contents = [row.tobytes() for row in _single_precision(array)]
        return _Contents("vector", "vector", contents, [digest.of_bytes(c) for c in contents])
    if array is not None and array.ndim == 2 and contract is not None:
        raise SourceError(f"These inputs are feature vectors; the model reads {kind}s.")
    if array is not None and is_colour(array):
        raise SourceError(f"X has the shape {array.shape}: one picture, where several are expected. Give X[None].")
    if array is not None and array.ndim in (3, 4):
        return _images([encode_array(picture) for picture in array])
    items = [None if is_missing(item) else plain_picture(item) for item in x]
    if not items:
        raise SourceError(f"X is empty. {EXPECTED}.")
    there = [item for item in items if item is not None]
    if all(isinstance(i, str) for i in there):
        return _texts_or_paths(items, kind, contract, ",".join(columns))
    if all(isinstance(i, os.PathLike) for i in there):
        paths = [os.fspath(i) if i is not None else "" for i in items]
        digests = [d if p else Unreadable("no path") for p, d in zip(paths, hash_files(paths), strict=True)]
        return _Contents("image", "path", [Path(p) for p in paths], digests)
    if all(isinstance(i, bytes) for i in there):
        return _images(items)
    if all(map(is_number_array, there)):
        return _images([None if i is None else encode_array(i) for i in items])
    if all(is_pil_image(i) for i in there):
        return _images([None if i is None else encode_picture(i) for i in items])
    found = ", ".join(sorted({type(i).__name__ for i in there})[:4])
    shape = f" of type {x.dtype} and shape {x.shape}" if isinstance(x, np.ndarray) else ""
    raise SourceError(f"X holds {found}{shape}. {EXPECTED}.")


def _images(contents: list[bytes | None]) -> _Contents:
    digests = [Unreadable("no image") if c is None else digest.of_bytes(c) for c in contents]
    return _Contents("image", "bytes", contents, digests)


def _texts_or_paths(items: list, kind: str | None, contract: InputContract | None, column: str) -> _Contents:
    """Strings are what they look like, or what `kind` says: texts, paths of images, images in base64."""
    strings = ["" if i is None else valid_text(i) for i in items]
    place = Place("X", Path(), column=column, kind_flag="kind=")
    found = form_of_strings(items, place, kind, contract if contract is not None and contract.columns else None)
    if found.form == "text":
        return _Contents("text", "text", strings, [text_digest(s) for s in strings])
    if found.form == "base64":
        decoded = [_decoded(s) for s in strings]
        digests = [digest.of_bytes(d) if isinstance(d, bytes) else d for d in decoded]
        return _Contents("image", "base64", decoded, digests, found.notes)
    files = [resolve("", i, found.suffixes) for i in items]
    digests = [d if f else Unreadable("no path") for f, d in zip(files, hash_files(files), strict=True)]
    if contract is None and all(isinstance(d, Unreadable) for d in digests):
        first = next((i for i, file in enumerate(files) if file), 0)
        raise SourceError(
            f"X holds paths of images, and none of the {len(files):,} can be read (first: {files[first]!r}: "
            f'{digests[first]}, seen from {Path.cwd()}). Give whole paths, or say kind="text" if they are texts.'
        )
    note = "The strings in X are taken as paths, because they end like images."
    return _Contents("image", "path", [Path(f) for f in files], digests, (note, *found.notes), found.suffixes)


def _decoded(text: str) -> bytes | Unreadable:
    try:
        return decode_image_text(text) if text.strip() else Unreadable("no image")
    except ValueError as error:
        return Unreadable(f"is no base64: {first_line(error)}")


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
        x = [plain_values(row) if isinstance(row, np.ma.MaskedArray) else row for row in x]
    array = np.asarray(x)
    if array.dtype == object and array.ndim == 2:
        with suppress(TypeError, ValueError, OverflowError):  # numbers, with None for missing ones
            array = array.astype(np.float64)
    return array if array.dtype.kind in "fiub" else None


def _is_row(row: object) -> bool:
    if isinstance(row, np.ndarray):
        return row.ndim == 1 and row.dtype.kind in "fiub"
    return isinstance(row, list | tuple) and all(isinstance(v, int | float | np.number) for v in row)
