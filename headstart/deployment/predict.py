"""Predictions of a saved model for files, folders, globs, tables, texts, lines, or arrays in memory."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.disk_errors import disk_errors_in_words
from headstart.core.errors import SourceError, Unreadable
from headstart.core.plan import Model
from headstart.core.plugins import member
from headstart.core.result import SetAside
from headstart.core.task import Example, TableCell
from headstart.data.column_roles import PATH_COLUMNS, infer_roles
from headstart.data.contents import IMAGE_SUFFIXES, iter_contents, read_file, valid_text
from headstart.data.directory_walk import list_files
from headstart.data.tabular import TABLE_SUFFIXES, open_sheet
from headstart.deployment import zip_model
from headstart.deployment.model_folder import load
from headstart.deployment.witness import embed_uncached
from headstart.features.cache import store
from headstart.features.extract import SHARD
from headstart.features.runner import Extractor

Item = Example | SetAside  # an input, or why it was not found
TEXT_SUFFIXES = {".txt", ".md"}
FILE_SUFFIXES = TABLE_SUFFIXES | TEXT_SUFFIXES  # a word that ends so is no text


@dataclass(frozen=True, slots=True)
class Answer:
    """The prediction for one input.

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
        return asdict(self)


@disk_errors_in_words
def predict(
    folder: str | Path,
    inputs: Iterable[object],
    *,
    input: str | None = None,
    lines: Iterable[str] | None = None,
    root: Path | None = None,
    base: str | None = None,
) -> list[Answer]:
    """Answers of a saved model, one an input and in order; what cannot be read has its reason in `error`.

    folder: a run folder, a model folder, or a ZIP file from an exported page
    inputs: paths, folders, globs, tables, texts, or bytes, images and arrays in memory
    input: the column of a table.  lines: what "-" among the inputs stands for.  root: the cache folder
    base: the backbone of a model from elsewhere that names it by a path, or where its weights lie here
    Raises ArtifactError when the model is damaged, its base is another one, or its witness gives other scores;
    DiskError where a disk refuses.
    """
    root = root or store.default_root()
    model, extractor = load(zip_model.unpack_if_zip(Path(folder), root), root, base or "")
    items = [inputs] if isinstance(inputs, str | Path | bytes) else inputs
    return list(answer_inputs(model, extractor, collect_inputs(items, model.facts["kind"], input, lines)))


def collect_inputs(
    items: Iterable[object], kind: str, column: str | None, lines: Iterable[str] | None
) -> Iterator[Item]:
    """One example an input, in order; for what cannot be found, the reason.

    items:  paths, globs, texts; "-" stands for `lines`; bytes, images or arrays in memory
    kind:   "image", "text" or "vector": what the model reads
    column: of a table, where its name does not tell
    """
    if isinstance(items, np.ndarray) and items.dtype.kind not in "UO":
        yield from _from_memory(items, kind)
        return
    for item in items:
        if isinstance(item, str) and item == "-" and lines is not None:
            for line in lines:
                if line.strip():
                    yield from _expand(line.rstrip("\r\n"), kind, column)
        elif isinstance(item, str | Path):
            yield from _expand(item, kind, column)
        else:
            yield from _from_memory([item], kind)


def _expand(item: str | Path, kind: str, column: str | None) -> Iterator[Item]:
    """The examples that a string or path names: a file's, a folder's, a glob's, a table's, or the text itself."""
    text = str(item)
    if not text.strip():
        yield SetAside(text, "the text is empty" if kind == "text" else "no file is named")
        return
    try:
        path = Path(text)
        exists = path.exists()
    except (OSError, ValueError):  # a long text is no file name
        exists = False
    if exists and path.is_dir():
        yield from _expand_folder(path, kind)
    elif exists and path.suffix.lower() in TABLE_SUFFIXES:
        yield from _expand_table(path, kind, column)
    elif exists and (kind == "image" or path.suffix.lower() in TEXT_SUFFIXES):
        yield _read_file(path, kind)
    elif kind == "image" and glob.has_magic(text):
        matches = sorted(p for p in map(Path, glob.glob(text, recursive=True)) if p.is_file())
        yield from (_read_file(p, kind) for p in matches)
        if not matches:
            yield SetAside(text, "no file has such a name")
    elif isinstance(item, Path) or kind == "image" or (path.suffix.lower() in FILE_SUFFIXES and " " not in text):
        yield SetAside(text, "no such file")
    elif kind == "text":
        yield _text_example(text, text)
    else:
        yield SetAside(text, "this model reads feature vectors: call headstart.predict with an array")


def _read_file(path: Path, kind: str) -> Item:
    try:
        data = read_file(path)
        content = path if kind == "image" else data.decode("utf-8")
        return Example(valid_text(str(path)), content, digest.of_bytes(data), None)
    except Unreadable as reason:
        return SetAside(valid_text(str(path)), str(reason))
    except UnicodeDecodeError:
        return SetAside(str(path), "is not text in UTF-8")


def _expand_folder(folder: Path, kind: str) -> Iterator[Item]:
    suffixes = IMAGE_SUFFIXES if kind == "image" else TEXT_SUFFIXES
    (below,), left_out = list_files(str(folder), [str(folder)])
    files = [p for p in map(Path, below) if p.suffix.lower() in suffixes]
    yield from (_read_file(p, kind) for p in files)
    yield from (SetAside(*link) for link in left_out)
    if not files:
        yield SetAside(str(folder), f"no {'photos' if kind == 'image' else 'text files'} in this folder")


def _expand_table(path: Path, kind: str, column: str | None) -> Iterator[Item]:
    sheet = open_sheet(path)
    name = infer_roles(sheet, label="", input=column, group=None).input
    if name in sheet.binary:
        # No digest: it is the key of cached features, which predictions do not use.
        yield from (Example(f"{path.name}:{row}", TableCell(path, row, name), "", None) for row in range(sheet.rows))
        return
    for row, value in enumerate(sheet.values(name)):
        if value is None or value == "":
            yield SetAside(f"{path.name}:{row}", "the cell is empty")
        elif kind == "image" or name.lower() in PATH_COLUMNS:
            example = _read_file(path.parent / str(value), kind)
            yield replace(example, id=str(value)) if isinstance(example, Example) else example
        else:
            yield _text_example(f"{path.name}:{row}", str(value))


def _text_example(id: str, text: str) -> Example:
    text = valid_text(text)
    return Example(valid_text(id), text, digest.of_bytes(text.encode()), None)


def _from_memory(items: Sequence | np.ndarray, kind: str) -> Iterator[Item]:
    reading = member("readers", "arrays").read((items, None), label="", input=None, kind=kind)
    if reading.kind != kind:
        raise SourceError(f"These inputs are {reading.kind}; the model reads {kind}.")
    unreadable = {a.id: a for a in reading.aside}
    readable = iter(reading.examples[""])
    yield from (unreadable[str(i)] if str(i) in unreadable else next(readable) for i in range(len(items)))


def answer_inputs(model: Model, extractor: Extractor, items: Iterable[Item]) -> Iterator[Answer]:
    """One answer an item, in order, computed a shard at a time, which bounds memory."""
    items = iter(items)
    while shard := list(islice(items, SHARD)):
        yield from _answer_shard(model, extractor, shard)


def _answer_shard(model: Model, extractor: Extractor, shard: list[Item]) -> Iterator[Answer]:
    spec = model.backbone.preprocess
    prepare = member("preprocess", spec.kind)
    contents = [content for _, content in iter_contents([e for e in shard if isinstance(e, Example)])]
    units = iter(prepare.prepare([c for c in contents if not isinstance(c, Unreadable)], spec))
    prepared = [c if isinstance(c, Unreadable) else next(units) for c in contents]
    features, reasons = embed_uncached(prepared, spec, model.cut, extractor)
    predictions = iter(_decode_answers(model, features) if len(features) else ())
    position = count()
    for item in shard:
        reason = item.reason if isinstance(item, SetAside) else reasons.get(next(position))
        yield Answer(item.id, *next(predictions)) if reason is None else Answer(item.id, error=str(reason))


def _decode_answers(model: Model, x: Any) -> Iterator[tuple[object, float | None, dict[str, float] | None]]:
    """(label, confidence, probabilities) of each row of features."""
    scores = model.fitted.scores(x)
    labels = model.objective.decode(scores)
    if model.objective.link == "identity":
        yield from ((float(label), None, None) for label in labels)
        return
    names = list(model.objective.facts()["names"])
    for label, p in zip(labels, model.objective.probabilities(scores), strict=True):
        probabilities = {str(name): float(v) for name, v in zip(names, p, strict=True)}
        is_tags = isinstance(label, list | tuple)
        # Of tags: that all of them are right together, as if they were independent.
        confidence = float(np.prod(np.maximum(p, 1 - p))) if is_tags else float(p.max())
        yield (list(label) if is_tags else label), confidence, probabilities
