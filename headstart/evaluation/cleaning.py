"""Writes a cleaned list of the examples; the data themselves do not change.

Removed are unreadable files, equal bytes under different labels (all of them: nobody can say which is right), repeated
bytes (all but the first), and training examples that are near-duplicates of a test example. A suspected label error
stays, with a note in the column `look`: a person has to decide. Classes or tags that differ in spelling only are one,
the commonest; `look` says what was written.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from headstart.core.errors import SourceError, Unreadable
from headstart.core.files import make_folder, move, remove_folder, temporary_path, write_atomic, write_file
from headstart.core.observations import DataSurvey
from headstart.core.plugins import name_of
from headstart.core.spreadsheet import csv_cell, csv_text
from headstart.core.task import Example, Task
from headstart.data import contents
from headstart.data.contents import valid_text
from headstart.data.duplicates import near_duplicates
from headstart.data.label_spelling import shown
from headstart.data.labelled_parts import label_names, renaming
from headstart.evaluation.guards import labels, spelling

IMAGE_SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}


def write_cleaned(survey: DataSurvey, into: Path) -> dict:
    """Writes train.csv, test.csv where there is a test split, and removed.csv; gives the counts.

    The lists are JSONL where a spreadsheet would run a cell of theirs. Images stored in a table, or in a file whose
    name is not UTF-8, are written as files beside the list, byte for byte.
    Raises SourceError where the folder exists already or examples are vectors, and OSError; nothing is there then.
    """
    task = survey.task
    if task.kind == "vector":
        raise SourceError("Rows of numbers cannot be written as a list of examples. Leave out --fix.")
    if into.exists():
        raise SourceError(f"{into} exists. Name a new folder: --fix FOLDER.")
    new_names = spelling.one_spelling(task)
    task, label_notes = _respelled(task, new_names), _label_notes(survey, new_names)
    removed = {a.id: a.reason for a in task.aside} | _exact_duplicates(task)
    removed |= {id: reason for id, reason in _train_test_duplicates(survey).items() if id not in removed}
    splits = {"train": [*task.parts["train"], *task.parts["val"]]}
    if len(task.parts["test"]):
        splits["test"] = [*task.parts["test"]]
    temporary = temporary_path(into)
    make_folder(temporary)
    try:
        tables: dict[str, list[list[str]]] = {}
        for split, rows in splits.items():
            examples = [task.examples[i] for i in sorted(rows) if task.examples[i].id not in removed]
            tables[split], gone = _list_split(temporary, split, examples, label_notes)
            removed |= gone
        _write_lists(temporary, tables)
        write_atomic(temporary / "removed.csv", csv_text([("id", "why"), *removed.items()]))
        move(temporary, into)
    finally:
        with suppress(OSError):  # the error that led here says more
            remove_folder(temporary)
    kept = len(task.examples) + len(task.aside) - len(removed)
    return {"folder": str(into), "removed": len(removed), "kept": kept, "merged": dict(new_names)}


def _respelled(task: Task, new_names: Mapping[str, str]) -> Task:
    """The task with other names of classes or tags."""
    if not new_names:
        return task
    change = renaming(new_names)
    return replace(task, examples=tuple(replace(e, label=change(e.label)) for e in task.examples))


def _label_notes(survey: DataSurvey, new_names: Mapping[str, str]) -> dict[str, str]:
    """What there is to look at, by id: the class that a label looks like, and how the label was written."""
    task = survey.task
    is_classes = name_of(task.objective) == "classes"
    disputed = labels.disputed_labels(survey)[1] if is_classes else []
    notes: dict[str, list[str]] = defaultdict(list)
    for id, label, other in disputed:
        if new_names.get(label, label) != new_names.get(other, other):
            notes[id].append(f"looks like {new_names.get(other, other)}")
    told = {name: f"may be a slip for {shown(other)}" for name, other in spelling.slips(task)}
    told |= {name: f"was {shown(name)}" for name in new_names}
    for example in task.examples if told else ():
        notes[example.id] += [told[n] for n in label_names(example.label) if n in told]
    return {id: "; ".join(some) for id, some in notes.items() if some}


def _train_test_duplicates(survey: DataSurvey) -> dict[str, str]:
    """Ids of training examples that are near-duplicates of a test example -> the reason to remove them."""
    task, sides = survey.task, near_duplicates.split_sides(survey)
    reasons = {}
    for pair in near_duplicates.find_near_duplicates(survey) if task.folds is None else []:
        if sides[pair.i] != sides[pair.j]:
            test, train = (pair.i, pair.j) if sides[pair.i] else (pair.j, pair.i)
            reasons[task.examples[train].id] = f"nearly the same as {task.examples[test].id}, which judges"
    return reasons


def _exact_duplicates(task: Task) -> dict[str, str]:
    """Ids of byte-equal examples -> the reason to remove them: all with conflicting labels, else all but the first."""
    by_digest: dict[str, list[Example]] = defaultdict(list)
    for split in ("test", "val", "train"):  # of two equal examples the one in the test set stays
        for example in task.part(split):
            by_digest[example.digest].append(example)
    reasons: dict[str, str] = {}
    for examples in by_digest.values():
        labels = sorted({str(e.label) for e in examples})
        if len(labels) > 1:
            reasons |= {e.id: f"the same bytes under {' and '.join(labels)}" for e in examples}
        else:
            reasons |= {e.id: f"the same bytes as {examples[0].id}" for e in examples[1:]}
    return reasons


def _list_split(
    into: Path, split: str, examples: list[Example], label_notes: dict[str, str]
) -> tuple[list[list[str]], dict[str, str]]:
    """The rows of a list, its header first; and why examples are not in it that could be read a moment ago."""
    grouped = any(e.group for e in examples)
    is_text = bool(examples) and isinstance(examples[0].content, str)
    table = [["text" if is_text else "path", "label", *(["group"] if grouped else []), "look"]]
    gone: dict[str, str] = {}
    for n, (example, content) in enumerate(contents.iter_contents(examples)):
        if isinstance(content, Unreadable):
            gone[example.id] = str(content)
            continue
        content_cell = _text_or_path(into, f"{split}-{n:06}", example, content)
        label = ";".join(map(str, example.label)) if isinstance(example.label, tuple) else str(example.label)
        group = [example.group] if grouped else []
        table.append([content_cell, label, *group, label_notes.get(example.id, "")])
    return table, gone


def _write_lists(into: Path, tables: dict[str, list[list[str]]]) -> None:
    """Each table as CSV, or all as JSONL: a list is read again, so that no cell of it may be marked as text."""
    runs = any(csv_cell(cell) != cell for rows in tables.values() for row in rows for cell in row)
    for split, (head, *rows) in tables.items():
        if runs:
            lines = (json.dumps(dict(zip(head, row, strict=True))) + "\n" for row in rows)
            write_atomic(into / f"{split}.jsonl", "".join(lines))
        else:
            write_atomic(into / f"{split}.csv", csv_text([head, *rows]))


def _text_or_path(into: Path, name: str, example: Example, content: bytes | str) -> str:
    """The text itself, the path of the file, or that of a copy written beside the list."""
    if isinstance(example.content, Path):
        path = str(example.content.resolve())
        if valid_text(path) == path:
            return path
    if not isinstance(content, bytes):
        return content
    suffix = next((suffix for magic, suffix in IMAGE_SUFFIXES.items() if content.startswith(magic)), ".png")
    copy = into / "images" / f"{name}{suffix}"
    make_folder(copy.parent)
    write_file(copy, content)
    return str(copy.relative_to(into))
