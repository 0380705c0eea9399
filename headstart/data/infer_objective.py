"""What labels mean: classes, tags or a number; asked where it is not plain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType

from headstart.core.errors import NameNotFound, SourceError
from headstart.core.messages import did_you_mean, join_quoted
from headstart.core.plugins import member, names
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data.contents import Parts
from headstart.data.label_values import NO_LABEL
from headstart.data.number_text import MISSING_MARKS, NEARLY_ALL, NumberReading, is_number, read_numbers
from headstart.data.objectives import classes, tags
from headstart.data.objectives.classes import MIN_DISTINCT_NUMBERS

# Columns called so hold classes: whole numbers from 0 on in them are codes, however many there are.
CODE_COLUMNS = ("label", "labels", "class", "category", "intent", "class_id", "label_id", "class_label")


@dataclass(frozen=True, slots=True)
class LabelReading:
    """What labels mean.

    module: the member of objectives/.  parts: with their labels as it takes them.  notes: why, in sentences
    aside:  examples whose label turned out to be none.  numbers: how they were written, where labels are numbers
    """

    module: ModuleType
    parts: Parts
    notes: list[str]
    aside: list[SetAside] = field(default_factory=list)
    numbers: NumberReading | None = None


def infer_objective(
    parts: Parts, column: str, task: str | None, label_form: str = "typed", decimal: str = ""
) -> LabelReading:
    """What the labels mean, told by their values, or as the user says.

    column: name of the label column, "" where there is none.  task: the member's name, when the user said it
    label_form: as of a Reading.  decimal: the mark in numbers, where the user says it
    Raises SourceError, listing the choices, when several members fit or none.
    """
    labels = [e.label for part in parts.values() for e in part]
    if task is not None:
        module, why = _objective_named(task), [f"Task: {task}, as asked."]
        if task == "number" and (found := _read_as_numbers(labels, label_form, decimal, least=0.5)) is not None:
            return _as_numbers(parts, found, why)
        return LabelReading(module, _replace_labels(parts, tags.split_tags(labels) if task == "tags" else None), why)
    if "," in column and labels and all(isinstance(v, tuple) and len(v) == 1 for v in labels):
        why = ["Task: classes, because of the columns of labels each row has 1 in exactly one (else: --task tags)."]
        return LabelReading(classes, _replace_labels(parts, [v[0] for v in labels if isinstance(v, tuple)]), why)
    split = tags.parse_tag_column(labels, column)
    if split is not None:
        why = [f"Task: tags, because column {column!r} holds words with separators."]
        return LabelReading(tags, _replace_labels(parts, split), why)
    multi_hot = tags.positions_of_ones(labels)
    if multi_hot is not None:
        why = ["Task: tags, because each label is a list of 0 and 1; tags are called by their positions."]
        return LabelReading(tags, _replace_labels(parts, multi_hot), why)
    _refuse_fractions(labels, column)
    found = None if label_form == "names" else _read_as_numbers(labels, label_form, decimal)
    return _by_values(parts, labels, column) if found is None else _by_numbers(parts, labels, column, found, label_form)


def _refuse_fractions(labels: list, column: str) -> None:
    """Raises SourceError where labels are lists of shares, or words that seem to be several tags."""
    lists = [v for v in labels if isinstance(v, tuple | list)]
    entries = {str(entry) for v in lists for entry in v}
    if lists and entries and all(map(is_number, entries)) and not all(float(e).is_integer() for e in entries):
        raise SourceError(
            f"The labels{_in(column)} are lists of fractions ({join_quoted(map(str, lists[:1]))}). Write the likeliest "
            "class, or as tags what is above a half."
        )
    words = {v for v in labels if isinstance(v, str)}
    for mark in "|;":
        cut = [v for v in words if mark in v]
        if len(cut) > 1 and all(piece.strip() in words for v in cut for piece in v.split(mark)):
            raise SourceError(
                f"Labels{_in(column)} such as {cut[0]!r} are made of others. Say --task tags if they are several at "
                "once, --task classes if each is a class of its own."
            )


def _by_values(parts: Parts, labels: list, column: str) -> LabelReading:
    fitting = [name for name in names("objectives") if member("objectives", name).fits(labels)]
    if "classes" in fitting and column.lower() in CODE_COLUMNS and classes.are_consecutive(labels):
        fitting = ["classes"]
    if len(fitting) != 1:
        raise SourceError(_unclear(labels, column, fitting))
    why = f"Task: {fitting[0]}, because the labels are {_describe(labels)}."
    return LabelReading(member("objectives", fitting[0]), parts, [why])


def _read_as_numbers(
    labels: list, label_form: str, decimal: str = "", least: float = NEARLY_ALL
) -> NumberReading | None:
    """Labels that are words, or some of them, as numbers; None where they are none."""
    kinds = {type(v) for v in labels}
    if str not in kinds or not kinds <= {str, int, float}:
        return None
    return read_numbers([str(v) for v in labels], semicolons=label_form == "semicolons", least=least, decimal=decimal)


def _by_numbers(parts: Parts, labels: list, column: str, found: NumberReading, label_form: str) -> LabelReading:
    """Numbers that are written as words: classes keep what is written, quantities become numbers."""
    values = [v for v in found.values if v is not None]
    written = [
        str(v).strip() for v, number in zip(labels, found.values, strict=True) if number is not None or found.unclear
    ]
    few = len(set(written)) <= max(MIN_DISTINCT_NUMBERS, len(written) // 2)
    if found.unclear:
        if few:
            return _by_values(parts, labels, column)
        raise SourceError(f"The labels{_in(column)} are numbers, but {found.unclear}, or say --task classes.")
    fitting = [name for name in ("classes", "number") if member("objectives", name).fits(values)]
    if column.lower() in CODE_COLUMNS and classes.are_consecutive(values):
        fitting = ["classes"]
    if "number" in fitting and few and len(set(written)) > len(set(values)):
        fitting = ["classes", "number"]  # 3.1 and 3.10 are one number and two names
    named = label_form == "typed" or (found.unit not in ("", "%") and all(isinstance(v, int) for v in values))
    if named and few and (fitting == ["classes", "number"] or found.odd):
        fitting = ["classes"]
    if found.odd and few:
        fitting = ["classes"]
    if fitting == ["classes"]:
        odd_or_number = [v is not None or i in set(found.odd) for i, v in enumerate(found.values)]
        kept, aside = _keep(parts, odd_or_number, labels, labels)
        why = f"Task: classes, because the labels are {_describe(values)}."
        return LabelReading(classes, kept, [why, *_missing_note(found)], aside)
    if len(fitting) != 1:
        raise SourceError(_unclear(values, column, fitting, written))
    if found.odd:
        some = join_quoted(dict.fromkeys(str(labels[i]) for i in found.odd))
        raise SourceError(
            f"{len(values):,} of {len(labels):,} labels{_in(column)} are numbers, {len(found.odd):,} are not: {some}. "
            'Say --task number to set those aside, or --task classes (in Python task="number").'
        )
    return _as_numbers(parts, found, [f"Task: number, because the labels are {_describe(values)}."])


def _as_numbers(parts: Parts, found: NumberReading, why: list[str]) -> LabelReading:
    if found.unclear:
        raise SourceError(f"The labels are numbers, but {found.unclear}.")
    kept, aside = _keep(parts, [v is not None for v in found.values], found.values)
    said = [found.describe()] if found.describe() else []
    if found.odd:
        said.append(f"{len(found.odd):,} labels are no numbers and were set aside.")
    module = member("objectives", "number")
    return LabelReading(module, kept, [*why, *said, *_missing_note(found)], aside, found)


def _keep(parts: Parts, wanted: list[bool], labels: Sequence, as_read: Sequence = ()) -> tuple[Parts, list[SetAside]]:
    """The parts with other labels, less the examples that are not wanted, and those with the reason.

    as_read: the labels that the parts have now
    """
    if all(wanted) and labels is as_read:
        return parts, []
    given = iter(zip(wanted, labels, strict=True))
    kept: Parts = {}
    aside: list[SetAside] = []
    for name, examples in parts.items():
        kept[name] = []
        for example, (use, label) in zip(examples, given, strict=False):
            if use:
                kept[name].append(Example(example.id, example.content, example.digest, label, example.group))
            else:
                odd = str(example.label).strip()
                said = "" if odd.lower() in MISSING_MARKS else f": {odd[:40]!r} is no number"
                aside.append(SetAside(example.id, NO_LABEL + said))
    return kept, aside


def _missing_note(found: NumberReading) -> list[str]:
    if not found.missing:
        return []
    return [f"{found.missing:,} examples are set aside, as their label says that it is missing (N/A, nan, - …)."]


def _in(column: str) -> str:
    return f" in {column!r}" if column else ""


def _objective_named(task: str) -> ModuleType:
    if task not in names("objectives"):
        hint = did_you_mean(task, names("objectives"))
        raise NameNotFound(f"There is no task {task!r}.{hint} There are: {', '.join(names('objectives'))}.")
    return member("objectives", task)


def _replace_labels(parts: Parts, labels: list | None) -> Parts:
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


def _unclear(labels: Sequence, column: str, fitting: list[str], written: Sequence[str] = ()) -> str:
    """written: the labels as they stand in the source"""
    where = f"The labels{_in(column)}"
    values = join_quoted(dict.fromkeys(written or map(str, labels)))
    if not fitting:
        types = ", ".join(sorted({type(v).__name__ for v in labels}))
        return f"{where} are of type {types}, such as {values}. Words, numbers or lists of words are expected."
    flags = " or ".join(f"--task {name}" for name in fitting)
    choice = f"{where} are {_describe(labels)} ({values}), which can be {' or '.join(fitting)}."
    return f'{choice} Say {flags} (in Python task="{fitting[0]}").'
