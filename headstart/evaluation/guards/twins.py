"""Near-duplicates on both sides of a split: the model is judged on what it has all but seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from headstart.core.observations import Surveyed
from headstart.core.plugins import name_of
from headstart.core.result import Finding
from headstart.core.task import Example
from headstart.data.duplicates import near_duplicates
from headstart.data.duplicates.near_duplicates import Pair

watches = Surveyed
WORTH = 0.005  # of the judged examples, from which on their twins move the score visibly
SURE = 0.9  # likeness from which two of unlike labels are twins and not merely alike
MANY = 0.05  # of the examples that are learned from, from which on their twins are worth a word
SHOWN = 24


def look(value: Surveyed) -> Iterator[Finding]:
    """Warns of judged examples that have a twin among those learned from; notes twins that are learned from."""
    task, side = value.task, near_duplicates.sides(value)
    found = [p for p in near_duplicates.pairs(value) if p.likeness >= SURE or _agree(value, p)]
    across = [p for p in found if side[p.i] != side[p.j]]
    judged = side == 1 if task.folds is None else np.ones(len(side), bool)
    if across:
        yield _across(across, task.examples, judged, task.folds is not None)
    inside = [p for p in found if side[p.i] == side[p.j] and (task.folds is not None or side[p.i] == 0)]
    clashes = [p for p in inside if not _agree(value, p)]
    learned = int((~judged).sum()) if task.folds is None else len(side)
    concerned = len({k for p in inside for k in (p.i, p.j)})
    if clashes:
        yield _clashing(clashes, task.examples)
    elif inside and concerned >= MANY * learned:
        message = (
            f"{concerned:,} of {learned:,} training examples are near-duplicates of another: they teach little new."
        )
        fix = "no harm if they are meant; labelling other examples teaches more"
        yield Finding("twins", "note", message, fix, _evidence(inside, task.examples, concerned))


def _agree(value: Surveyed, pair: Pair) -> bool:
    """Whether both have one label; numbers and tags may differ a little."""
    a, b = (value.task.examples[k].label for k in (pair.i, pair.j))
    return a == b or name_of(value.task.objective) != "classes"


def _across(some: list[Pair], examples: tuple[Example, ...], judged: np.ndarray, folds: bool) -> Finding:
    ordered = [(p.j, p.i) if judged[p.j] else (p.i, p.j) for p in some]
    concerned = len({k for p in some for k in (p.i, p.j) if judged[k]})
    share = concerned / int(judged.sum())
    test, learned = (examples[k].id for k in ordered[0])
    where = "an example of another fold" if folds else "an example that was learned or chosen from"
    message = (
        f"{concerned:,} of {int(judged.sum()):,} {'' if folds else 'test '}examples ({share:.1%}) are near-duplicates "
        f"of {where}, such as {test} of {learned}. The score on them says little about new ones."
    )
    fix = "look at them; --group-twins keeps them on one side of the split, or out of training"
    first: dict[int, dict] = {}
    for (a, b), p in zip(ordered, some, strict=True):
        first.setdefault(a, _shown(examples, a, b, p))
    shown = list(first.values())[:SHOWN]
    evidence = {"examples": shown, "pairs": len(some), "judged": concerned, "share": share}
    return Finding("twins", "warn" if share >= WORTH else "note", message, fix, evidence)


def _clashing(some: list[Pair], examples: tuple[Example, ...]) -> Finding:
    pair = some[0]
    a, b = examples[pair.i], examples[pair.j]
    many = f"{len(some):,} pairs" if len(some) > 1 else "One pair"
    message = (
        f"{many} of near-duplicates in training have different labels, such as {a.id} ({a.label}) and "
        f"{b.id} ({b.label}): one of each may be wrong."
    )
    fix = "look at them, and correct what is wrong"
    return Finding("twins", "note", message, fix, _evidence(some, examples, len(some)))


def _evidence(some: list[Pair], examples: tuple[Example, ...], concerned: int) -> dict:
    shown = [_shown(examples, p.i, p.j, p) for p in some[:SHOWN]]
    return {"examples": shown, "pairs": len(some), "concerned": concerned}


def _shown(examples: tuple[Example, ...], this: int, other: int, pair: Pair) -> dict:
    a, b = examples[this], examples[other]
    labels = f"{a.label}" if a.label == b.label else f"{a.label}, its twin {b.label}"
    return {"id": a.id, "with": b.id, "text": f"{labels}, likeness {pair.likeness:.2f}"}
