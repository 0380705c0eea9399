"""Writes a cleaned list of the examples; the data themselves do not change.

Removed are unreadable files, equal bytes under different labels (all of them: nobody can say which is right), repeated
bytes (all but the first), and training examples that are near-duplicates of a test example. A suspected label error
stays, with a note in the column `look`: a person has to decide.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.core.files import write_atomic
from headstart.core.observations import DataSurvey
from headstart.core.plugins import name_of
from headstart.core.spreadsheet import csv_text
from headstart.core.task import Example, Task
from headstart.data import contents
from headstart.data.duplicates import near_duplicates
from headstart.evaluation.guards import labels

IMAGE_SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}


def write_cleaned(survey: DataSurvey, into: Path) -> dict:
    """Writes train.csv and test.csv (data.csv without a test split) and removed.csv; gives the counts.

    Images stored in a table are written as files beside the list, byte for byte.
    Raises SourceError where the folder exists already or cannot be written, or where examples are vectors.
    """
    task = survey.task
    if task.kind == "vector":
        raise SourceError("Rows of numbers cannot be written as a list of examples. Leave out --fix.")
    if into.exists():
        raise SourceError(f"{into} exists. Name a new folder: --fix FOLDER.")
    removed = {a.id: a.reason for a in task.aside} | _exact_duplicates(task)
    removed |= {id: reason for id, reason in _train_test_duplicates(survey).items() if id not in removed}
    # Suspected label errors, with the class that each looks like.
    is_classes = name_of(task.objective) == "classes"
    disputed = labels.disputed_labels(survey)[1] if is_classes else []
    label_notes = {id: f"looks like {other}" for id, _, other in disputed}
    splits = {"train": [*task.parts["train"], *task.parts["val"]], "test": [*task.parts["test"]]}
    if not splits["test"]:
        splits = {"data": splits["train"]}
    try:
        into.mkdir(parents=True)
        for split, rows in splits.items():
            examples = [task.examples[i] for i in sorted(rows) if task.examples[i].id not in removed]
            _write_split(into, split, examples, label_notes)
        write_atomic(into / "removed.csv", csv_text([("id", "why"), *removed.items()]))
    except OSError as error:
        raise SourceError(f"Cannot write into {into}: {error.strerror}. Name another folder with --fix.") from error
    return {"folder": str(into), "removed": len(removed), "kept": len(task.examples) + len(task.aside) - len(removed)}


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


def _write_split(into: Path, split: str, examples: list[Example], label_notes: dict[str, str]) -> None:
    grouped = any(e.group for e in examples)
    with open(into / f"{split}.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        is_text = bool(examples) and isinstance(examples[0].content, str)
        table.writerow(["text" if is_text else "path", "label", *(["group"] if grouped else []), "look"])
        for n, (example, content) in enumerate(contents.iter_contents(examples)):
            content_cell = _text_or_path(into, f"{split}-{n:06}", example, content)
            label = ";".join(map(str, example.label)) if isinstance(example.label, tuple) else example.label
            group = [example.group] if grouped else []
            table.writerow([content_cell, label, *group, label_notes.get(example.id, "")])


def _text_or_path(into: Path, name: str, example: Example, content: object) -> str:
    """The text itself, the path of the file, or that of a copy written beside the list."""
    if isinstance(example.content, Path):
        return str(example.content.resolve())
    if not isinstance(content, bytes):
        return str(content)
    suffix = next((suffix for magic, suffix in IMAGE_SUFFIXES.items() if content.startswith(magic)), ".png")
    path = into / "images" / f"{name}{suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return str(path.relative_to(into))
