"""Near-duplicates across the split: test scores on them say little about new examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from headstart.core.observations import DataSurvey
from headstart.core.plugins import name_of
from headstart.core.result import Finding
from headstart.core.task import Example
from headstart.data.duplicates import near_duplicates
from headstart.data.duplicates.near_duplicates import Pair

watches = DataSurvey
WARN_SHARE = 0.005  # of the test examples, from which on near-duplicates move the score visibly
MIN_LIKENESS = 0.9  # from which two examples with different labels count as near-duplicates
NOTE_SHARE = 0.05  # of the training examples
MAX_SHOWN = 24


def look(value: DataSurvey) -> Iterator[Finding]:
    """Warns of test examples with a near-duplicate in train or val; notes near-duplicates within training."""
    task, sides = value.task, near_duplicates.split_sides(value)
    pairs = near_duplicates.find_near_duplicates(value)
    pairs = [p for p in pairs if p.similarity >= MIN_LIKENESS or _same_label(value, p)]
    across = [p for p in pairs if sides[p.i] != sides[p.j]]
    is_test = sides == 1 if task.folds is None else np.ones(len(sides), bool)
    if across:
        yield _across_split_finding(across, task.examples, is_test, task.folds is not None)
    within = [p for p in pairs if sides[p.i] == sides[p.j] and (task.folds is not None or sides[p.i] == 0)]
    conflicts = [p for p in within if not _same_label(value, p)]
    n_train = int((~is_test).sum()) if task.folds is None else len(sides)
    n_affected = len({k for p in within for k in (p.i, p.j)})
    if conflicts:
        yield _label_conflict_finding(conflicts, task.examples)
    elif within and n_affected >= NOTE_SHARE * n_train:
        affected = f"{n_affected:,} of {n_train:,} training examples"
        message = f"{affected} are near-duplicates of another: they teach little new."
        fix = "no harm if they are meant; labelling other examples teaches more"
        yield Finding("twins", "note", message, fix, _evidence(within, task.examples, n_affected))


def _same_label(value: DataSurvey, pair: Pair) -> bool:
    """Whether both have the same label; numbers and tags may differ a little."""
    a, b = (value.task.examples[k].label for k in (pair.i, pair.j))
    return a == b or name_of(value.task.objective) != "classes"


def _across_split_finding(pairs: list[Pair], examples: Sequence[Example], is_test: np.ndarray, folds: bool) -> Finding:
    ordered = [(p.j, p.i) if is_test[p.j] else (p.i, p.j) for p in pairs]
    n_affected, n_test = len({k for pair in ordered for k in pair if is_test[k]}), int(is_test.sum())
    share = n_affected / n_test
    test, train = (examples[k].id for k in ordered[0])
    where = "an example of another fold" if folds else "an example that was learned or chosen from"
    message = (
        f"{n_affected:,} of {n_test:,} {'' if folds else 'test '}examples ({share:.1%}) are near-duplicates "
        f"of {where}, such as {test} of {train}. The score on them says little about new ones."
    )
    fix = "look at them; --group-twins keeps them on one side of the split, or out of training"
    by_test_example: dict[int, dict] = {}
    for (a, b), pair in zip(ordered, pairs, strict=True):
        by_test_example.setdefault(a, _pair_example(examples, a, b, pair))
    shown = list(by_test_example.values())[:MAX_SHOWN]
    evidence = {"examples": shown, "pairs": len(pairs), "judged": n_affected, "share": share}
    return Finding("twins", "warn" if share >= WARN_SHARE else "note", message, fix, evidence)


def _label_conflict_finding(pairs: list[Pair], examples: Sequence[Example]) -> Finding:
    a, b = (f"{examples[k].id} ({examples[k].label})" for k in (pairs[0].i, pairs[0].j))
    count = f"{len(pairs):,} pairs" if len(pairs) > 1 else "One pair"
    message = f"{count} of near-duplicates in training have different labels, such as {a} and {b}: "
    message += "one of each may be wrong."
    fix = "look at them, and correct what is wrong"
    return Finding("twins", "note", message, fix, _evidence(pairs, examples, len(pairs)))


def _evidence(pairs: list[Pair], examples: Sequence[Example], n_affected: int) -> dict:
    shown = [_pair_example(examples, p.i, p.j, p) for p in pairs[:MAX_SHOWN]]
    return {"examples": shown, "pairs": len(pairs), "concerned": n_affected}


def _pair_example(examples: Sequence[Example], i: int, j: int, pair: Pair) -> dict:
    a, b = examples[i], examples[j]
    labels = f"{a.label}" if a.label == b.label else f"{a.label}, its twin {b.label}"
    return {"id": a.id, "with": b.id, "text": f"{labels}, likeness {pair.similarity:.2f}"}
