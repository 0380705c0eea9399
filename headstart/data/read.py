"""A source -> a task: a reader lists the examples, an objective is found for the labels, a split is drawn."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from headstart.core.errors import SourceError
from headstart.core.messages import quoted
from headstart.core.plugins import members, name_of
from headstart.core.result import SetAside
from headstart.core.task import Example, Objective, Task
from headstart.data.contents import Reading
from headstart.data.infer_objective import meaning
from headstart.data.objectives import tags
from headstart.data.split import FEW, SHARE, check_aside, draw, fewer, folds, is_few, twins
from headstart.data.split_names import assign, part_of

KINDS = ("image", "text", "vector")


def read(
    source: object,
    *,
    seed: int = 0,
    test: object = None,
    label: str | None = None,
    input: str | None = None,
    kind: str | None = None,
    task: str | None = None,
    group: str | None = None,
    shots: int | None = None,
    regroup: Callable[[str, Sequence[Example]], tuple[str, ...]] | None = None,
) -> Task:
    """What is to be learned from a source, with its split; what was inferred is in the task's notes.

    test: a second source, judged on instead of a share of the first.  task: "classes", "tags" or "number"
    shots: learn from at most so many examples of each class
    regroup: (kind, examples) -> the group of each, in place of those that the source gives
    Raises SourceError where the data cannot be read or their meaning is not clear, Stopped when too many are unusable.
    """
    main = reading(source, label=label, input=input, kind=kind, group=group)
    parts, notes = _parts(main, judged=test is not None)
    aside = list(main.aside)
    if test is not None:
        parts["test"], more, other = _test_part(test, main, parts, label=label, input=input, kind=kind, group=group)
        notes += more
        aside += other
    column = main.column or label or ""
    module, parts, why = meaning(parts, column, task)
    notes.append(why)
    objective = module.of([e.label for e in parts["train"]])
    parts, unseen, more = _learnable(parts, objective)
    aside += unseen
    notes += more
    check_aside(aside, len(aside) + sum(map(len, parts.values())))
    if regroup is not None:
        parts, more = _regrouped(parts, main.kind, regroup)
        notes += more
    examples = tuple(e for part in ("train", "val", "test") for e in parts.get(part, ()))
    _check(examples, main.kind)
    rows, fold, more = _split(parts, objective, seed, classes=name_of(objective) == "classes")
    final = module.of([examples[i].label for i in rows["train"]])
    whole = Task(main.kind, final, examples, rows, fold, (*main.notes, *notes, *more), tuple(aside))
    return whole if shots is None else fewer(whole, shots, seed)


def reading(
    source: object,
    *,
    label: str | None = None,
    input: str | None = None,
    kind: str | None = None,
    group: str | None = None,
) -> Reading:
    """What the reader that knows this source finds in it.

    label: "" when labels are not wanted: every example then counts, with the label None.
    Raises SourceError, saying what was seen and what is expected, when no reader knows it.
    """
    if kind is not None and kind not in KINDS:
        near = get_close_matches(kind, KINDS, n=1)
        raise SourceError(
            f"There is no kind {kind!r}.{f' Did you mean {near[0]!r}?' if near else ''} There are: {', '.join(KINDS)}."
        )
    if isinstance(source, str | Path):
        source = os.path.expanduser(source)
    try:
        reader = next((m for m in members("readers") if m.reads(source)), None)
        if reader is None:
            raise SourceError(_unknown(source))
        return reader.read(source, label=label, input=input, kind=kind, group=group)
    except OSError as error:
        raise SourceError(f"{error.filename or source} cannot be read: {error.strerror or error}.") from error


def _unknown(source: object) -> str:
    expected = (
        "Expected: a folder of class folders (photos/cat/1.jpg), a table (.csv, .tsv, .jsonl, .parquet), "
        "a folder with train.parquet and test.parquet, hub:owner/name, or in Python (X, y)."
    )
    if not isinstance(source, str | Path):
        return f"Data of type {type(source).__name__} cannot be read. {expected}"
    path = Path(source)
    if os.path.exists(path):
        return f"{path} is a file of unknown suffix {path.suffix!r}. {expected}"
    try:
        near = get_close_matches(path.name, os.listdir(path.parent), n=1)
    except OSError:
        near = []
    hint = f" Did you mean {path.parent / near[0]}?" if near else ""
    return f"{str(path)!r} does not exist.{hint} {expected}"


def _parts(main: Reading, *, judged: bool) -> tuple[dict[str, list[Example]], list[str]]:
    """The examples by "train", "val", "test"; all in "train" where the source has no parts.

    judged: there are other data to judge by, so that a sole held-out part stays for validation
    """
    given = {name: some for name, some in main.examples.items() if some}
    empty = [name for name, some in main.examples.items() if not some and name]
    if empty:
        raise SourceError(f"Part {empty[0]!r} has no example that can be used{_first(main.aside)}.")
    if not given:
        raise SourceError(f"No example can be used{_first(main.aside)}.")
    if set(given) == {""} or (len(given) == 1 and part_of(next(iter(given))) == "train"):
        return {"train": next(iter(given.values()))}, []
    meant = assign(given)
    notes = []
    held = [name for name in given if meant[name] != "train"]
    if judged and len(held) == 1 and part_of(held[0]) != "test":
        meant[held[0]] = "val"
    elif len(held) == 1 and part_of(held[0]) != "test":
        notes.append(f"{held[0]!r} is the only held-out part, so it is the test part.")
    return {meant[name]: some for name, some in given.items()}, notes


def _first(aside: Sequence[SetAside]) -> str:
    return f" (first: {aside[0].id}: {aside[0].reason})" if aside else ""


def _test_part(
    test: object,
    main: Reading,
    parts: dict[str, list[Example]],
    *,
    label: str | None,
    input: str | None,
    kind: str | None,
    group: str | None,
) -> tuple[list[Example], list[str], tuple[SetAside, ...]]:
    """The examples of the source that was named for testing, notes, and what could not be read."""
    other = reading(test, label=label, input=input, kind=kind, group=group)
    if other.kind != main.kind:
        raise SourceError(f"The data are {main.kind}s, but the test data are {other.kind}s.")
    notes = []
    given = {name: some for name, some in other.examples.items() if some}
    if not given:
        raise SourceError(f"No example of the test data can be used{_first(other.aside)}.")
    chosen = next(iter(given))
    if len(given) > 1:
        chosen = {part: name for name, part in assign(given).items()}["test"]
        notes.append(f"Of the test data only part {chosen!r} is used.")
    if "test" in parts:
        notes.append("The data's own test part is left out, because test data were named.")
    # Two folders may hold the same names; the test data's are then told apart.
    taken = {e.id for part in ("train", "val") for e in parts.get(part, ())}
    clash = any(e.id in taken for e in given[chosen])
    examples = [replace(e, id=f"test:{e.id}") for e in given[chosen]] if clash else given[chosen]
    aside = tuple(SetAside(f"test:{a.id}", a.reason) for a in other.aside) if clash else other.aside
    return examples, notes, aside


def _learnable(
    parts: dict[str, list[Example]], objective: Objective
) -> tuple[dict[str, list[Example]], list[SetAside], list[str]]:
    """The parts less the held-out examples whose label no training example has."""
    known = set(objective.facts().get("names", ()))
    if not known:
        return parts, [], []
    kept: dict[str, list[Example]] = {}
    aside: list[SetAside] = []
    strange: Counter[str] = Counter()
    for part, given in parts.items():
        kept[part] = []
        for example in given:
            unknown = [name for name in _named(example.label, objective) if name not in known]
            if unknown:
                strange[unknown[0]] += 1
                aside.append(SetAside(example.id, f"{unknown[0]!r} has no training example"))
            else:
                kept[part].append(example)
        if given and not kept[part]:
            raise SourceError(
                f"No label of the {part} part is in the training part: {quoted(strange)} there, "
                f"{quoted(sorted(known))} here."
            )
    notes = [
        f"{n} held-out examples of {name!r} are set aside: it has no training example." for name, n in strange.items()
    ]
    return kept, aside, notes[:10]


def _regrouped(
    parts: dict[str, list[Example]], kind: str, regroup: Callable[[str, Sequence[Example]], tuple[str, ...]]
) -> tuple[dict[str, list[Example]], list[str]]:
    """The parts with other groups. What was given as a test part stays; what shares a group with it is left out."""
    everything = [(part, e) for part, some in parts.items() for e in some]
    groups = regroup(kind, [e for _, e in everything])
    judging = [(e, group) for (part, e), group in zip(everything, groups, strict=True) if part == "test"]
    tested = {group for _, group in judging if group} | {e.digest for e, _ in judging}
    found: dict[str, list[Example]] = {part: [] for part in parts}
    left = 0
    for (part, example), group in zip(everything, groups, strict=True):
        if part != "test" and (group in tested or example.digest in tested):
            left += 1
        else:
            found[part].append(replace(example, group=group))
    if not found["train"]:
        raise SourceError(
            "Every training example has a near-duplicate in the test part: there is nothing to learn from."
        )
    count = len({g for g in groups if g})
    notes = [f"Near-duplicates were grouped: {count:,} groups."]
    if left:
        notes.append(f"{left:,} examples are left out of training: each has a duplicate in the test part.")
    return found, notes


def _named(label: object, objective: Objective) -> Sequence[str]:
    return tags.names(label) if objective.link == "sigmoid" else objective.strata([label])


def _check(examples: Sequence[Example], kind: str) -> None:
    widths = sorted({len(e.content) // 4 for e in examples if isinstance(e.content, bytes)}) if kind == "vector" else []
    if len(widths) > 1:
        raise SourceError(
            f"The parts have feature vectors of {widths[0]} and of {widths[1]} numbers. One width is expected."
        )
    doubled = next((name for name, n in Counter(e.id for e in examples).items() if n > 1), None)
    if doubled is not None:
        raise SourceError(f"Two examples are called {doubled!r}. Give the files different names.")


def _split(
    parts: dict[str, list[Example]], objective: Objective, seed: int, *, classes: bool
) -> tuple[dict[str, np.ndarray], np.ndarray | None, list[str]]:
    """Positions of each part among train, val and test one after the other; folds; notes."""
    train = parts["train"]
    strata = objective.strata([e.label for e in train])
    n, stop = len(train), sum(map(len, parts.values()))
    at = n + len(parts.get("val", ()))
    rows = {"train": np.arange(n), "val": np.arange(n, at), "test": np.arange(at, stop)}
    rows = {name: some.astype(np.int64) for name, some in rows.items()}
    notes = []
    if same := twins(train):
        notes.append(
            f"{same} training examples have the bytes of another; equal ones stay on one side of every split made here."
        )
    kept = "; groups stay together" if any(e.group for e in train) else ""
    if "test" not in parts:
        if is_few(train, strata, classes=classes):
            fold = folds(train, strata, seed, classes=classes)
            few = (
                f"a class has fewer than {FEW} examples or 3 groups"
                if classes
                else f"there are fewer than {5 * FEW} examples"
            )
            notes.append(f"Split: {len(np.unique(fold))}-fold cross-validation, because {few}{kept}. Seed {seed}.")
            return rows, fold, notes
        drawn = draw(train, strata, seed)
        notes.append(
            f"Split: {1 - 2 * SHARE:.0%} to learn, {SHARE:.0%} to choose, {SHARE:.0%} to judge, "
            f"each with its share of every label{kept}. Seed {seed}."
        )
        return {name: drawn[name] for name in ("train", "val", "test")}, None, notes
    if "val" not in parts:
        drawn = draw(train, strata, seed, parts=("val",))
        notes.append(f"Validation: {SHARE:.0%} of the training part, {len(drawn['val'])} examples{kept}. Seed {seed}.")
        rows |= drawn
    return rows, None, notes
