"""The main job from data to a model folder with its figures: read this first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart import __version__, cache, ledger, unpack
from headstart.answer import Answer, answers
from headstart.artifact import Model, load, save
from headstart.augment import views_of
from headstart.delta import settle
from headstart.engine import at_top
from headstart.errors import PlanError
from headstart.extract import Rows, embed
from headstart.features import Features, join, joined, picked
from headstart.find import member, name_of
from headstart.forgetting import forgot
from headstart.glance import glances
from headstart.grouping import task_of
from headstart.guard import Embedded, Judged, Learned, Surveyed
from headstart.inputs import collect
from headstart.measure import baseline, headline, measure
from headstart.network import Above, open_above
from headstart.pairing import facts, paired
from headstart.plan import Fitted, Plan
from headstart.planner import DEFAULT, choose
from headstart.record import command, result_of, shown, write
from headstart.reporting import page
from headstart.result import SetAside
from headstart.run import Run, fresh
from headstart.split import without
from headstart.task import Task


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a fit gave: the run's folder, result.json as a dict, and the model."""

    folder: Path
    result: dict
    model: Model


def fit(
    source: object,
    *,
    into: str | Path | None = None,
    backbone: str = "own",
    method: str = "probe",
    settings: dict[str, str] | None = None,
    seed: int = 0,
    test: object = None,
    label: str | None = None,
    input: str | None = None,
    kind: str | None = None,
    task: str | None = None,
    group: str | None = None,
    shots: int | None = None,
    group_twins: bool = False,
    budget: str = "normal",
    repeat: int = 0,
    find_rate: bool = False,
    engine: str = "",
    save_memory: bool = False,
    root: Path | None = None,
    echo: Callable[[dict], None] | None = None,
) -> Outcome:
    """Learns a classifier, a tagger or a regressor from data, judges it, and writes a run folder.

    source: folder, table, "hub:owner/name" or arrays (X, y).  test: likewise, judged on instead of a held-out share
    into: the run's folder; default runs/<name of the data>
    backbone: "family:name"; "own", what comes with Headstart; "auto", the recommended one of the hub where that can be
    had.  method: a file in methods/, or "probe", the head that the label wants; settings: its fields as text
    shots: learn from at most so many examples of each class, as if no more had been labelled
    group_twins: whether near-duplicates stay on one side of the split, or out of training where a test part was given
    budget: "quick", "normal" or "thorough": how many steps a method takes that trains in steps
    repeat: another number trains on the same split from other random numbers
    find_rate: whether a range test finds the learning rate first
    save_memory: whether training computes activations again instead of keeping them: slower, in less memory
    engine: "torch", "openvino:bfloat16" …: what runs the frozen part; "" for the fastest whose answers are sound
    kind: "image" or "text"; task: "classes", "tags" or "number"; label, input, group: columns; all inferred when None
    root: the cache folder; default the user's.  echo: called with every event of the journal
    Raises a child of HeadstartError for everything the user can mend; Stopped when a guard ended the run.
    """
    root = root or cache.default_root()
    run = Run.start(Path(into) if into else folder_for(source), echo)
    given: dict[str, Any] = {"label": label, "input": input, "kind": kind, "task": task, "group": group, "test": test}
    given |= {"shots": shots, "group_twins": group_twins}
    job = begun(run, source, given, seed, backbone, root)
    with run.stage("extract"):
        asked = {**(settings or {}), **(_found(method) if find_rate else {})}
        plan = run.watched(choose(job, backbone, method, asked, seed, root, budget, repeat, engine, run.emit))
        run.emit("plan", plan.facts())
        rows = embed(job.examples, plan.backbone, plan.cut, root, run)
        seen = seen_of(job, plan, rows, _views(job, plan, rows, root, run))
        run.watched(seen)
    with run.stage("fit"):
        fitted, scores, judged_on = _learn(seen, run, save_memory)
        lost = forgot(fitted, plan, lambda: open_above(plan.backbone, plan.cut), root)
        if lost is not None:
            fitted.notes["forgetting"] = lost
        run.watched(Learned(job, plan, fitted.notes))
    with run.stage("measure"):
        survey = run.watched(surveyed(seen, rows, root, run))
        judged = _judge(seen, survey.parts, scores, judged_on)
        looks = {"models": ledger.judged(seen.task, plan, root)}
        judged = run.watched(replace(judged, details={**judged.details, "judged": looks}))
    with run.stage("save"):
        examples = np.concatenate([seen.task.parts[name] for name in ("test", "val", "train")])
        features = joined([seen.parts[name].x for name in ("test", "val", "train")])
        summary = {m.name: {"value": m.value, "low": m.low, "high": m.high, "n": m.n} for m in judged.metrics[:1]}
        opened = rows.misses > 0
        model = save(run.folder / "model", seen.task, plan, fitted, summary, features, examples, root, opened)
    result = result_of(run, seen, rows, fitted, judged, model, shown(source))
    given |= {"into": into, "budget": budget if budget != "normal" else None, "engine": engine or None}
    given["save_memory"] = save_memory
    result["command"] = command(shown(source), plan, asked, given)
    write(run, survey, rows, judged_on, scores, result)
    return Outcome(run.folder, result, model)


def predict(
    folder: str | Path,
    inputs: Iterable[object],
    *,
    input: str | None = None,
    lines: Iterable[str] | None = None,
    root: Path | None = None,
) -> list[Answer]:
    """Answers of a saved model, one an input and in order; what cannot be read has its reason in `error`.

    folder: a run folder, a model folder, or a ZIP file that a page gave.  inputs: paths, folders, globs, tables, texts,
    or things in memory
    input: the column of a table.  lines: what "-" among the inputs stands for
    Raises ArtifactError when the model is damaged, its base is another one, or its witness answers otherwise.
    """
    root = root or cache.default_root()
    model, running = load(unpack.opened(Path(folder), root), root)
    some = [inputs] if isinstance(inputs, str | Path | bytes) else inputs
    return list(answers(model, running, collect(some, model.facts["kind"], input, lines)))


def report(folder: str | Path, *, png: bool = False) -> list[Path]:
    """Writes report.html and the plots of a run again; the plots as PNG too if asked. Gives what was written.

    Raises ArtifactError when the folder is not a run.
    """
    return [page.write(Path(folder)), *(page.png(Path(folder)) if png else [])]


def _found(method: str) -> dict[str, str]:
    """The setting that lets a range test find the rate. Raises PlanError for a method without one."""
    known = {"method"} if method == "probe" else {f.name for f in fields(member("methods", method).Settings)}
    if "rate" not in known:
        raise PlanError(f"{method} has no learning rate to find. Name a method that has one: --method finetune.")
    return {"rate": "0"}


def begun(run: Run, source: object, given: dict[str, Any], seed: int, backbone: str, root: Path) -> Task:
    """The task of a source, told and looked at by the guards: how verbs on data begin. given: as `task_of` has it"""
    run.emit("start", {"source": shown(source), "version": __version__})
    with run.stage("read"):
        job = run.watched(task_of(source, given, seed, backbone, root, run))
        sizes = {name: len(rows) for name, rows in job.parts.items()}
        run.emit("task", {"kind": job.kind, "n": sizes, "notes": list(job.notes), "objective": name_of(job.objective)})
    return job


def folder_for(source: object, suffix: str = "") -> Path:
    """A new folder under runs/, called like the data."""
    name = Path(str(source).removeprefix("hub:")).resolve().stem if isinstance(source, str | Path) else "arrays"
    return fresh(Path("runs"), (name or "data") + suffix)


def _views(task: Task, plan: Plan, rows: Rows, root: Path, run: Run) -> tuple[Any, ...]:
    """Rows of augmented views of the readable training photos, in the order of the part; none for most methods."""
    count = int(asdict(plan.method).get("views", 0))
    mine = [task.examples[i] for i in task.parts["train"] if i not in rows.reasons] if count else []
    return views_of(mine, plan.backbone, plan.cut, count, plan.seed, root, run.emit)


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


def _learn(seen: Embedded, run: Run, thrifty: bool) -> tuple[Fitted, np.ndarray, np.ndarray]:
    """The fitted head, and scores of examples that no head which scored them had seen, with their positions."""
    plan, task, parts = seen.plan, seen.task, seen.parts
    fitted = _fitted(plan, task, parts["train"], parts["val"], run, thrifty)
    if task.folds is None:
        return fitted, fitted.scores(parts["test"].x), task.parts["test"]
    # Too few for a held-out part: each fold is scored by a head that learned from the others.
    train = parts["train"]
    scores = np.zeros((len(train), task.objective.width), np.float32)
    fold = task.folds[task.parts["train"]]
    nothing = train.rows(np.zeros(0, np.int64))
    for f in np.unique(fold):
        others, held = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        scores[held] = _fitted(plan, task, train.rows(others), nothing, run, thrifty).scores(picked(train.x, held))
    return fitted, scores, task.parts["train"]


def _fitted(plan: Plan, task: Task, train: Features, val: Features, run: Run, thrifty: bool) -> Fitted:
    def above() -> Above:
        return open_above(plan.backbone, plan.cut, run.emit, thrifty)

    rng = np.random.default_rng([plan.seed, plan.repeat])
    fitted = plan.method.fit(train, val, task.objective, above=above, rng=rng)
    settle(fitted, above, max(val.x, train.x, key=len), task.objective)
    return fitted


def _judge(seen: Embedded, frozen: dict[str, Features], scores: np.ndarray, judged_on: np.ndarray) -> Judged:
    """Metrics and baselines on the examples at `judged_on`. frozen: the parts at the top of the frozen backbone"""
    task, plan = seen.task, seen.plan
    test = frozen["test"] if task.folds is None else frozen["train"]

    def simple(name: str) -> np.ndarray:
        if task.folds is None:
            train = join(frozen["train"], frozen["val"]) if len(frozen["val"]) else frozen["train"]
            return baseline(name, train, test, task.objective, plan.seed)
        out, fold = np.zeros_like(scores), task.folds[judged_on]
        for f in np.unique(fold):
            others, held = test.rows(np.flatnonzero(fold != f)), test.rows(np.flatnonzero(fold == f))
            out[fold == f] = baseline(name, others, held, task.objective, plan.seed)
        return out

    baselines = {"majority": None, "knn": headline(task.objective, simple("knn"), test.y), "scratch": None}
    versus = None
    if not plan.cut.top:
        plain = simple(DEFAULT[name_of(task.objective)])
        baselines["probe"] = headline(task.objective, plain, test.y)
        versus = {"probe": facts(paired(task.objective, scores, plain, test.y, plan.seed))}
    judged = measure(task, plan, scores, test, baselines)
    judged.baselines["majority"] = judged.metrics[0].chance
    return judged if versus is None else replace(judged, details={**judged.details, "versus": versus})
