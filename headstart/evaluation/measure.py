"""Evaluation on the test set, which no method sees: metrics, baselines, mistakes, and a count of its reuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.errors import PlanError
from headstart.core.features import Features
from headstart.core.files import make_folder, read_checked_json, read_json, write_checked_json
from headstart.core.observations import Evaluation
from headstart.core.plan import Fitted, Plan
from headstart.core.plugins import member, name_of
from headstart.core.task import Objective, Task


def evaluate(
    task: Task, plan: Plan, scores: np.ndarray, test: Features, baselines: dict[str, float | None]
) -> Evaluation:
    """The objective's metrics with their intervals (bootstrap by the plan's seed), its details and the baselines.

    Raises PlanError where a score is no number.
    """
    objective = task.objective
    lost = int((~np.isfinite(scores)).any(1).sum())
    if lost:
        raise PlanError(
            f"{name_of(plan.method)} gave no number for {lost:,} of {len(scores):,} test examples: training diverged, "
            "or the features hold numbers too large. Try a lower --set learning_rate=…, or --method logistic."
        )
    metrics = objective.measure(scores, test.y, np.random.default_rng([plan.seed, 1]))
    return Evaluation(task, plan, objective, metrics, baselines, objective.details(scores, test.y))


def baseline_scores(name: str, train: Features, test: Features, objective: Objective, seed: int) -> np.ndarray:
    """Test scores of a head on frozen features: "knn", which needs no training, or the linear probe."""
    head = member("methods", name).Settings()
    empty = train.rows(np.zeros(0, np.int64))
    fitted: Fitted = head.fit(train, empty, objective, above=None, rng=np.random.default_rng([seed, 2]))
    return fitted.scores(test.x)


def headline_value(objective: Objective, scores: np.ndarray, y: np.ndarray) -> float:
    """The headline metric's value, as a baseline needs it."""
    return objective.measure(scores, y, np.random.default_rng(0))[0].value


def most_confident_mistakes(
    task: Task, rows: np.ndarray, scores: np.ndarray, y: np.ndarray, limit: int = 24
) -> list[dict]:
    """The most confident wrong predictions: {"row", "id", "truth", "predicted", "confidence", "text", "thumbnail"}.

    rows: (n,) int64 index of each score's example in the task. For regression: the largest errors.
    """
    objective = task.objective
    predicted = objective.decode(scores)
    if name_of(objective) == "classes":
        p = objective.probabilities(scores)
        confidence, wrong = p.max(1), np.flatnonzero(p.argmax(1) != y)
    elif name_of(objective) == "tags":
        confidence = np.abs(objective.probabilities(scores) - y).max(1)
        wrong = np.flatnonzero(confidence > 0.5)
    else:
        confidence, wrong = np.abs(scores[:, 0] - y), np.arange(len(y))
    mistakes = []
    for i in wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]:
        example = task.examples[rows[i]]
        text = example.content[:2000] if isinstance(example.content, str) else ""
        labels = {"truth": _format_label(example.label), "predicted": _format_label(predicted[i])}
        entry = {"row": int(rows[i]), "id": example.id, **labels, "confidence": float(confidence[i])}
        mistakes.append({**entry, "text": text, "thumbnail": ""})
    return mistakes


def stratified_halves(y: np.ndarray) -> np.ndarray:
    """(n,) int64 of 0 and 1: two folds with the same share of each of the (n,) classes."""
    folds = np.empty(len(y), np.int64)
    folds[np.argsort(y, kind="stable")] = np.arange(len(y)) % 2
    return folds


def count_test_set_uses(task: Task, plan: Plan, root: Path) -> dict[str, Any]:
    """{"models"}: how many different models were evaluated on this test set on this machine, this one included.

    Models differ by backbone, cut, method or settings; another seed is no other model. "lost": why the count is too
    low, where what was kept is damaged or the cache folder `root` cannot be written.
    """
    rows = task.parts["test"] if task.folds is None else task.parts["train"]
    test_set = digest.of_value(sorted([task.examples[i].digest, str(task.examples[i].label)] for i in rows))
    facts = plan.facts()
    model = digest.of_value([facts[k] for k in ("backbone", "method", "settings", "cut")])
    path = root / "judged" / f"{test_set}.json"
    kept = read_checked_json(path) or read_json(path) or {}  # earlier versions wrote plain JSON
    valid = isinstance(kept.get("models"), list)
    models: list[str] = kept["models"] if valid else []
    lost = f"{path} is damaged, and the count begins anew" if not valid and path.is_file() else ""
    if model not in models:
        models = [*models, model]
        try:
            make_folder(path.parent)
            write_checked_json(path, {"models": models})
        except OSError as error:
            lost = f"{path} cannot be written ({error.strerror or error}), and this model is not counted next time"
    return {"models": len(models), **({"lost": lost} if lost else {})}


def _format_label(label: object) -> str:
    if isinstance(label, tuple | list):
        return ", ".join(map(str, label))
    return f"{label:.4g}" if isinstance(label, float) else str(label)
