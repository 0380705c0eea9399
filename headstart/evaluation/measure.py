"""Judges what was learned on a part that no method ever saw. The only reader of the test part."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headstart.core import digest
from headstart.core.features import Features
from headstart.core.files import read_json, unwritable, write_whole
from headstart.core.observations import Judged
from headstart.core.plan import Fitted, Plan
from headstart.core.plugins import member, name_of
from headstart.core.task import Objective, Task


def measure(task: Task, plan: Plan, scores: np.ndarray, test: Features, baselines: dict[str, float | None]) -> Judged:
    """The objective's metrics with their intervals (drawn from the plan's seed), its details and the baselines."""
    rng = np.random.default_rng([plan.seed, 1])
    objective = task.objective
    metrics = objective.measure(scores, test.y, rng)
    return Judged(task, plan, objective, metrics, baselines, objective.details(scores, test.y))


def baseline(name: str, train: Features, test: Features, objective: Objective, seed: int) -> np.ndarray:
    """Scores of a head on the frozen features: "knn", what no training at all would give, or the plain probe."""
    head = member("methods", name).Settings()
    empty = train.rows(np.zeros(0, np.int64))
    fitted: Fitted = head.fit(train, empty, objective, above=_nothing, rng=np.random.default_rng([seed, 2]))
    return fitted.scores(test.x)


def headline(objective: Objective, scores: np.ndarray, y: np.ndarray) -> float:
    """The first metric's value alone, for a baseline's line."""
    return objective.measure(scores, y, np.random.default_rng(0))[0].value


def mistakes(task: Task, rows: np.ndarray, scores: np.ndarray, y: np.ndarray, most: int = 24) -> list[dict]:
    """The most confident wrong answers: {"row" into `examples`, "id", "truth", "predicted", "confidence"}.

    rows: (n,) int64, which example each score belongs to. For numbers: the largest errors.
    """
    objective, found = task.objective, []
    predicted = objective.decode(scores)
    if name_of(objective) == "classes":
        p = objective.probabilities(scores)
        sure = p.max(1)
        wrong = np.flatnonzero(p.argmax(1) != y)
    elif name_of(objective) == "tags":
        p = objective.probabilities(scores)
        sure = np.abs(p - y).max(1)
        wrong = np.flatnonzero(sure > 0.5)
    else:
        sure = np.abs(scores[:, 0] - y)
        wrong = np.arange(len(y))
    for i in wrong[np.argsort(-sure[wrong], kind="stable")][:most]:
        example = task.examples[rows[i]]
        text = example.content if isinstance(example.content, str) else ""
        truth = example.label if not isinstance(example.label, tuple | list) else ", ".join(map(str, example.label))
        answer = predicted[i] if not isinstance(predicted[i], tuple | list) else ", ".join(map(str, predicted[i]))
        entry = {"row": int(rows[i]), "id": example.id, "truth": _shown(truth), "predicted": _shown(answer)}
        found.append({**entry, "confidence": float(sure[i]), "text": text[:2000], "thumbnail": ""})
    return found


def _shown(label: object) -> str:
    return f"{label:.4g}" if isinstance(label, float) else str(label)


def _nothing():
    raise AssertionError("a baseline is a head: it needs nothing above the cut")


def count_looks(task: Task, plan: Plan, root: Path) -> int:
    """How many different models these test examples have judged on this machine, this one included.

    Different in the backbone, the method or its settings: another random number is no other model.
    Raises CacheError where the cache folder `root` cannot be written.
    """
    rows = task.parts["test"] if task.folds is None else task.parts["train"]
    part = digest.of_value(sorted([task.examples[i].digest, str(task.examples[i].label)] for i in rows))
    facts = plan.facts()
    model = digest.of_value([facts[k] for k in ("backbone", "method", "settings", "cut")])
    path = root / "judged" / f"{part}.json"
    known = (read_json(path) or {}).get("models", [])
    if model not in known:
        known = [*known, model]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, {"models": known})
        except OSError as error:
            raise unwritable(root, error) from error
    return len(known)
