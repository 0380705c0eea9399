"""Steps that the verbs on data share: how a run begins, and the parts of a task as features."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from headstart.core.features import Features
from headstart.core.input_contract import InputContract
from headstart.core.observations import DataSurvey, Extraction, PictureDepth
from headstart.core.options import DataOptions, OutputOptions
from headstart.core.plan import Plan
from headstart.core.plugins import name_of
from headstart.core.result import SetAside
from headstart.core.run import Run, unused_path
from headstart.core.task import Task
from headstart.core.version import __version__
from headstart.data.duplicates.image_stats import load_image_stats
from headstart.data.pixel_range import judge_depth
from headstart.data.subset import drop_examples
from headstart.evaluation.guarding import run_guards
from headstart.features.cache import store
from headstart.features.extract import Rows, embed
from headstart.features.precision import pick_top_cut
from headstart.workflows.duplicate_groups import read_task
from headstart.workflows.run_files import source_name


def begin(run: Run, source: object, data: DataOptions, backbone: str) -> Task:
    """Reads the task of a source, opens the run, and shows the task to the guards: how every verb on data begins."""
    run.emit("start", {"source": source_name(source), "version": __version__})
    with run.stage("read"):
        task = read_task(source, data, backbone, run.root, run)
        run.open()
        if task.kind == "image":
            depth = judge_depth(task.part("train"), run.root)
            task = with_depth(task, run_guards(run, depth))
        task = run_guards(run, task)
        sizes = {name: len(rows) for name, rows in task.parts.items()}
        run.emit(
            "task", {"kind": task.kind, "n": sizes, "notes": list(task.notes), "objective": name_of(task.objective)}
        )
    return task


def with_depth(task: Task, depth: PictureDepth) -> Task:
    """The task, whose contract says how deep its pictures are."""
    contract = task.contract or InputContract(kind=task.kind)
    if depth.range is None:
        return replace(task, contract=replace(contract, depth=8))
    low, high = depth.range
    note = f"Pictures of more than 8 bits: {low:,g} is black and {high:,g} is white."
    contract = replace(contract, depth=16 if depth.whole else 32, range=depth.range)
    return replace(task, contract=contract, notes=(*task.notes, note))


def start_run(source: object, output: OutputOptions, suffix: str = "", *, raise_on_stop: bool = True) -> Run:
    """A run that begins now, in the folder that the user named, else in a new one that is called like the data."""
    root, new = output.root or store.default_root(), partial(_new_run_folder, source, suffix)
    if output.into:
        return Run.start(Path(output.into), root, output.echo, raise_on_stop=raise_on_stop)
    return Run.start(new(), root, output.echo, raise_on_stop=raise_on_stop, elsewhere=new)


def _new_run_folder(source: object, suffix: str) -> Path:
    """A new folder under runs/, called like the data."""
    name = Path(str(source).removeprefix("hub:")).resolve().stem if isinstance(source, str | Path) else "arrays"
    return unused_path(Path("runs"), (name or "data") + suffix)


def embedded_task(task: Task, plan: Plan, rows: Rows, views: tuple[Any, ...] = ()) -> Extraction:
    """The readable part of a task as features, by part; the rest is set aside by name."""
    ids = [e.id for e in task.examples]
    if rows.reasons:
        task = drop_examples(task, [SetAside(ids[i], reason) for i, reason in sorted(rows.reasons.items())])
    parts = _features_by_part(task, rows.x)
    parts["train"] = replace(parts["train"], views=views)
    return Extraction(task, plan, parts, rows.beyond[rows.index], rows.receipt, rows.stale)


def _features_by_part(task: Task, x: Any) -> dict[str, Features]:
    """Rows of the examples of a task as its parts."""
    y = task.objective.encode([e.label for e in task.examples])
    groups = tuple(e.group for e in task.examples) if any(e.group for e in task.examples) else ()
    # `without` keeps the order of what it keeps, which is the order of the rows.
    whole = Features(x, y, tuple(e.id for e in task.examples), groups)
    if len(whole.ids) != len(x):
        raise AssertionError(f"{len(whole.ids)} examples and {len(x)} rows")
    return {name: whole.rows(index) for name, index in task.parts.items()}


def survey_frozen(extraction: Extraction, rows: Rows, run: Run) -> DataSurvey:
    """The parts at the top of the frozen backbone, which is what a run is compared with. rows: at the plan's cut"""
    card, examples, parts = extraction.plan.backbone, extraction.task.examples, extraction.parts
    if not extraction.plan.cut.top:
        rows = embed(examples, card, pick_top_cut(card, examples, run.root), run.root, run)
        parts = _features_by_part(extraction.task, rows.x)

    image_stats = None
    if extraction.task.kind == "image":
        image_stats = load_image_stats(examples, rows.thumbnails, rows.x, run.root)
    return DataSurvey(extraction.task, extraction.plan, parts, rows.thumbnails, image_stats)
