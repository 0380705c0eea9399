"""What a user wants answered, as examples: files, folders, globs, tables, texts, lines, or things in memory."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.errors import SourceError, Unreadable
from headstart.core.plan import Model
from headstart.core.plugins import member
from headstart.core.result import SetAside
from headstart.core.task import Example, Row
from headstart.data.column_roles import PATHS, roles
from headstart.data.contents import stream
from headstart.data.tabular import SUFFIXES, open_sheet
from headstart.deployment import zip_model
from headstart.deployment.model_folder import load
from headstart.deployment.witness import embed_fresh
from headstart.features.cache import store
from headstart.features.extract import SHARD
from headstart.features.runner import Running

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of one input.

    label:         a class, a list of tags, or a number; None where the input could not be read
    confidence:    the label's calibrated probability; None for numbers
    probabilities: of every class or tag
    error:         why there is no answer, "" where there is one
    """

    id: str
    label: object = None
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    error: str = ""

    def facts(self) -> dict:
        """As JSON."""
        shown = {"id": self.id, "label": self.label, "confidence": self.confidence}
        return {**shown, "probabilities": self.probabilities, "error": self.error}


def answers(model: Model, running: Running, items: Iterable[Example | SetAside]) -> Iterator[Answer]:
    """One answer an item, in order, a shard at a time: memory does not grow with their number."""
    items = iter(items)
    while shard := list(islice(items, SHARD)):
        yield from _shard(model, running, shard)


def _shard(model: Model, running: Running, shard: list[Example | SetAside]) -> Iterator[Answer]:
    spec = model.backbone.preprocess
    prepare = member("preprocess", spec.kind)
    contents = [content for _, content in stream([e for e in shard if isinstance(e, Example)])]
    ready = iter(prepare.prepare([c for c in contents if not isinstance(c, Unreadable)], spec))
    some = [c if isinstance(c, Unreadable) else next(ready) for c in contents]
    rows, reasons = embed_fresh(some, spec, model.cut, running)
    told = iter(_told(model, rows) if len(rows) else ())
    at = -1
    for item in shard:
        if isinstance(item, SetAside):
            yield Answer(item.id, error=item.reason)
            continue
        at += 1
        if at in reasons:
            yield Answer(item.id, error=str(reasons[at]))
        else:
            label, sure, shares = next(told)
            yield Answer(item.id, label, sure, shares)


def _told(model: Model, x: Any) -> Iterator[tuple[object, float | None, dict[str, float] | None]]:
    scores = model.fitted.scores(x)
    labels = model.objective.decode(scores)
    if model.objective.link == "identity":
        yield from ((float(label), None, None) for label in labels)
        return
    names = list(model.objective.facts()["names"])
    for label, p in zip(labels, model.objective.probabilities(scores), strict=True):
        shares = {str(name): float(v) for name, v in zip(names, p, strict=True)}
        several = isinstance(label, list | tuple)
        # For tags: how sure it is of all of them together, as if they were independent.
        sure = float(np.prod(np.maximum(p, 1 - p))) if several else float(p.max())
        yield (list(label) if several else label), sure, shares


def predict(
    folder: str | Path,
    inputs: Iterable[object],
    *,
    input: str | None = None,
    lines: Iterable[str] | None = None,
    root: Path | None = None,
) -> list[Answer]:
    """Answers of a saved model, one an input and in order; what cannot be read has its reason in `error`.

    folder: a run folder, a model folder, or a ZIP file that a page gave.  inputs: paths, folders, globs, tables, texts,
    or things in memory
    input: the column of a table.  lines: what "-" among the inputs stands for
    Raises ArtifactError when the model is damaged, its base is another one, or its witness answers otherwise.
    """
    root = root or store.default_root()
    model, running = load(zip_model.opened(Path(folder), root), root)
    some = [inputs] if isinstance(inputs, str | Path | bytes) else inputs
    return list(answers(model, running, collect(some, model.facts["kind"], input, lines)))
