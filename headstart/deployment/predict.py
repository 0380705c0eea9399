"""Predictions of a saved model for files, folders, globs, tables, texts, lines, or arrays in memory."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Preprocess
from headstart.core.disk_errors import disk_errors_in_words
from headstart.core.errors import Unreadable
from headstart.core.input_contract import InputContract, restore
from headstart.core.plan import Model
from headstart.core.plugins import member
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data.archives import is_archive, unpacked
from headstart.data.contents import (
    IMAGE_SUFFIXES,
    TEXT_SUFFIXES,
    hash_files,
    iter_contents,
    valid_name,
    valid_text,
)
from headstart.data.deep_pixels import deep_pixels, may_be_deep
from headstart.data.directory_walk import is_own, is_visible
from headstart.data.frames import is_frame, require_rows
from headstart.data.label_values import is_missing
from headstart.data.memory_labels import gives_pairs, pairs_apart
from headstart.data.pixel_range import lone_range
from headstart.data.read_inputs import Item, read_inputs
from headstart.data.tabular import TABLE_SUFFIXES
from headstart.data.text_encoding import wanted_encoding
from headstart.data.text_files import read_text_files
from headstart.deployment import zip_model
from headstart.deployment.model_folder import load
from headstart.deployment.witness import embed_uncached
from headstart.features.cache import store
from headstart.features.extract import SHARD
from headstart.features.runner import Extractor

VALUES, WORDS, FILES = "values", "words", "files"  # what strings are: see `collect_inputs`
FILE_SUFFIXES = {*TABLE_SUFFIXES, *TEXT_SUFFIXES, *IMAGE_SUFFIXES}  # a word that ends so is no text


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
    inputs: Any,
    *,
    input: str | None = None,
    lines: Iterable[str] | None = None,
    root: Path | None = None,
    base: str | None = None,
    encoding: str | None = None,
    files: bool = False,
    arguments: bool = False,
) -> list[Answer]:
    """Answers of a saved model, one an input and in order; what cannot be read has its reason in `error`.

    folder: a run folder, a model folder, or a ZIP file from an exported page
    inputs: what was learned from, or more of the same: a table's or folder's path, a frame, an array; or a list, of
        which a pathlib.Path is a file, and a str a text where the model reads texts, the name of a file where photos
    input: the column of a table or frame, where it is called otherwise than in what was learned from
    lines: what "-" among the inputs stands for.  root: the cache folder
    base: the backbone of a model from elsewhere that names it by a path, or where its weights lie here
    encoding: of tables and files of text, where it is another one than of what was learned from
    files: strings and lines are names of files, whatever the model reads
    arguments: strings are words of a command line: those that name files are these, the others texts
    Raises SourceError where the inputs are not like what was learned from, ArtifactError when the model is damaged, its
    base is another one, or its witness gives other scores; DiskError where a disk refuses.
    """
    root = root or store.default_root()
    model, extractor = load(zip_model.unpack_if_zip(Path(folder), root), root, base or "")
    contract = restore(model.facts.get("input"), model.facts["kind"])
    if encoding:
        contract = replace(contract, encoding=wanted_encoding(encoding, None).name, encoding_named=True)
    words = arguments or isinstance(inputs, str)
    how = FILES if files else WORDS if words else VALUES
    return list(answer_inputs(model, extractor, collect_inputs(inputs, contract, input, lines, how, root)))


def collect_inputs(
    inputs: Any,
    contract: InputContract | str,
    column: str | None,
    lines: Iterable[str] | None,
    how: str = VALUES,
    root: Path | None = None,
) -> Iterator[Item]:
    """One example an input, in order; for what cannot be found, the reason.

    inputs: as of `predict`; "-" in a list stands for `lines`
    contract: how what was learned from was read, or its kind alone
    column: of a table, where it is not the one of the contract
    root: the cache folder, into which archives are unpacked; None where they are none
    how: what strings are: VALUES, which are texts where the model reads texts; WORDS of a command line; or FILES
    Raises SourceError where a whole source is not like what was learned from.
    """
    contract = InputContract(kind=contract) if isinstance(contract, str) else contract
    require_rows(inputs)
    if isinstance(inputs, str | Path | bytes):
        inputs = [inputs]
    source = _whole_source(inputs, contract)
    if source is not None:
        yield from read_inputs(source, contract, column)
        return
    for position, item in enumerate(inputs):
        if isinstance(item, str) and item == "-" and lines is not None:
            for line in lines:
                yield from _expand(line.rstrip("\r\n"), contract, column, FILES if how == FILES else VALUES)
        elif isinstance(item, str | Path) and root is not None and how != VALUES and is_archive(item):
            yield from read_inputs(unpacked(item, root), contract, column, str(item))
        elif isinstance(item, str | Path):
            yield from _expand(item, contract, column, how)
        elif is_missing(item):
            yield SetAside(str(position), "there is nothing: the value is missing")
        else:
            found = list(read_inputs(item if is_frame(item) else ([item], None), contract, column))
            yield from (replace(i, id=str(position)) if len(found) == 1 else i for i in found)


def _whole_source(inputs: Any, contract: InputContract) -> Any:
    """The inputs as a source for the readers, None where they are single ones, to be looked at one by one."""
    if hasattr(inputs, "to_pylist") and not is_frame(inputs):
        return (inputs, None)  # an array of pyarrow
    if is_frame(inputs):
        return inputs if contract.kind != "vector" else (inputs, None)
    if isinstance(inputs, dict):
        return inputs
    if isinstance(inputs, tuple) and len(inputs) in (2, 3) and _are_examples(inputs[0], contract.kind):
        return (inputs[0], None)  # (X, y), as it was fitted
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind not in "UO":
        return (inputs, None)
    if gives_pairs(inputs) and not isinstance(inputs, Iterator):
        return (pairs_apart(inputs)[0], None)
    return None


def _are_examples(x: Any, kind: str) -> bool:
    """Whether the first of a tuple is X, and not one input."""
    if kind == "vector":
        return np.ndim(x) == 2 or is_frame(x)
    return is_frame(x) or isinstance(x, list | tuple | np.ndarray) or hasattr(x, "to_list")


def _expand(item: str | Path, contract: InputContract, column: str | None, how: str) -> Iterator[Item]:
    """The examples that a string or path stands for: a file's, a folder's, a glob's, a table's, or the text itself."""
    text, kind = str(item), contract.kind
    named = isinstance(item, Path) or how == FILES or kind == "image"  # surely the name of something
    if not text.strip():
        yield SetAside(text, "no file is named" if named else "empty text")
    elif kind == "text" and not named and how == VALUES:
        yield _text_example(text)
    elif kind not in ("text", "image") and not _exists(text):
        yield SetAside(text, "this model reads feature vectors: call headstart.predict with an array")
    elif how != VALUES and text.startswith("hub:"):
        yield from read_inputs(text, contract, column)
    elif _exists(text):
        yield from _expand_path(Path(text), contract, column, named)
    elif kind == "image" and glob.has_magic(text):
        matches = _matching_files(text)
        for path in matches:
            yield from _expand_path(path, contract, column, named)
        if not matches:
            yield SetAside(text, "no file has such a name")
    elif named or (Path(text).suffix.lower() in FILE_SUFFIXES and " " not in text):
        yield SetAside(text, "no such file")
    else:
        yield _text_example(text)


def _matching_files(pattern: str) -> list[Path]:
    """The files of a pattern, less those that no reader would take: a system's own, and what lies in a run of ours."""
    found = [p for p in map(Path, glob.glob(pattern, recursive=True)) if p.is_file()]
    own = {folder for folder in {parent for p in found for parent in p.parents} if is_own(str(folder))}
    written = Path(pattern).parts
    seen = (p for p in found if all(part in written or is_visible(part) for part in p.parts))
    return sorted(p for p in seen if own.isdisjoint(p.parents))


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # a long text is no file name
        return False


def _expand_path(path: Path, contract: InputContract, column: str | None, named: bool) -> Iterator[Item]:
    """The examples of a folder, a table or a file that is there. named: whether it surely is the name of something"""
    suffix, name = path.suffix.lower(), valid_name(str(path))
    if path.is_dir() or suffix in TABLE_SUFFIXES:
        yield from read_inputs(path, contract, column)
    elif contract.kind == "image":
        (mark,) = hash_files([str(path)])
        yield SetAside(name, str(mark)) if isinstance(mark, Unreadable) else Example(name, path, mark, None)
    elif suffix in IMAGE_SUFFIXES:
        yield SetAside(name, "is an image, and this model reads texts")
    elif contract.kind == "text" and (suffix in TEXT_SUFFIXES or named):
        ((text, mark),), _ = read_text_files([path], name, wanted_encoding(None, contract))
        yield SetAside(name, str(mark)) if isinstance(mark, Unreadable) else Example(name, text, mark, None)
    elif contract.kind == "text" and not suffix and path.name == str(path):
        yield _text_example(str(path))  # a word that happens to be a file's name
    else:
        yield SetAside(name, f"is a file, but none of texts ({', '.join(TEXT_SUFFIXES)}) nor a table: say --files")


def _text_example(text: str) -> Example:
    text = valid_text(text)
    return Example(text, text, digest.of_bytes(text.encode()), None)


def answer_inputs(model: Model, extractor: Extractor, items: Iterable[Item]) -> Iterator[Answer]:
    """One answer an item, in order, computed a shard at a time, which bounds memory."""
    items = iter(items)
    while shard := list(islice(items, SHARD)):
        yield from _answer_shard(model, extractor, shard)


def _answer_shard(model: Model, extractor: Extractor, shard: list[Item]) -> Iterator[Answer]:
    spec = model.backbone.preprocess
    contents = [content for _, content in iter_contents([e for e in shard if isinstance(e, Example)])]
    depth = model.facts.get("input", {}).get("depth", 0)
    units = iter(_prepare([c for c in contents if not isinstance(c, Unreadable)], spec, depth))
    prepared = [c if isinstance(c, Unreadable) else next(units) for c in contents]
    features, reasons = embed_uncached(prepared, spec, model.cut, extractor)
    predictions = iter(_decode_answers(model, features) if len(features) else ())
    position = count()
    for item in shard:
        reason = item.reason if isinstance(item, SetAside) else reasons.get(next(position))
        yield Answer(item.id, *next(predictions)) if reason is None else Answer(item.id, error=str(reason))


def _prepare(contents: list, spec: Preprocess, depth: int) -> list:
    """Units of each input, or why there are none. depth: bits of the pictures that were learned from

    A picture of more bits than those has no range in the model: it is told by the picture itself, where it can be.
    """
    prepare = member("preprocess", spec.kind).prepare
    deeper = {i for i, c in enumerate(contents) if depth == 8 and isinstance(c, bytes) and may_be_deep(c[:26])}
    rest = iter(prepare([c for i, c in enumerate(contents) if i not in deeper], spec))
    return [_prepare_deeper(c, spec) if i in deeper else next(rest) for i, c in enumerate(contents)]


def _prepare_deeper(content: bytes, spec: Preprocess) -> list | Unreadable:
    try:
        pixels = deep_pixels(content)
        own = spec if pixels is None else spec.with_range(lone_range(pixels))
    except Unreadable as reason:
        return reason
    except Exception:  # decoders raise what they like on damaged bytes; `prepare` words it
        own = spec
    return member("preprocess", spec.kind).prepare([content], own)[0]


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
