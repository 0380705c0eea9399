"""What a user wants answered, as examples: files, folders, globs, tables, texts, lines, or things in memory."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from headstart import digest
from headstart.columns import PATHS, roles
from headstart.errors import SourceError
from headstart.find import member
from headstart.result import SetAside
from headstart.sheet import SUFFIXES, open_sheet
from headstart.task import Example, Row

PHOTOS = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".ico"}
WRITINGS = {".txt", ".md"}


def collect(
    items: Iterable[object], kind: str, column: str | None, lines: Iterable[str] | None
) -> Iterator[Example | SetAside]:
    """One example an input, in order; what is not there has its reason instead.

    items:  paths, globs, texts; "-" stands for `lines`; bytes, pictures or arrays in memory
    kind:   "image", "text" or "vector": what the model reads
    column: of a table, where its name does not say
    """
    if isinstance(items, np.ndarray) and items.dtype.kind not in "UO":
        yield from _memory(items, kind)
        return
    for item in items:
        if isinstance(item, str) and item == "-" and lines is not None:
            for line in lines:
                if line.strip():
                    yield from _one(line.rstrip("\r\n"), kind, column)
        elif isinstance(item, str | Path):
            yield from _one(item, kind, column)
        else:
            yield from _memory([item], kind)


def _one(item: str | Path, kind: str, column: str | None) -> Iterator[Example | SetAside]:
    text = str(item)
    if not text.strip():
        yield SetAside(text, "the text is empty" if kind == "text" else "no file is named")
        return
    try:
        path = Path(text)
        there = path.exists()
    except (OSError, ValueError):  # a long text is no file name
        there = False
    if there and path.is_dir():
        yield from _folder(path, kind)
    elif there and path.suffix.lower() in SUFFIXES:
        yield from _table(path, kind, column)
    elif there and (kind == "image" or path.suffix.lower() in WRITINGS):
        yield _file(path, kind)
    elif kind == "image" and glob.has_magic(text):
        found = sorted(p for p in map(Path, glob.glob(text, recursive=True)) if p.is_file())
        yield from (_file(p, kind) for p in found)
        if not found:
            yield SetAside(text, "no file has such a name")
    elif kind == "image" or (
        isinstance(item, Path) or (path.suffix.lower() in (SUFFIXES | WRITINGS) and " " not in text)
    ):
        yield SetAside(text, "no such file")
    elif kind == "text":
        yield Example(text, text, digest.of_bytes(text.encode("utf-8", "replace")), None)
    else:
        yield SetAside(text, "this model reads feature vectors: call headstart.predict with an array")


def _file(path: Path, kind: str) -> Example | SetAside:
    try:
        data = path.read_bytes()
        if kind == "image":
            return Example(str(path), path, digest.of_bytes(data), None)
        text = data.decode("utf-8")
        return Example(str(path), text, digest.of_bytes(data), None)
    except OSError as error:
        return SetAside(str(path), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return SetAside(str(path), "is not text in UTF-8")


def _folder(folder: Path, kind: str) -> Iterator[Example | SetAside]:
    wanted = PHOTOS if kind == "image" else WRITINGS
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in wanted and not p.name.startswith("."))
    yield from (_file(p, kind) for p in files)
    if not files:
        yield SetAside(str(folder), f"no {'photos' if kind == 'image' else 'text files'} in this folder")


def _table(path: Path, kind: str, column: str | None) -> Iterator[Example | SetAside]:
    sheet = open_sheet(path)
    name = roles(sheet, label="", input=column, group=None).input
    if name in sheet.binary:
        yield from (_cell(path, row, name) for row in range(sheet.rows))
        return
    for row, value in enumerate(sheet.values(name)):
        if value is None or value == "":
            yield SetAside(f"{path.name}:{row}", "the cell is empty")
        elif kind == "image" or name.lower() in PATHS:
            yield _named(_file(path.parent / str(value), kind), f"{value}")
        else:
            yield Example(
                f"{path.name}:{row}", str(value), digest.of_bytes(str(value).encode("utf-8", "replace")), None
            )


def _cell(path: Path, row: int, name: str) -> Example:
    # Answers are not looked up by content in bulk tables: the row's own place is name enough.
    return Example(f"{path.name}:{row}", Row(path, row, name), "", None)


def _named(found: Example | SetAside, name: str) -> Example | SetAside:
    return found if isinstance(found, SetAside) else Example(name, found.content, found.digest, None)


def _memory(items: Sequence | np.ndarray, kind: str) -> Iterator[Example | SetAside]:
    reading = member("readers", "arrays").read((items, None), label="", input=None, kind=kind)
    if reading.kind != kind:
        raise SourceError(f"These inputs are {reading.kind}; the model reads {kind}.")
    gone = {a.id: a for a in reading.aside}
    kept = iter(reading.examples[""])
    yield from (gone[str(i)] if str(i) in gone else next(kept) for i in range(len(items)))
