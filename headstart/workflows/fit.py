"""The main job from data to a model folder with its figures: read this first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.network import open_above
from headstart.core.errors import PlanError
from headstart.core.features import Features, join, joined, picked
from headstart.core.observations import Embedded, Judged, Learned
from headstart.core.plan import DEFAULT, Above, Fitted, Model, Plan
from headstart.core.plugins import member, name_of
from headstart.core.run import Run
from headstart.core.statistics import facts, paired
from headstart.core.task import Task
from headstart.deployment.delta import settle
from headstart.deployment.model_folder import save
from headstart.evaluation.forgetting import forgot
from headstart.evaluation.guarding import watched
from headstart.evaluation.measure import baseline, count_looks, headline, measure
from headstart.features.cache import store
from headstart.features.cached_views import views_of
from headstart.features.extract import Rows, embed
from headstart.workflows.planner import choose
from headstart.workflows.run_files import command, result_of, shown, write
from headstart.workflows.steps import begun, folder_for, seen_of, surveyed


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
    root = root or store.default_root()
    run = Run.start(Path(into) if into else folder_for(source), echo)
    given: dict[str, Any] = {"label": label, "input": input, "kind": kind, "task": task, "group": group, "test": test}
    given |= {"shots": shots, "group_twins": group_twins}
    job = begun(run, source, given, seed, backbone, root)
    with run.stage("extract"):
        asked = {**(settings or {}), **(_found(method) if find_rate else {})}
        plan = watched(run, choose(job, backbone, method, asked, seed, root, budget, repeat, engine, run.emit))
        run.emit("plan", plan.facts())
        rows = embed(job.examples, plan.backbone, plan.cut, root, run)
        seen = seen_of(job, plan, rows, _views(job, plan, rows, root, run))
        watched(run, seen)
    with run.stage("fit"):
        fitted, scores, judged_on = _learn(seen, run, save_memory)
        lost = forgot(fitted, plan, lambda: open_above(plan.backbone, plan.cut), root)
        if lost is not None:
            fitted.notes["forgetting"] = lost
        watched(run, Learned(job, plan, fitted.notes))
    with run.stage("measure"):
        survey = watched(run, surveyed(seen, rows, root, run))
        judged = _judge(seen, survey.parts, scores, judged_on)
        looks = {"models": count_looks(seen.task, plan, root)}
        judged = watched(run, replace(judged, details={**judged.details, "judged": looks}))
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


def _found(method: str) -> dict[str, str]:
    """The setting that lets a range test find the rate. Raises PlanError for a method without one."""
    known = {"method"} if method == "probe" else {f.name for f in fields(member("methods", method).Settings)}
    if "rate" not in known:
        raise PlanError(f"{method} has no learning rate to find. Name a method that has one: --method finetune.")
    return {"rate": "0"}


def _views(task: Task, plan: Plan, rows: Rows, root: Path, run: Run) -> tuple[Any, ...]:
    """Rows of augmented views of the readable training photos, in the order of the part; none for most methods."""
    count = int(asdict(plan.method).get("views", 0))
    mine = [task.examples[i] for i in task.parts["train"] if i not in rows.reasons] if count else []
    return views_of(mine, plan.backbone, plan.cut, count, plan.seed, root, run.emit)


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
