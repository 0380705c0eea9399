"""What labels mean: classes, tags or a number; asked where it is not plain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

from headstart.core.errors import NameNotFound, SourceError
from headstart.core.messages import did_you_mean, join_quoted
from headstart.core.plugins import member, names
from headstart.data.contents import Parts
from headstart.data.objectives import classes, tags

# Columns called so hold classes: whole numbers from 0 on in them are codes, however many there are.
CODE_COLUMNS = ("label", "labels", "class", "category", "intent", "class_id", "label_id", "class_label")


def infer_objective(parts: Parts, column: str, task: str | None) -> tuple[ModuleType, Parts, str]:
    """The member of objectives/ for the labels, the parts with their tags taken apart, and why, in a sentence.

    column: name of the label column, "" where there is none.  task: the member's name, when the user said it
    Raises SourceError, listing the choices, when several members fit or none.
    """
    labels = [e.label for part in parts.values() for e in part]
    if task is not None:
        split = tags.split_tags(labels) if task == "tags" else None
        return _objective_named(task), _replace_labels(parts, split), f"Task: {task}, as asked."
    split = tags.parse_tag_column(labels, column)
    if split is not None:
        why = f"Task: tags, because column {column!r} holds words with separators."
        return tags, _replace_labels(parts, split), why
    fitting = [name for name in names("objectives") if member("objectives", name).fits(labels)]
    if "classes" in fitting and column.lower() in CODE_COLUMNS and classes.are_consecutive(labels):
        fitting = ["classes"]
    if len(fitting) != 1:
        raise SourceError(_unclear(labels, column, fitting))
    return member("objectives", fitting[0]), parts, f"Task: {fitting[0]}, because the labels are {_describe(labels)}."


def _objective_named(task: str) -> ModuleType:
    if task not in names("objectives"):
        hint = did_you_mean(task, names("objectives"))
        raise NameNotFound(f"There is no task {task!r}.{hint} There are: {', '.join(names('objectives'))}.")
    return member("objectives", task)


def _replace_labels(parts: Parts, labels: list[tuple] | None) -> Parts:
    """labels: of all parts, one after the other; None leaves them as they are"""
    if labels is None:
        return parts
    remaining = iter(labels)
    return {name: [replace(e, label=next(remaining)) for e in examples] for name, examples in parts.items()}


def _describe(labels: Sequence) -> str:
    kinds = {type(v) for v in labels}
    if kinds <= {tuple, list}:
        return "lists"
    if str in kinds or bool in kinds:
        return "words"
    if all(float(v).is_integer() for v in labels):
        return f"whole numbers, {len(set(labels))} different ones"
    return "numbers with fractions"


def _unclear(labels: Sequence, column: str, fitting: list[str]) -> str:
    where = f"The labels in {column!r}" if column else "The labels"
    values = join_quoted(dict.fromkeys(map(str, labels)))
    if not fitting:
        types = ", ".join(sorted({type(v).__name__ for v in labels}))
        return f"{where} are of type {types}, such as {values}. Words, numbers or lists of words are expected."
    flags = " or ".join(f"--task {name}" for name in fitting)
    choice = f"{where} are {_describe(labels)} ({values}), which can be {' or '.join(fitting)}."
    return f'{choice} Say {flags} (in Python task="{fitting[0]}").'
