"""A task with fewer examples: those that cannot be read are dropped, or a few of each class are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from headstart.core.digest import of_bytes
from headstart.core.errors import SourceError, Stopped
from headstart.core.messages import join_quoted
from headstart.core.plugins import name_of
from headstart.core.result import SetAside
from headstart.core.task import Task
from headstart.data.label_values import NO_LABEL
from headstart.data.split import MIN_PER_CLASS
from headstart.data.tabular import BLANK

MAX_UNUSABLE_SHARE = 0.05  # set aside; with more, the figures would be about other data than the user's


def limit_shots(task: Task, shots: int, seed: int) -> Task:
    """The task with at most `shots` labelled examples of each class to learn and to choose from; the test part stays.

    Fewer of a class never means others: those of a smaller number are among those of a larger.
    Raises SourceError where labels are no classes, or where so few examples are there that they are judged by folds.
    """
    if name_of(task.objective) != "classes":
        raise SourceError("--shots counts labels of a class, and these labels are no classes. Leave it out.")
    if task.folds is not None:
        raise SourceError(
            f"A class has fewer than {MIN_PER_CLASS} examples, so all of them are needed. Leave out --shots."
        )
    pool = np.concatenate([task.parts["train"], task.parts["val"]])
    by_class: dict[str, list[int]] = defaultdict(list)
    for i in sorted(pool.tolist(), key=lambda i: of_bytes(f"{seed}/{task.examples[i].id}".encode())):
        by_class[str(task.examples[i].label)].append(i)
    train = sorted(i for rows in by_class.values() for i in rows[:shots])
    keep = np.array([*train, *task.parts["test"].tolist()], np.int64)
    n = len(train)
    parts = {"train": np.arange(n), "val": np.arange(0), "test": np.arange(n, len(keep))}
    note = f"Of each class at most {shots} examples are learned from, {n} of {len(pool):,} in all (--shots {shots})."
    parts = {name: rows.astype(np.int64) for name, rows in parts.items()}
    examples = tuple(task.examples[i] for i in keep)
    return replace(task, examples=examples, parts=parts, notes=(*task.notes, note))


def drop_examples(task: Task, aside: Sequence[SetAside]) -> Task:
    """The task less the examples named in `aside`, which join those set aside before.

    Raises Stopped when they are too many, SourceError when training or test, or a class in training, becomes empty.
    """
    dropped = {a.id for a in aside}
    keep = np.array([e.id not in dropped for e in task.examples], dtype=bool)
    all_aside = (*task.aside, *aside)
    check_unusable_share(all_aside, len(task.examples) + len(task.aside))
    position = np.cumsum(keep) - 1
    remaining = replace(
        task,
        examples=tuple(e for e in task.examples if e.id not in dropped),
        parts={name: position[rows[keep[rows]]].astype(np.int64) for name, rows in task.parts.items()},
        folds=None if task.folds is None else task.folds[keep],
        aside=all_aside,
    )
    _check_remaining(task, remaining, aside)
    return remaining


def too_many_unusable(unusable: int, total: int) -> bool:
    """Whether so many of `total` examples cannot be used that a run must stop."""
    return unusable > 1 and unusable > MAX_UNUSABLE_SHARE * total


def check_unusable_share(aside: Sequence[SetAside], total: int) -> None:
    """Raises Stopped, with the first names and reasons, when too many of `total` were set aside.

    Blank lines of a table keep their place, and are nobody's examples. What has no label yet is no damage: only where
    most have none are the data not what they are taken for.
    """
    aside = [a for a in aside if a.reason != BLANK]
    unlabelled = [a for a in aside if a.reason == NO_LABEL]
    if len(unlabelled) <= total / 2:
        aside = [a for a in aside if a.reason != NO_LABEL]
    if too_many_unusable(len(aside), total):
        first = "\n".join(f"  {a.id}: {a.reason}" for a in aside[:10])
        more = f"\n  … and {len(aside) - 10:,} more" if len(aside) > 10 else ""
        raise Stopped(
            f"{len(aside):,} of {total:,} examples cannot be used ({len(aside) / total:.1%}; at most "
            f"{MAX_UNUSABLE_SHARE:.0%} are set aside and the rest fitted):\n{first}{more}\n"
            "Mend or delete them, then fit again: what was read already is kept."
        )


def _check_remaining(before: Task, after: Task, aside: Sequence[SetAside]) -> None:
    """Raises SourceError where training or test, or a class in training, became empty."""
    first = f"{aside[0].id}: {aside[0].reason}" if aside else ""
    for name in ("train", "test"):
        if len(before.parts[name]) and not len(after.parts[name]):
            raise SourceError(f"No example of the {name} part can be read (first: {first}).")
    if name_of(before.objective) != "classes":
        return
    required = 1 if after.folds is None else 2
    places: dict[str, set[int]] = defaultdict(set)  # of a class: its training rows, or the folds it is in
    for row in after.parts["train"]:
        places[str(after.examples[row].label)].add(int(row if after.folds is None else after.folds[row]))
    classes = {str(e.label) for e in before.part("train")}
    lost = sorted(label for label in classes if len(places[label]) < required)
    if lost:
        raise SourceError(
            f"Too few examples of {join_quoted(lost)} can be read (first: {first}). Mend them, or leave that class out."
        )
