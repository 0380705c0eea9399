"""Several methods on the same split, each from several random numbers, as one table: the verb `compare`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headstart.backbones.cards import find_card
from headstart.backbones.catalogue import default_backbone
from headstart.core import digest
from headstart.core.errors import ArtifactError, CacheError, DiskError, HeadstartError, NameNotFound, SourceError
from headstart.core.files import make_folder, read_json, write_atomic
from headstart.core.folder_lock import LOCK, FolderLock
from headstart.core.messages import did_you_mean
from headstart.core.options import (
    BackboneOptions,
    CompareOptions,
    DataOptions,
    MethodOptions,
    OutputOptions,
    TrainingOptions,
    asked,
    flat_keywords,
)
from headstart.core.plugins import name_of, names
from headstart.core.result import PREDICTION_COLUMNS, RESULT, load_result
from headstart.core.run import unused_path
from headstart.core.schema import damage_in_words
from headstart.core.spreadsheet import read_csv
from headstart.core.task import Task
from headstart.core.version import __version__
from headstart.evaluation import comparison_table
from headstart.features.cache import store
from headstart.reporting import compare_page
from headstart.workflows import fit as workflow
from headstart.workflows.duplicate_groups import read_task
from headstart.workflows.run_files import shell_line, source_name, to_flags

KEY_OPTIONS = (
    "test",
    "label",
    "input",
    "group",
    "kind",
    "task",
    "shots",
    "group_twins",
)  # options of the data in a question
RUN_KEY_FILE = "asked.json"  # in each run's folder: what was asked, so that an equal question is not answered twice
ANSWER_FILES = (RESULT, "predictions.csv")  # of a run, by whose digest it is known again


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What a comparison gave: its folder, and compare.json as a dict."""

    folder: Path
    facts: dict


def compare_with(
    source: object,
    data: DataOptions,
    borrow: BackboneOptions,
    training: TrainingOptions,
    output: OutputOptions,
    compared: CompareOptions,
) -> Comparison:
    """Fits each method `seeds` times on one split and tests every pair of methods on the same test examples.

    Runs in the folder that answer the same question are not run again. A method that cannot be had here, or that a
    guard stopped, has its reason in the table; the others go on.
    Raises NameNotFound for an unknown method; what the first method raised where none could be had; and what reading
    the data raises.
    """
    methods, seeds = _check_methods(compared.methods), compared.seeds
    if seeds < 1:
        raise SourceError(f"{seeds} seeds: at least one run of each method is needed; three give an interval.")
    root, emit = output.root or store.default_root(), _once_per_comparison(output.echo or (lambda line: None))
    emit({"event": "start", "source": source_name(source)})
    task = read_task(source, data, borrow.backbone, root, None)
    folder = _folder(output.into, source)
    if borrow.backbone in ("own", "auto") and task.kind != "vector":
        borrow = replace(borrow, backbone=default_backbone(task.kind, allow_hub=borrow.backbone == "auto")[0])
    run_key = _run_key(task, root, data, borrow, training)

    def fit(into: Path, method: str, repeat: int) -> None:
        learn, run = MethodOptions(method=method, repeat=repeat), OutputOptions(into=into, root=root, echo=emit)
        workflow.fit_with(source, data, borrow, learn, training, run)

    with FolderLock(folder):
        objective = name_of(task.objective)
        rows, example_scores, errors = [], {}, []
        for method in methods:
            try:
                runs = {f"{method}-{n}": {**run_key, "method": method, "repeat": n} for n in range(seeds)}
                results = [_result(folder / run, key, fit, emit) for run, key in runs.items()]
            except (CacheError, DiskError):
                raise  # the disk refuses: no fault of the method
            except HeadstartError as error:
                rows.append(comparison_table.unavailable_row(method, str(error)))
                errors.append(error)
                emit({"event": "refused", "method": method, "reason": str(error)})
                continue
            with damage_in_words(folder / next(iter(runs)), f"Delete the runs of {method} there, and compare again."):
                row = comparison_table.method_row(method, results)
            rows.append({**row, "runs": list(runs), "head": _training_curves(results[0])})
            example_scores[method] = comparison_table.mean_example_scores([folder / run for run in runs], objective)
        if not example_scores:
            raise errors[0]
        pairs = comparison_table.pairwise_tests(example_scores, objective, data.seed)
        options = {"methods": ",".join(methods), "seeds": seeds, "backbone": borrow.backbone, "seed": data.seed}
        options |= asked(data, borrow, training, output, without=("backbone", "seed"))
        facts = {
            "schema": 2,  # 1 had the settings of methods under their former names
            "version": __version__,
            "source": source_name(source),
            "command": shell_line(["headstart", "compare", source_name(source), *to_flags(options)]),
            "backbone": borrow.backbone,
            "seeds": seeds,
            "methods": rows,
            "base": (comparison_table.baseline_row(rows) or {}).get("method"),
            "pairs": pairs,
            "verdict": comparison_table.verdict(rows, pairs),
            "folder": str(folder),
        }
        write_atomic(folder / "compare.json", json.dumps(facts, indent=1, default=str) + "\n")
        compare_page.write(folder, facts)
        return Comparison(folder, facts)


def _check_methods(methods: Sequence[str] | str) -> list[str]:
    """The methods, each once. Raises NameNotFound naming the nearest spelling of one that there is not."""
    if isinstance(methods, str):
        methods = [name.strip() for name in methods.split(",")]
    known = ["probe", *names("methods")]
    for method in methods:
        if method not in known:
            hint = did_you_mean(method, known)
            raise NameNotFound(f"No method is called {method!r}.{hint} There are: {', '.join(known)}.")
    if not methods:
        raise SourceError(f"No method was named. There are: {', '.join(known)}.")
    return list(dict.fromkeys(methods))


def _once_per_comparison(emit: Callable[[dict], None]) -> Callable[[dict], None]:
    """Hands events on, but what is true of the data only the first time: every run reads the same."""
    passed_on = set()

    def pass_on(line: dict) -> None:
        key = (line["event"], line.get("message"))
        if line["event"] not in ("start", "task", "finding") or key not in passed_on:
            passed_on.add(key)
            emit(line)

    return pass_on


def _run_key(
    task: Task, root: Path, data: DataOptions, borrow: BackboneOptions, training: TrainingOptions
) -> dict[str, Any]:
    """What a run's answer depends on beside its method: the data, who may see which of them, the weights, us."""
    examples = [[e.id, e.digest, str(e.label), e.group] for e in task.examples]
    parts = {name: rows.tolist() for name, rows in task.parts.items()}
    given = {name: source_name(getattr(data, name)) for name in KEY_OPTIONS}
    engine = {"engine": borrow.engine} if borrow.engine else {}  # runs of former versions did not say it
    return {
        "data": digest.of_value(examples),
        "split": digest.of_value([parts, None if task.folds is None else task.folds.tolist()]),
        "weights": "" if task.kind == "vector" else find_card(borrow.backbone, root).weights,
        "version": __version__,
        "backbone": borrow.backbone,
        "seed": data.seed,
        "budget": training.budget,
        "given": given,
        **engine,
    }


def _folder(into: str | Path | None, source: object) -> Path:
    if into is not None:
        folder = Path(into)
        if folder.exists() and (not folder.is_dir() or (_holds_files(folder) and not _is_comparison(folder))):
            raise SourceError(f"{folder} exists and holds no comparison. Name another folder with --into.")
    else:
        name = Path(str(source).removeprefix("hub:")).resolve().stem if isinstance(source, str | Path) else "arrays"
        kept = Path("runs") / f"{name or 'data'}-compare"
        folder = (
            kept
            if not kept.exists() or _is_comparison(kept)
            else unused_path(Path("runs"), f"{name or 'data'}-compare")
        )
    make_folder(folder)
    return folder


def _holds_files(folder: Path) -> bool:
    return any(path.name != LOCK for path in folder.iterdir())


def _is_comparison(folder: Path) -> bool:
    """Whether a folder holds runs of a comparison, finished or not."""
    return (folder / "compare.json").is_file() or any((p / "journal.jsonl").is_file() for p in folder.iterdir())


def _result(folder: Path, key: dict, fit: Callable, emit: Callable[[dict], None]) -> dict:
    """result.json of a run: of the one that lies there, where it answered the same question, else of a new one."""
    reused = _answered(folder, key)
    if reused is not None:
        emit({"event": "reused", "run": folder.name})
        return {**reused, "reused": True}
    emit({"event": "run", "run": folder.name})
    fit(folder, key["method"], key["repeat"])
    answer = {"key": key, "answer": digest.of_files(folder / name for name in ANSWER_FILES)}
    write_atomic(folder / RUN_KEY_FILE, json.dumps(answer))
    return load_result(folder / RESULT)


def _answered(folder: Path, key: dict) -> dict | None:
    """result.json of the run that lies there; None where there is none, it asked otherwise, or it is damaged."""
    asked = read_json(folder / RUN_KEY_FILE)
    if asked is None or asked.get("key", asked) != key:  # version 0.1 wrote the key alone
        return None
    try:
        if digest.of_files(folder / name for name in ANSWER_FILES) != asked.get("answer") and "answer" in asked:
            return None
        read_csv(folder / "predictions.csv", PREDICTION_COLUMNS, "")
        return load_result(folder / RESULT)
    except (OSError, ArtifactError):
        return None


def _training_curves(result: dict) -> dict:
    return {k: result["head"][k] for k in ("checks", "losses", "steps", "kept") if k in result["head"]}


compare = flat_keywords(compare_with, "compare")
