"""Steps that the verbs on data share: how a run begins, and the parts of a task as features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart.core.features import Features
from headstart.core.observations import Embedded, Surveyed
from headstart.core.plan import Plan
from headstart.core.plugins import name_of
from headstart.core.result import SetAside
from headstart.core.run import Run, fresh
from headstart.core.task import Task
from headstart.core.version import __version__
from headstart.data.duplicates.image_stats import glances
from headstart.data.split import without
from headstart.evaluation.guarding import watched
from headstart.features.extract import Rows, embed
from headstart.features.precision import at_top
from headstart.workflows.duplicate_groups import task_of
from headstart.workflows.run_files import shown


def begun(run: Run, source: object, given: dict[str, Any], seed: int, backbone: str, root: Path) -> Task:
    """The task of a source, told and looked at by the guards: how verbs on data begin. given: as `task_of` has it"""
    run.emit("start", {"source": shown(source), "version": __version__})
    with run.stage("read"):
        job = watched(run, task_of(source, given, seed, backbone, root, run))
        sizes = {name: len(rows) for name, rows in job.parts.items()}
        run.emit("task", {"kind": job.kind, "n": sizes, "notes": list(job.notes), "objective": name_of(job.objective)})
    return job


def folder_for(source: object, suffix: str = "") -> Path:
    """A new folder under runs/, called like the data."""
    name = Path(str(source).removeprefix("hub:")).resolve().stem if isinstance(source, str | Path) else "arrays"
    return fresh(Path("runs"), (name or "data") + suffix)


def seen_of(task: Task, plan: Plan, rows: Rows, views: tuple[Any, ...] = ()) -> Embedded:
    """The readable part of a task as features, by part; the rest is set aside by name."""
    ids = [e.id for e in task.examples]
    if rows.reasons:
        task = without(task, [SetAside(ids[i], reason) for i, reason in sorted(rows.reasons.items())])
    parts = _parts(task, rows.x)
    parts["train"] = replace(parts["train"], views=views)
    return Embedded(task, plan, parts, rows.beyond[rows.index], rows.receipt, rows.stale)


def _parts(task: Task, x: Any) -> dict[str, Features]:
    """Rows of the examples of a task as its parts."""
    y = task.objective.encode([e.label for e in task.examples])
    groups = tuple(e.group for e in task.examples) if any(e.group for e in task.examples) else ()
    # `without` keeps the order of what it keeps, which is the order of the rows.
    whole = Features(x, y, tuple(e.id for e in task.examples), groups)
    if len(whole.ids) != len(x):
        raise AssertionError(f"{len(whole.ids)} examples and {len(x)} rows")
    return {name: whole.rows(index) for name, index in task.parts.items()}


def surveyed(seen: Embedded, rows: Rows, root: Path, run: Run) -> Surveyed:
    """The parts at the top of the frozen backbone, which is what a run is compared with. rows: at the plan's cut"""
    card, examples, parts = seen.plan.backbone, seen.task.examples, seen.parts
    if not seen.plan.cut.top:
        rows = embed(examples, card, at_top(card, examples, root), root, run)
        parts = _parts(seen.task, rows.x)

    looked = glances(examples, rows.previews, root) if seen.task.kind == "image" else None
    return Surveyed(seen.task, seen.plan, parts, rows.previews, looked)
