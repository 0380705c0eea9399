"""Predictions of a saved model for files, folders, globs, tables, texts, lines, or arrays in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.backbone import Preprocess
from headstart.core.disk_errors import disk_errors_in_words
from headstart.core.errors import Unreadable
from headstart.core.input_contract import restore
from headstart.core.plan import Model
from headstart.core.plugins import member
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data.collect_inputs import FILES, VALUES, WORDS, collect_inputs
from headstart.data.contents import (
    iter_contents,
)
from headstart.data.deep_pixels import deep_pixels, may_be_deep
from headstart.data.pixel_range import lone_range
from headstart.data.read_inputs import Item
from headstart.data.text_encoding import wanted_encoding
from headstart.deployment import zip_model
from headstart.deployment.model_folder import load
from headstart.deployment.witness import embed_uncached
from headstart.features.cache import store
from headstart.features.extract import SHARD
from headstart.features.runner import Extractor


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
