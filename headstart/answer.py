"""Answers of a saved model for new inputs, one each, also where there is none to give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from headstart import raw
from headstart.artifact import Model
from headstart.errors import Unreadable
from headstart.extract import SHARD
from headstart.find import member
from headstart.result import SetAside
from headstart.running import Running
from headstart.task import Example
from headstart.witness import embed_fresh


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
    contents = [content for _, content in raw.stream([e for e in shard if isinstance(e, Example)])]
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
