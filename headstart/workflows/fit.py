"""The main job from data to a model folder with its figures: read this first."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.network import open_above
from headstart.core.features import Features, concatenate_features, concatenate_rows, take_rows
from headstart.core.observations import Evaluation, Extraction, TrainingOutcome
from headstart.core.options import (
    BackboneOptions,
    DataOptions,
    MethodOptions,
    OutputOptions,
    TrainingOptions,
    asked,
    flat_keywords,
)
from headstart.core.paired_comparison import compare_scores
from headstart.core.plan import Above, Fitted, Model, Plan
from headstart.core.run import Run
from headstart.core.task import Task
from headstart.deployment.delta import round_delta
from headstart.deployment.model_folder import save
from headstart.deployment.witness import Candidates
from headstart.evaluation.forgetting import measure_forgetting
from headstart.evaluation.guarding import run_guards
from headstart.evaluation.measure import baseline_scores, count_test_set_uses, evaluate, headline_value
from headstart.features.cached_views import cached_views
from headstart.features.extract import Rows, embed
from headstart.training.heads.probe import probe_method
from headstart.workflows import plan_file
from headstart.workflows.planner import choose
from headstart.workflows.run_files import build_result, rerun_command, source_name, write_run
from headstart.workflows.steps import begin, embedded_task, start_run, survey_frozen


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a fit gave: the run's folder, result.json as a dict, and the model."""

    folder: Path
    result: dict
    model: Model


def fit_with(
    source: object,
    data: DataOptions,
    borrow: BackboneOptions,
    learn: MethodOptions,
    training: TrainingOptions,
    output: OutputOptions,
) -> Outcome:
    """Learns a classifier, a tagger or a regressor from data, judges it, and writes a run folder.

    source: folder, table, "hub:owner/name" or arrays (X, y); `test` likewise
    Raises a child of HeadstartError for everything the user can mend; Stopped when a guard ended the run.
    """
    with start_run(source, output) as run:
        task = begin(run, source, data, borrow.backbone)
        with run.stage("extract"):
            plan = run_guards(run, choose(task, borrow, learn, training, data.seed, run.root, run.emit))
            run.emit("plan", plan.facts())
            rows = embed(task.examples, plan.backbone, plan.cut, run.root, run)
            extraction = run_guards(run, embedded_task(task, plan, rows, _augmented_views(task, plan, rows, run)))
        with run.stage("fit"):
            fitted, scores, test_index = _fit_and_score(extraction, run, training.save_memory)
            forgetting = measure_forgetting(fitted, plan, lambda: open_above(plan.backbone, plan.cut), run.root)
            if forgetting is not None:
                fitted.notes["forgetting"] = forgetting
            run_guards(run, TrainingOutcome(task, plan, fitted.notes))
        with run.stage("measure"):
            survey = run_guards(run, survey_frozen(extraction, rows, run))
            evaluation = _measure(extraction, survey.parts, scores, test_index)
            uses = count_test_set_uses(extraction.task, plan, run.root)
            evaluation = run_guards(run, replace(evaluation, details={**evaluation.details, "judged": uses}))
        with run.stage("save"):
            model = _save(extraction, fitted, evaluation, rows, run)
        result = build_result(run, extraction, rows, fitted, evaluation, model, source_name(source))
        as_planned = ("seed", "backbone", "method", "settings")
        options = asked(data, borrow, learn, training, output, without=as_planned)
        result["command"] = rerun_command(source_name(source), plan, learn.settings or {}, options)
        plan_file.write(run.folder / "plan.toml", plan, source, asked(data, borrow, training, without=as_planned))
        write_run(run, survey, rows, test_index, scores, result)
        return Outcome(run.folder, result, model)


fit = flat_keywords(fit_with, "fit", config=plan_file.repeated)


def _augmented_views(task: Task, plan: Plan, rows: Rows, run: Run) -> tuple[Any, ...]:
    """Features of the augmented views of each readable training photo; none for a method without `views`."""
    count = int(asdict(plan.method).get("views", 0))
    readable = [task.examples[i] for i in task.parts["train"] if i not in rows.reasons] if count else []
    return cached_views(readable, plan.backbone, plan.cut, count, plan.seed, run.root, run.emit)


def _fit_and_score(extraction: Extraction, run: Run, save_memory: bool) -> tuple[Fitted, np.ndarray, np.ndarray]:
    """The fitted method, and out-of-sample scores with the positions of the examples that they are of."""
    plan, task, parts = extraction.plan, extraction.task, extraction.parts
    fitted = _fit_method(plan, task, parts["train"], parts["val"], run, save_memory)
    if task.folds is None:
        return fitted, fitted.scores(parts["test"].x), task.parts["test"]
    # Too few for a test part: each fold is scored by a method that was fitted on the others.
    train = parts["train"]
    scores = np.zeros((len(train), task.objective.width), np.float32)
    fold = task.folds[task.parts["train"]]
    no_val = train.rows(np.zeros(0, np.int64))
    for f in np.unique(fold):
        inside, outside = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        fitted_inside = _fit_method(plan, task, train.rows(inside), no_val, run, save_memory)
        scores[outside] = fitted_inside.scores(take_rows(train.x, outside))
    return fitted, scores, task.parts["train"]


def _fit_method(plan: Plan, task: Task, train: Features, val: Features, run: Run, save_memory: bool) -> Fitted:
    def above() -> Above:
        return open_above(plan.backbone, plan.cut, run.emit, save_memory)

    rng = np.random.default_rng([plan.seed, plan.repeat])
    fitted = plan.method.fit(train, val, task.objective, above=above, rng=rng)
    round_delta(fitted, above, max(val.x, train.x, key=len), task.objective)
    return fitted


def _measure(
    extraction: Extraction, frozen: dict[str, Features], scores: np.ndarray, test_index: np.ndarray
) -> Evaluation:
    """Metrics and baselines on the examples at `test_index`. frozen: the parts at the top of the frozen backbone"""
    task, plan = extraction.task, extraction.plan
    test = frozen["test"] if task.folds is None else frozen["train"]

    def baseline(name: str) -> np.ndarray:
        if task.folds is None:
            train = concatenate_features(frozen["train"], frozen["val"]) if len(frozen["val"]) else frozen["train"]
            return baseline_scores(name, train, test, task.objective, plan.seed)
        out, fold = np.zeros_like(scores), task.folds[test_index]
        for f in np.unique(fold):
            inside, outside = test.rows(np.flatnonzero(fold != f)), test.rows(np.flatnonzero(fold == f))
            out[fold == f] = baseline_scores(name, inside, outside, task.objective, plan.seed)
        return out

    baselines = {"majority": None, "knn": headline_value(task.objective, baseline("knn"), test.y), "scratch": None}
    versus = None
    if not plan.cut.top:
        probe = baseline(probe_method(task.objective))
        baselines["probe"] = headline_value(task.objective, probe, test.y)
        versus = {"probe": asdict(compare_scores(task.objective, scores, probe, test.y, plan.seed))}
    evaluation = evaluate(task, plan, scores, test, baselines)
    evaluation.baselines["majority"] = evaluation.metrics[0].chance
    return evaluation if versus is None else replace(evaluation, details={**evaluation.details, "versus": versus})


def _save(extraction: Extraction, fitted: Fitted, evaluation: Evaluation, rows: Rows, run: Run) -> Model:
    """The model folder, with witnesses drawn from all parts, those of the test part first."""
    task, parts = extraction.task, ("test", "val", "train")
    index = np.concatenate([task.parts[name] for name in parts])
    features = concatenate_rows([extraction.parts[name].x for name in parts])
    headline = evaluation.metrics[0]
    summary = {headline.name: {k: getattr(headline, k) for k in ("value", "low", "high", "n")}}
    candidates = Candidates(features, index, images_opened=rows.misses > 0)
    return save(run.folder / "model", task, extraction.plan, fitted, summary, candidates, run.root)
