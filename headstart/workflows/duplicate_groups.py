"""Near-duplicates across lists: groups of them, so that no split has one side judge what the other all but saw."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.catalogue import default, find_card
from headstart.core.backbone import Backbone
from headstart.core.errors import SourceError
from headstart.core.observations import Glances, Referenced, Surveyed
from headstart.core.run import Run
from headstart.core.task import Example, Task
from headstart.data.duplicates import near_duplicates
from headstart.data.duplicates.image_stats import glances
from headstart.data.read import read, reading
from headstart.features.extract import embed
from headstart.features.precision import at_top
from headstart.workflows.run_files import shown


def task_of(source: object, given: dict[str, Any], seed: int, backbone: str, root: Path, run: Run | None) -> Task:
    """What `read` makes of a source. given: its arguments beside the seed, and "group_twins", False where it lacks.

    Raises what `read` raises, and what embedding raises where twins are grouped.
    """
    rest = {name: said for name, said in given.items() if name != "group_twins"}
    regroup = partial(by_twins, backbone=backbone, root=root, run=run) if given.get("group_twins") else None
    return read(source, seed=seed, regroup=regroup, **rest)


def by_twins(kind: str, examples: Sequence[Example], backbone: str, root: Path, run: Run | None) -> tuple[str, ...]:
    """The group of each example, as its owner gave it, joined where groups hold near-duplicates; "" = alone.

    kind: of the task.  backbone: as `fit` takes it: photos are looked at through it
    Raises what embedding raises.
    """
    if kind == "text":
        return near_duplicates.grouped(kind, examples, np.zeros((len(examples), 0), np.float32), None)
    if backbone in ("own", "auto"):
        backbone = default(kind, hub_too=backbone == "auto")[0]
    index, x, looked = _looked(kind, examples, find_card(backbone, root), root, run)
    some = [examples[i] for i in index]
    found = dict(zip(index.tolist(), near_duplicates.grouped(kind, some, x, looked), strict=True))
    return tuple(found.get(i, e.group) for i, e in enumerate(examples))


def referenced(survey: Surveyed, source: object, root: Path, run: Run | None) -> Referenced:
    """Which examples of the task the reference `source` holds too, equal or nearly.

    Raises SourceError where it holds another kind of data, and what reading and embedding raise.
    """
    task, given = survey.task, reading(source, label="")
    if given.kind != task.kind:
        raise SourceError(f"The data are {task.kind}s, and the reference holds {given.kind}s.")
    others = [e for part in given.examples.values() for e in part]
    everything, first = [*task.examples, *others], len(task.examples)
    index, x, looked = np.arange(len(everything)), np.zeros((len(everything), 0), np.float32), None
    if task.kind != "text":
        index, x, looked = _looked(task.kind, everything, survey.plan.backbone, root, run)
    some = [everything[i] for i in index]
    pairs = near_duplicates.shared(task.kind, some, x, looked, int((index < first).sum()))
    return Referenced(task, shown(source), len(others), tuple((some[i].id, some[j].id, like) for i, j, like in pairs))


def _looked(
    kind: str, examples: Sequence[Example], card: Backbone, root: Path, run: Run | None
) -> tuple[np.ndarray, np.ndarray, Glances | None]:
    """(positions that can be read, their rows at the top, their glances)."""
    rows = embed(examples, card, at_top(card, examples, root), root, run)
    some = [examples[i] for i in rows.index]

    return rows.index, rows.x, glances(some, rows.previews, root) if kind == "image" else None
