"""The main job from data to a model folder with its figures: read this first."""

from __future__ import annotations

import csv
import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart import __version__, cache
from headstart.artifact import Model, save
from headstart.extract import Rows, embed
from headstart.features import Features
from headstart.find import name_of
from headstart.guard import Embedded, Judged
from headstart.measure import baseline, headline, measure, mistakes
from headstart.plan import Fitted, Plan
from headstart.planner import choose
from headstart.read import read
from headstart.reporting.page import write
from headstart.result import SetAside
from headstart.run import Run, fresh
from headstart.split import without
from headstart.task import Task
from headstart.verdict import verdict


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
    backbone: str = "auto",
    method: str = "auto",
    settings: dict[str, str] | None = None,
    seed: int = 0,
    test: object = None,
    label: str | None = None,
    input: str | None = None,
    kind: str | None = None,
    task: str | None = None,
    group: str | None = None,
    root: Path | None = None,
    echo: Callable[[dict], None] | None = None,
) -> Outcome:
    """Learns a classifier, a tagger or a regressor from data, judges it, and writes a run folder.

    source: folder, table, "hub:owner/name" or arrays (X, y).  test: likewise, judged on instead of a held-out share
    into: the run's folder; default runs/<name of the data>
    backbone: "family:name", or "auto".  method: a file in methods/, or "auto"; settings: its fields as text
    kind: "image" or "text"; task: "classes", "tags" or "number"; label, input, group: columns; all inferred when None
    root: the cache folder; default the user's.  echo: called with every event of the journal
    Raises a child of HeadstartError for everything the user can mend; Stopped when a guard ended the run.
    """
    root = root or cache.default_root()
    run = Run.start(_folder(into, source), echo)
    run.emit("start", {"source": _shown(source), "version": __version__})
    with run.stage("read"):
        job = run.watched(
            read(source, seed=seed, test=test, label=label, input=input, kind=kind, task=task, group=group)
        )
        sizes = {name: len(rows) for name, rows in job.parts.items()}
        run.emit("task", {"kind": job.kind, "n": sizes, "notes": list(job.notes), "objective": name_of(job.objective)})
    with run.stage("extract"):
        plan = run.watched(choose(job, backbone, method, settings or {}, seed, root))
        run.emit("plan", plan.facts())
        rows = embed(job.examples, plan.backbone, plan.cut, root, run)
        seen = _seen(job, plan, rows)
        run.watched(seen)
    with run.stage("fit"):
        fitted, scores, judged_on = _learn(seen)
    with run.stage("measure"):
        judged = _judge(seen, scores, judged_on)
        run.watched(judged)
    with run.stage("save"):
        examples = np.concatenate([seen.task.parts[name] for name in ("test", "val", "train")])
        features = np.concatenate([seen.parts[name].x for name in ("test", "val", "train")])
        summary = {m.name: {"value": m.value, "low": m.low, "high": m.high, "n": m.n} for m in judged.metrics[:1]}
        model = save(run.folder / "model", seen.task, plan, fitted, summary, features, examples)
    given = {
        "--test": test,
        "--label": label,
        "--input": input,
        "--kind": kind,
        "--task": task,
        "--group": group,
        "--into": into,
    }
    result = _result(run, seen, rows, fitted, judged, model, _shown(source))
    result["command"] = command(_shown(source), plan, settings or {}, given)
    _write(run, seen, rows, judged_on, scores, result)
    return Outcome(run.folder, result, model)


def _folder(into: str | Path | None, source: object) -> Path:
    if into is not None:
        return Path(into)
    name = Path(str(source).removeprefix("hub:")).resolve().stem if isinstance(source, str | Path) else "arrays"
    return fresh(Path("runs"), name or "data")


def _shown(source: object) -> str:
    return str(source) if isinstance(source, str | Path) else "arrays in memory"


def _seen(task: Task, plan: Plan, rows: Rows) -> Embedded:
    """The readable part of a task as features, by part; the rest is set aside by name."""
    ids = [e.id for e in task.examples]
    if rows.reasons:
        task = without(task, [SetAside(ids[i], reason) for i, reason in sorted(rows.reasons.items())])
    # `without` keeps the order of what it keeps, which is the order of the rows.
    y = task.objective.encode([e.label for e in task.examples])
    groups = tuple(e.group for e in task.examples) if any(e.group for e in task.examples) else ()
    whole = Features(rows.x, y, tuple(e.id for e in task.examples), groups)
    if len(whole.ids) != len(rows.x):
        raise AssertionError(f"{len(whole.ids)} examples and {len(rows.x)} rows")
    parts = {name: whole.rows(index) for name, index in task.parts.items()}
    return Embedded(task, plan, parts, rows.beyond[rows.index], rows.receipt)


def _learn(seen: Embedded) -> tuple[Fitted, np.ndarray, np.ndarray]:
    """The fitted head, and scores of examples that no head which scored them had seen, with their positions."""
    plan, task, parts = seen.plan, seen.task, seen.parts
    fitted = _fitted(plan, task, parts["train"], parts["val"])
    if task.folds is None:
        return fitted, fitted.scores(parts["test"].x), task.parts["test"]
    # Too few for a held-out part: each fold is scored by a head that learned from the others.
    train = parts["train"]
    scores = np.zeros((len(train), task.objective.width), np.float32)
    fold = task.folds[task.parts["train"]]
    nothing = train.rows(np.zeros(0, np.int64))
    for f in np.unique(fold):
        others, held = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        scores[held] = _fitted(plan, task, train.rows(others), nothing).scores(train.x[held])
    return fitted, scores, task.parts["train"]


def _fitted(plan: Plan, task: Task, train: Features, val: Features) -> Fitted:
    def above():
        from headstart.network import open_network

        return open_network(plan.backbone).above(plan.cut)

    return plan.method.fit(train, val, task.objective, above=above, rng=np.random.default_rng([plan.seed, 0]))


def _judge(seen: Embedded, scores: np.ndarray, judged_on: np.ndarray) -> Judged:
    """Metrics and baselines on the examples at `judged_on`."""
    task, parts, plan = seen.task, seen.parts, seen.plan
    test = parts["test"] if task.folds is None else parts["train"]
    if task.folds is None:
        nearest = baseline(parts["train"], test, task.objective, plan.seed)
    else:
        nearest = np.zeros_like(scores)
        fold = task.folds[judged_on]
        for f in np.unique(fold):
            others, held = test.rows(np.flatnonzero(fold != f)), test.rows(np.flatnonzero(fold == f))
            nearest[fold == f] = baseline(others, held, task.objective, plan.seed)
    knn = headline(task.objective, nearest, test.y)
    judged = measure(task, plan, scores, test, {"majority": None, "knn": knn, "scratch": None})
    judged.baselines["majority"] = judged.metrics[0].chance
    return judged


def _result(run: Run, seen: Embedded, rows: Rows, fitted: Fitted, judged: Judged, model: Model, source: str) -> dict:
    """result.json, schema 1."""
    task, plan, receipt = seen.task, seen.plan, seen.receipt
    state = fitted.state()
    trained = int(sum(a.size for a in state.values() if a.dtype.kind == "f"))
    delta = (model.folder / "delta.safetensors").stat().st_size
    metrics = {
        m.name: {
            "value": m.value,
            "low": m.low,
            "high": m.high,
            "level": m.level,
            "n": m.n,
            "chance": m.chance,
            "better": m.better,
        }
        for m in judged.metrics
    }
    frozen = {"tensors": 0, "moved": 0, "digest_before": "", "digest_after": "", "when": "no network was opened"}
    if receipt is not None:
        when = "this run" if rows.fresh else "when the features were computed"
        frozen = {"tensors": receipt.tensors, "moved": len(receipt.moved), "when": when}
        frozen |= {"digest_before": receipt.digest_before, "digest_after": receipt.digest_after}
    long = seen.beyond > 0
    result = {
        "schema": 1,
        "version": __version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": "",
        "source": source,
        "task": {
            "kind": task.kind,
            "objective": name_of(task.objective),
            "classes": list(task.objective.facts().get("names", [])),
            "n": {name: len(task.parts[name]) for name in ("train", "val", "test")},
            "folds": 0 if task.folds is None else len(np.unique(task.folds)),
            "notes": list(task.notes),
        },
        "plan": plan.facts(),
        "backbone": {k: v for k, v in plan.backbone.facts().items() if k != "source_classes"},
        "metrics": metrics,
        "baselines": judged.baselines,
        "head": fitted.notes,
        "params": {"trained": trained, "total": trained + plan.backbone.parameters},
        "bytes": {"delta": delta, "base": plan.backbone.size},
        "cache": {"hits": rows.hits, "misses": rows.misses},
        "frozen": frozen,
        "findings": [
            {"guard": f.guard, "level": f.level, "message": f.message, "evidence": f.evidence, "fix": f.fix}
            for f in run.found
        ],
        "details": judged.details,
        "aside": [{"id": a.id, "reason": a.reason} for a in task.aside],
        "beyond": {"share": float(seen.beyond.mean()) if len(seen.beyond) else 0.0, "texts": int(long.sum())},
    }
    result["verdict"] = verdict(result)
    return result


def command(source: str, plan: Plan, settings: dict[str, str], given: dict[str, object]) -> str:
    """The line that repeats this fit, with every flag that was given."""
    words = [
        "headstart",
        "fit",
        source,
        "--backbone",
        plan.backbone.name,
        "--method",
        name_of(plan.method),
        "--seed",
        str(plan.seed),
    ]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    for flag, value in given.items():
        if value is not None:
            words += [flag, _shown(value)]
    return " ".join(map(shlex.quote, words))


def _write(run: Run, seen: Embedded, rows: Rows, judged_on: np.ndarray, scores: np.ndarray, result: dict) -> None:
    """Everything of the run folder but the model: mistakes with thumbnails, predictions, plan, result and report."""
    task = seen.task
    y = task.objective.encode([task.examples[i].label for i in judged_on])
    result["mistakes"] = mistakes(task, judged_on, scores, y)
    if task.kind == "image":
        _thumbnails(run.folder / "thumbnails", rows, result["mistakes"])
    _predictions(run.folder / "predictions.csv", task, judged_on, scores)
    (run.folder / "plan.toml").write_text(_toml(result["plan"]), encoding="utf-8")
    seconds = {**run.seconds, "total": time.perf_counter() - run.began}
    result["seconds"] = {name: round(value, 4) for name, value in seconds.items()}
    (run.folder / "result.json").write_text(json.dumps(result, indent=1, default=_plain) + "\n", encoding="utf-8")
    report = write(run.folder)
    run.emit("done", {"verdict": result["verdict"], "report": str(report), "seconds": result["seconds"]})


def _plain(value: object) -> object:
    """numpy's numbers and arrays as JSON's."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def _thumbnails(folder: Path, rows: Rows, wrong: list[dict]) -> None:
    # Kept on the shelf since the pictures were decoded, so that a cached fit needs no picture library.
    previews = rows.previews([int(rows.index[entry["row"]]) for entry in wrong])
    for n, (entry, preview) in enumerate(zip(wrong, previews, strict=True)):
        if preview:
            folder.mkdir(exist_ok=True)
            (folder / f"{n:03}.jpg").write_bytes(preview)
            entry["thumbnail"] = f"thumbnails/{n:03}.jpg"


def _predictions(file: Path, task: Task, judged_on: np.ndarray, scores: np.ndarray) -> None:
    """One line an example that judged the model: id, label, what was predicted and how sure."""
    predicted = task.objective.decode(scores)
    sure = (
        task.objective.probabilities(scores).max(1)
        if task.objective.link != "identity"
        else np.full(len(scores), np.nan)
    )
    with open(file, "w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(["id", "label", "predicted", "confidence"])
        for i, answer, p in zip(judged_on, predicted, sure, strict=True):
            example = task.examples[i]
            table.writerow([example.id, _cell(example.label), _cell(answer), "" if np.isnan(p) else f"{p:.6f}"])


def _cell(label: object) -> str:
    return ";".join(map(str, label)) if isinstance(label, tuple | list) else str(label)


def _toml(facts: dict) -> str:
    """A flat table and its sub-tables; JSON's strings, numbers, booleans and lists are TOML's too."""
    flat = [f"{k} = {json.dumps(v)}" for k, v in facts.items() if not isinstance(v, dict)]
    nested = [(k, v) for k, v in facts.items() if isinstance(v, dict)]
    tables = [
        f"\n[{k}]\n" + "\n".join(f"{a} = {json.dumps(b)}" for a, b in v.items() if b is not None) for k, v in nested
    ]
    return "\n".join(flat + tables) + "\n"
