"""What a run leaves on disk beside the model: result.json, plan, predictions, thumbnails and the page."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from headstart.core.files import make_folder, write_atomic, write_file
from headstart.core.observations import DataSurvey, Evaluation, Extraction
from headstart.core.plan import Fitted, Model, Plan
from headstart.core.plugins import name_of
from headstart.core.result import PREDICTION_COLUMNS, RESULT_SCHEMA
from headstart.core.run import Run
from headstart.core.settings import setting_text
from headstart.core.spreadsheet import csv_text
from headstart.core.task import Task
from headstart.core.version import __version__
from headstart.data import contents
from headstart.evaluation.measure import most_confident_mistakes
from headstart.evaluation.verdict import verdict
from headstart.features.extract import Rows
from headstart.reporting import fit_page


def source_name(source: object) -> str:
    """A source, or a number, as the user typed it."""
    return str(source) if isinstance(source, str | Path | int) else "arrays in memory"


def build_result(
    run: Run, extraction: Extraction, rows: Rows, fitted: Fitted, evaluation: Evaluation, model: Model, source: str
) -> dict:
    """result.json."""
    task, plan, receipt = extraction.task, extraction.plan, extraction.receipt
    state = fitted.state()
    learned = fitted.notes.get("learned")
    trained = int(learned if learned is not None else sum(a.size for a in state.values() if a.dtype.kind == "f"))
    stored = model.facts["delta"]
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
        for m in evaluation.metrics
    }
    frozen = {"tensors": 0, "moved": 0, "digest_before": "", "digest_after": "", "when": "no network was opened"}
    if receipt is not None:
        when = "this run" if rows.fresh else "when the features were computed"
        frozen = {"tensors": receipt.tensors, "moved": len(receipt.moved), "when": when}
        frozen |= {"digest_before": receipt.digest_before, "digest_after": receipt.digest_after}
        frozen |= {"agreement": receipt.agreement}
    beyond_window = extraction.beyond > 0
    result = {
        "schema": RESULT_SCHEMA,
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
        "baselines": evaluation.baselines,
        "head": fitted.notes,
        "params": {"trained": trained, "total": plan.backbone.parameters + int(fitted.notes.get("added", trained))},
        "bytes": {"delta": stored["bytes"], "base": plan.backbone.size, "full": stored["full"]},
        "cache": {"hits": rows.hits, "misses": rows.misses},
        "frozen": frozen,
        "findings": [
            {"guard": f.guard, "level": f.level, "message": f.message, "evidence": f.evidence, "fix": f.fix}
            for f in run.findings
        ],
        "guards": {"seconds": round(run.guard_seconds, 4)},
        "details": evaluation.details,
        "aside": [{"id": a.id, "reason": a.reason} for a in task.aside],
        "beyond": {
            "share": float(extraction.beyond.mean()) if len(extraction.beyond) else 0.0,
            "texts": int(beyond_window.sum()),
        },
    }
    result["verdict"] = verdict(result)
    return result


def rerun_command(source: str, plan: Plan, settings: Mapping[str, object], options: Mapping[str, object]) -> str:
    """The line that repeats this fit, with every flag and setting that is not at its default."""
    words = ["headstart", "fit", source, "--backbone", plan.backbone.name, "--method", name_of(plan.method)]
    words += ["--seed", str(plan.seed)]
    default = asdict(type(plan.method)())
    for key, value in settings.items():
        if key not in default or setting_text(value) != setting_text(default[key]):
            words += ["--set", f"{key}={setting_text(value)}"]
    return shell_line([*words, *to_flags(options)])


def to_flags(options: Mapping[str, object]) -> list[str]:
    """Options as words of a command line; None and False say nothing."""
    words: list[str] = []
    for name, value in options.items():
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [source_name(value)])]
    return words


def shell_line(words: list[str]) -> str:
    """Words as one types them."""
    return " ".join(map(shlex.quote, words))


def write_run(
    run: Run, survey: DataSurvey, rows: Rows, test_index: np.ndarray, scores: np.ndarray, result: dict
) -> None:
    """Everything of the run folder but the model: mistakes with thumbnails, predictions, result and report."""
    task = survey.task
    y = task.objective.encode([task.examples[i].label for i in test_index])
    attach_previews(run.folder, result["findings"], survey)
    result["mistakes"] = most_confident_mistakes(task, test_index, scores, y)
    if task.kind == "image":
        _thumbnails(run.folder / "thumbnails", rows, result["mistakes"])
    _predictions(run.folder / "predictions.csv", task, test_index, scores)
    seconds = {**run.seconds, "total": time.perf_counter() - run.started}
    result["seconds"] = {name: round(value, 4) for name, value in seconds.items()}
    write_atomic(run.folder / "result.json", json.dumps(result, indent=1, default=_plain) + "\n")
    report = fit_page.write(run.folder)
    run.emit("done", {"verdict": result["verdict"], "report": str(report), "seconds": result["seconds"]})


def _plain(value: object) -> object:
    """numpy's numbers and arrays as JSON's."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def _thumbnails(folder: Path, rows: Rows, wrong: list[dict]) -> None:
    # Kept on the shelf since the pictures were decoded, so that a cached fit needs no picture library.
    previews = rows.thumbnails([entry["row"] for entry in wrong])
    for n, (entry, preview) in enumerate(zip(wrong, previews, strict=True)):
        if preview:
            make_folder(folder)
            write_file(folder / f"{n:03}.jpg", preview)
            entry["thumbnail"] = f"thumbnails/{n:03}.jpg"


def attach_previews(folder: Path, findings: Sequence[dict], survey: DataSurvey) -> None:
    """Adds to the examples in a finding's evidence what a page shows of them: a thumbnail's path, or the text."""
    positions = {e.id: i for i, e in enumerate(survey.task.examples)}
    for finding in findings:
        for n, entry in enumerate((finding["evidence"] or {}).get("examples", [])):
            for key, picture, text_key in (("id", "thumbnail", "said"), ("with", "with_thumbnail", "with_said")):
                position = positions.get(entry.get(key))
                if position is None:
                    continue
                if survey.task.kind == "text":
                    entry[text_key] = str(contents.read_content(survey.task.examples[position]))[:2000]
                elif preview := survey.thumbnails([position])[0]:
                    path = folder / "thumbnails" / f"{finding['guard']}-{n:02}-{key}.jpg"
                    make_folder(path.parent)
                    write_file(path, preview)
                    entry[picture] = f"thumbnails/{path.name}"


def _predictions(file: Path, task: Task, test_index: np.ndarray, scores: np.ndarray) -> None:
    """One line an example that judged the model: id, label, what was predicted and how sure."""
    predicted = task.objective.decode(scores)
    confidence = (
        task.objective.probabilities(scores).max(1)
        if task.objective.link != "identity"
        else np.full(len(scores), np.nan)
    )
    rows: list[tuple] = [PREDICTION_COLUMNS]
    for i, answer, p in zip(test_index, predicted, confidence, strict=True):
        example = task.examples[i]
        rows.append((example.id, example.label, answer, "" if np.isnan(p) else f"{p:.6f}"))
    write_atomic(file, csv_text(rows))
