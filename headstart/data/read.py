"""A source -> a task: a reader lists the examples, an objective is found for the labels, a split is drawn."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from types import ModuleType

import numpy as np

from headstart.core.errors import SourceError
from headstart.core.input_contract import InputContract
from headstart.core.messages import did_you_mean
from headstart.core.options import DataOptions
from headstart.core.plugins import member, members, name_of
from headstart.core.result import SetAside
from headstart.core.task import Example, Objective, Task
from headstart.data import split
from headstart.data.contents import IMAGE_SUFFIXES, TEXT_SUFFIXES, Parts, Reading
from headstart.data.directory_walk import holds_file, is_visible, keeping
from headstart.data.frames import require_rows
from headstart.data.infer_objective import infer_objective
from headstart.data.labelled_parts import (
    check_one_label_each,
    completed_contract,
    drop_unknown_labels,
    with_composed_labels,
    with_joined_tags,
    with_merged_labels,
    with_untagged,
)
from headstart.data.objectives import tags
from headstart.data.price import check_price
from headstart.data.split_names import assign_parts, part_of
from headstart.data.subset import check_unusable_share, limit_shots
from headstart.data.tabular import find_tables
from headstart.data.unknown_source import describe_unknown_source

KINDS = ("image", "text", "vector")

Regroup = Callable[[str, Sequence[Example]], tuple[str, ...]]  # (kind, examples) -> the group of each


def read(source: object, options: DataOptions = DataOptions(), regroup: Regroup | None = None) -> Task:
    """What is to be learned from a source, with its split; what was inferred is in the task's notes.

    regroup: gives the groups, in place of those that the source gives
    Raises SourceError where the data cannot be read or their meaning is not clear, Stopped when too many are unusable.
    """
    main = read_source(source, options)
    parts, notes = _assigned_parts(main, judged=options.test is not None)
    aside = list(main.aside)
    if options.test is not None:
        parts["test"], more, other = _read_test_part(options, main, parts)
        notes += more
        aside += other
    column = main.column or options.label or ""
    if not parts["train"]:
        raise SourceError(f"No example can be used{_first_reason(main.aside)}.")
    meaning = infer_objective(parts, column, options.task, main.label_form, _decimal(options))
    module, parts = meaning.module, meaning.parts
    notes += meaning.notes
    aside += meaning.aside
    if module is tags and main.unlabelled:
        parts, aside, more = with_untagged(parts, main, aside)
        notes += more
    parts, more = with_composed_labels(parts)
    notes += more
    parts, more = with_merged_labels(parts, options.merge, module.__name__.rpartition(".")[2])
    notes += more
    objective = module.of([e.label for e in parts["train"]])
    parts, unseen, more = drop_unknown_labels(parts, objective)
    aside += unseen
    notes += more
    if module is tags:
        parts, more = with_joined_tags(parts)
        notes += more
    elif column and options.task is None and name_of(objective) == "classes":
        check_one_label_each(parts, column)
    check_unusable_share(aside, len(aside) + sum(map(len, parts.values())))
    if regroup is not None:
        parts, more = _regroup(parts, main.kind, regroup)
        notes += more
    examples = tuple(e for part in ("train", "val", "test") for e in parts.get(part, ()))
    notes += check_price(len(examples), objective, _check_examples(examples, main.kind))
    rows, folds, more = _split(parts, objective, options.seed, classes=name_of(objective) == "classes")
    final = module.of([examples[i].label for i in rows["train"]])
    contract = completed_contract(main, meaning)
    read_task = Task(main.kind, final, examples, rows, folds, (*main.notes, *notes, *more), tuple(aside), contract)
    return read_task if options.shots is None else limit_shots(read_task, options.shots, options.seed)


def read_source(source: object, options: DataOptions = DataOptions(), contract: InputContract | None = None) -> Reading:
    """What the reader that knows this source finds in it.

    options: `label` is "" when labels are not wanted: every example then counts, with the label None.
    contract: how what was learned from was read: this is read alike, or refused
    Raises SourceError, saying what was seen and what is expected, when no reader knows it.
    """
    kind = options.kind
    if kind is not None and kind not in KINDS:
        raise SourceError(f"There is no kind {kind!r}.{did_you_mean(kind, KINDS)} There are: {', '.join(KINDS)}.")
    if isinstance(source, str | Path):
        source = os.path.expanduser(source)
    require_rows(source)
    keep = kept_names(options, contract)
    try:
        with keeping(keep):
            reader = _reader(source, contract)
            offered = {"contract": contract, "encoding": options.encoding}
            known = signature(reader.read).parameters  # readers of other packages may know less
            like = {name: value for name, value in offered.items() if value is not None and name in known}
            found: Reading = reader.read(
                source, label=options.label, input=options.input, kind=kind, group=options.group, **like
            )
    except OSError as error:
        raise SourceError(f"{error.filename or source} cannot be read: {error.strerror or error}.") from error
    return replace(found, contract=replace(found.contract, keep=keep)) if keep and found.contract else found


def kept_names(options: DataOptions, contract: InputContract | None) -> tuple[str, ...]:
    """The names that are read whatever they look like: as asked, or as with what was learned from."""
    if options.keep is not None:
        return tuple(filter(None, (name.strip() for name in options.keep.split(","))))
    return contract.keep if contract is not None else ()


def _reader(source: object, contract: InputContract | None) -> ModuleType:
    """The reader that knows a source.

    A folder that holds both tables and files is read as what was learned from: for a contract of tables as tables.
    """
    if contract is not None and isinstance(source, str | Path) and os.path.isdir(source):
        suffixes = IMAGE_SUFFIXES if contract.kind == "image" else TEXT_SUFFIXES
        files = holds_file(str(source), lambda name: is_visible(name) and name.lower().endswith(suffixes))
        tables = contract.container in ("tables", "hub") or not files
        return member("readers", "tables" if tables and find_tables(Path(source)) else "folder")
    reader = next((m for m in members("readers") if m.reads(source)), None)
    if reader is None:
        raise SourceError(describe_unknown_source(source))
    return reader


def _decimal(options: DataOptions) -> str:
    """The decimal mark that the user says. Raises SourceError where it is none."""
    marks = {None: "", "comma": ",", ",": ",", "point": ".", ".": "."}
    if options.decimal not in marks:
        raise SourceError(f"There is no decimal {options.decimal!r}. Say --decimal comma or --decimal point.")
    return marks[options.decimal]


def _assigned_parts(main: Reading, *, judged: bool) -> tuple[Parts, list[str]]:
    """The examples by "train", "val", "test"; all in "train" where the source has no parts.

    judged: there are other data to judge by, so that a sole held-out part stays for validation
    """
    parts = {name: examples for name, examples in main.examples.items() if examples}
    empty = [name for name, examples in main.examples.items() if not examples and name]
    if empty:
        raise SourceError(f"Part {empty[0]!r} has no example that can be used{_first_reason(main.aside)}.")
    if not parts:
        raise SourceError(f"No example can be used{_first_reason(main.aside)}.")
    if set(parts) == {""} or (len(parts) == 1 and part_of(next(iter(parts))) == "train"):
        return {"train": next(iter(parts.values()))}, []
    assigned = assign_parts(parts)
    notes = []
    held_out = [name for name in parts if assigned[name] != "train"]
    if judged and len(held_out) == 1 and part_of(held_out[0]) != "test":
        assigned[held_out[0]] = "val"
    elif len(held_out) == 1 and part_of(held_out[0]) != "test":
        notes.append(f"{held_out[0]!r} is the only held-out part, so it is the test part.")
    return {assigned[name]: examples for name, examples in parts.items()}, notes


def _first_reason(aside: Sequence[SetAside]) -> str:
    return f" (first: {aside[0].id}: {aside[0].reason})" if aside else ""


def _read_test_part(
    options: DataOptions, main: Reading, parts: Parts
) -> tuple[list[Example], list[str], tuple[SetAside, ...]]:
    """The examples of the source that was named for testing, notes, and what could not be read."""
    other = read_source(options.test, _like(main, options), main.contract)
    if other.kind != main.kind:
        raise SourceError(f"The data are {main.kind}s, but the test data are {other.kind}s.")
    notes = []
    named = {name: examples for name, examples in other.examples.items() if examples}
    if not named:
        raise SourceError(f"No example of the test data can be used{_first_reason(other.aside)}.")
    chosen = next(iter(named))
    if len(named) > 1:
        chosen = {part: name for name, part in assign_parts(named).items()}["test"]
        notes.append(f"Of the test data only part {chosen!r} is used.")
    if "test" in parts:
        notes.append("The data's own test part is left out, because test data were named.")
    # Two folders may hold the same names; the test data's are then told apart.
    used_ids = {e.id for part in ("train", "val") for e in parts.get(part, ())}
    clash = any(e.id in used_ids for e in named[chosen])
    examples = [replace(e, id=f"test:{e.id}") for e in named[chosen]] if clash else named[chosen]
    aside = tuple(SetAside(f"test:{a.id}", a.reason) for a in other.aside) if clash else other.aside
    return examples, notes, aside


def _like(main: Reading, options: DataOptions) -> DataOptions:
    """Options by which further data are read as the main ones were; what is no table has no columns."""
    tabular = main.column and isinstance(options.test, str | Path) and not os.path.isdir(options.test)
    label = main.column if options.label is None and tabular else options.label
    return replace(options, label=label)


def _regroup(parts: Parts, kind: str, regroup: Regroup) -> tuple[Parts, list[str]]:
    """The parts with other groups. The data's own test part stays; what shares a group with it is left out."""
    examples = [(part, e) for part, members in parts.items() for e in members]
    groups = regroup(kind, [e for _, e in examples])
    test = [(e, group) for (part, e), group in zip(examples, groups, strict=True) if part == "test"]
    test_keys = {group for _, group in test if group} | {e.digest for e, _ in test}
    regrouped: Parts = {part: [] for part in parts}
    n_left_out = 0
    for (part, example), group in zip(examples, groups, strict=True):
        if part != "test" and (group in test_keys or example.digest in test_keys):
            n_left_out += 1
        else:
            regrouped[part].append(replace(example, group=group))
    if not regrouped["train"]:
        raise SourceError(
            "Every training example has a near-duplicate in the test part: there is nothing to learn from."
        )
    count = len({g for g in groups if g})
    notes = [f"Near-duplicates were grouped: {count:,} groups."]
    if n_left_out:
        notes.append(f"{n_left_out:,} examples are left out of training: each has a duplicate in the test part.")
    return regrouped, notes


def _check_examples(examples: Sequence[Example], kind: str) -> int:
    """The width of feature vectors, 0 for other kinds. Raises SourceError where they differ, or names do not."""
    widths = sorted({len(e.content) // 4 for e in examples if isinstance(e.content, bytes)}) if kind == "vector" else []
    if len(widths) > 1:
        raise SourceError(
            f"The parts have feature vectors of {widths[0]} and of {widths[1]} numbers. One width is expected."
        )
    repeated = next((name for name, n in Counter(e.id for e in examples).items() if n > 1), None)
    if repeated is not None:
        raise SourceError(f"Two examples are called {repeated!r}. Give the files different names.")
    return widths[0] if widths else 0


def _split(
    parts: Parts, objective: Objective, seed: int, *, classes: bool
) -> tuple[dict[str, np.ndarray], np.ndarray | None, list[str]]:
    """Positions of each part among train, val and test one after the other; folds; notes."""
    train = parts["train"]
    strata = objective.strata([e.label for e in train])
    n, stop = len(train), sum(map(len, parts.values()))
    test_start = n + len(parts.get("val", ()))
    rows = {"train": np.arange(n), "val": np.arange(n, test_start), "test": np.arange(test_start, stop)}
    rows = {name: index.astype(np.int64) for name, index in rows.items()}
    notes = []
    if duplicates := split.count_byte_duplicates(train):
        notes.append(
            f"{duplicates} training examples have the bytes of another; "
            "equal ones stay on one side of every split made here."
        )
    grouped = "; groups stay together" if any(e.group for e in train) else ""
    if "test" not in parts:
        if split.needs_cross_validation(train, strata, classes=classes):
            folds = split.assign_folds(train, strata, seed, classes=classes)
            reason = f"there are fewer than {5 * split.MIN_PER_CLASS} examples"
            if classes:
                reason = f"a class has fewer than {split.MIN_PER_CLASS} examples or 3 groups"
            k = len(np.unique(folds))
            notes.append(f"Split: {k}-fold cross-validation, because {reason}{grouped}. Seed {seed}.")
            return rows, folds, notes
        drawn = split.draw_split(train, strata, seed)
        share = f"{split.HOLDOUT_SHARE:.0%}"
        notes.append(
            f"Split: {1 - 2 * split.HOLDOUT_SHARE:.0%} to learn, {share} to choose, {share} to judge, "
            f"each with its share of every label{grouped}. Seed {seed}."
        )
        return {name: drawn[name] for name in ("train", "val", "test")}, None, notes
    if "val" not in parts:
        rows |= split.draw_split(train, strata, seed, parts=("val",))
        share = f"{split.HOLDOUT_SHARE:.0%}"
        notes.append(f"Validation: {share} of the training part, {len(rows['val'])} examples{grouped}. Seed {seed}.")
    return rows, None, notes
