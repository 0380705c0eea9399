"""A cleaned copy of the list of examples: nothing certainly wrong stays in it, and the data themselves do not change.

Left out are what cannot be read, equal bytes under different labels (all of them: nobody can say which is right),
repeated bytes (all but the first), and training examples that are twins of a test example. A label that the features
dispute stays, with a word in the column `look`: that is for a person to decide.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.core.observations import Surveyed
from headstart.core.plugins import name_of
from headstart.core.task import Example, Task
from headstart.data import contents
from headstart.data.duplicates import near_duplicates
from headstart.evaluation.guards import labels

KINDS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}


def cleaned(survey: Surveyed, into: Path) -> dict:
    """Writes train.csv and test.csv (data.csv where there is no test part) and removed.csv; gives what was done.

    Pictures that lie in a table are written beside the list, as they are.
    Raises SourceError where the folder exists already or cannot be written, or where rows are vectors.
    """
    task = survey.task
    if task.kind == "vector":
        raise SourceError("Rows of numbers cannot be written as a list of examples. Leave out --fix.")
    if into.exists():
        raise SourceError(f"{into} exists. Name a new folder: --fix FOLDER.")
    gone = {a.id: a.reason for a in task.aside} | _repeated(task)
    gone |= {name: why for name, why in _twins(survey).items() if name not in gone}
    disputed = _disputed(survey)
    parts = {"train": [*task.parts["train"], *task.parts["val"]], "test": [*task.parts["test"]]}
    if not parts["test"]:
        parts = {"data": parts["train"]}
    try:
        into.mkdir(parents=True)
        for part, rows in parts.items():
            _write(into, part, [task.examples[i] for i in sorted(rows) if task.examples[i].id not in gone], disputed)
        with open(into / "removed.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["id", "why"])
            table.writerows(gone.items())
    except OSError as error:
        raise SourceError(f"Cannot write into {into}: {error.strerror}. Name another folder with --fix.") from error
    return {"folder": str(into), "removed": len(gone), "kept": len(task.examples) + len(task.aside) - len(gone)}


def _twins(survey: Surveyed) -> dict[str, str]:
    """Ids -> why, of training examples that are near-duplicates of a test example."""
    task, side = survey.task, near_duplicates.sides(survey)
    gone = {}
    for pair in near_duplicates.pairs(survey) if task.folds is None else []:
        if side[pair.i] != side[pair.j]:
            test, learned = (pair.i, pair.j) if side[pair.i] else (pair.j, pair.i)
            gone[task.examples[learned].id] = f"nearly the same as {task.examples[test].id}, which judges"
    return gone


def _disputed(survey: Surveyed) -> dict[str, str]:
    """Ids -> what their label looks like instead."""
    if name_of(survey.task.objective) != "classes":
        return {}
    parts = [part for part in survey.parts.values() if len(part)]
    ids, names = [name for part in parts for name in part.ids], survey.task.objective.facts()["names"]
    found = labels.disputed(parts, survey.task.objective.width)
    return {ids[i]: f"looks like {names[k]}" for i, k in zip(found.index.tolist(), found.other.tolist(), strict=True)}


def _repeated(task: Task) -> dict[str, str]:
    """Ids -> why, of examples whose bytes stand under two labels, or stood there before."""
    same: dict[str, list[int]] = defaultdict(list)
    for part in ("test", "val", "train"):  # what judges stays, and what was learned from goes
        for i in task.parts[part]:
            same[task.examples[i].digest].append(int(i))
    gone: dict[str, str] = {}
    for rows in same.values():
        first, *others = (task.examples[i] for i in rows)
        labels = sorted({str(task.examples[i].label) for i in rows})
        if len(labels) > 1:
            gone |= {task.examples[i].id: f"the same bytes under {' and '.join(labels)}" for i in rows}
        else:
            gone |= {e.id: f"the same bytes as {first.id}" for e in others}
    return gone


def _write(into: Path, part: str, examples: list[Example], disputed: dict[str, str]) -> None:
    grouped = any(e.group for e in examples)
    with open(into / f"{part}.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        words = bool(examples) and isinstance(examples[0].content, str)
        table.writerow(["text" if words else "path", "label", *(["group"] if grouped else []), "look"])
        for n, (example, content) in enumerate(contents.stream(examples)):
            shown = _placed(into, f"{part}-{n:06}", example, content)
            label = ";".join(map(str, example.label)) if isinstance(example.label, tuple) else example.label
            group = [example.group] if grouped else []
            table.writerow([shown, label, *group, disputed.get(example.id, "")])


def _placed(into: Path, name: str, example: Example, content: object) -> str:
    """The text, the path of the file, or that of a copy beside the list."""
    if isinstance(example.content, Path):
        return str(example.content.resolve())
    if not isinstance(content, bytes):
        return str(content)
    kind = next((suffix for magic, suffix in KINDS.items() if content.startswith(magic)), ".png")
    path = into / "images" / f"{name}{kind}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return str(path.relative_to(into))
