"""Several methods on the same split, each from several random numbers, as one table: the verb `compare`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from headstart.backbones.catalogue import default, find_card
from headstart.core import digest
from headstart.core.errors import HeadstartError, NameNotFound, SourceError
from headstart.core.plugins import name_of, names
from headstart.core.run import fresh
from headstart.core.task import Task
from headstart.core.version import __version__
from headstart.evaluation import comparison_table
from headstart.features.cache import store
from headstart.reporting import compare_page
from headstart.workflows import fit as workflow
from headstart.workflows.duplicate_groups import task_of
from headstart.workflows.run_files import flags, line, shown

METHODS = ("probe", "finetune", "lora", "lpft", "full", "scratch")
ASKED = "asked.json"  # in each run's folder: what was asked, so that an equal question is not answered twice


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What a comparison gave: its folder, and compare.json as a dict."""

    folder: Path
    facts: dict


def compare(
    source: object,
    *,
    methods: Sequence[str] = METHODS,
    into: str | Path | None = None,
    backbone: str = "own",
    seeds: int = 3,
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
    root: Path | None = None,
    echo: Callable[[dict], None] | None = None,
) -> Comparison:
    """Fits each method `seeds` times on one split and tests every pair of methods on the same test examples.

    methods: as `fit` takes them.  seeds: runs of each, from other random numbers; three give an interval of the mean
    into: the folder; default runs/<name of the data>-compare. Runs that answer the same question are not run again
    all else: as `fit` takes it
    A method that cannot be had here, or that a guard stopped, has its reason in the table; the others go on.
    Raises NameNotFound for an unknown method; what the first method raised where none could be had; and what reading
    the data raises.
    """
    chosen = _known(methods)
    if seeds < 1:
        raise SourceError(f"{seeds} seeds: at least one run of each method is needed; three give an interval.")
    root, say = root or store.default_root(), _once(echo or (lambda line: None))
    given = {
        "test": test, "label": label, "input": input, "group": group, "kind": kind, "task": task, "shots": shots,
        "group_twins": group_twins,
    }  # fmt: skip
    say({"event": "start", "source": shown(source)})
    job = task_of(source, given, seed, backbone, root, None)
    folder = _folder(into, source)
    if backbone in ("own", "auto") and job.kind != "vector":
        backbone = default(job.kind, hub_too=backbone == "auto")[0]
    asked = {"backbone": backbone, "seed": seed, "budget": budget}
    question = {**_question(job, root, backbone), **asked, "given": {k: shown(v) for k, v in given.items()}}
    fit = partial(workflow.fit, source, **given, **asked, root=root, echo=say)  # type: ignore[arg-type]
    objective = name_of(job.objective)
    rows, worth, refusals = [], {}, []
    for method in chosen:
        try:
            runs = {f"{method}-{n}": {**question, "method": method, "repeat": n} for n in range(seeds)}
            results = [_result(folder / run, about, fit, say) for run, about in runs.items()]
        except HeadstartError as reason:
            rows.append(comparison_table.refused(method, str(reason)))
            refusals.append(reason)
            say({"event": "refused", "method": method, "reason": str(reason)})
            continue
        rows.append({**comparison_table.row(method, results), "runs": list(runs), "head": _curves(results[0])})
        worth[method] = comparison_table.merits([folder / run for run in runs], objective)
    if not worth:
        raise refusals[0]
    pairs = comparison_table.pairs(worth, objective, seed)
    repeated = {"methods": ",".join(chosen), "seeds": seeds, **asked, **given, "into": into}
    facts = {
        "schema": 1,
        "version": __version__,
        "source": shown(source),
        "command": line(["headstart", "compare", shown(source), *flags(repeated)]),
        "backbone": backbone,
        "seeds": seeds,
        "methods": rows,
        "base": (comparison_table.base_of(rows) or {}).get("method"),
        "pairs": pairs,
        "verdict": comparison_table.verdict(rows, pairs),
        "folder": str(folder),
    }
    (folder / "compare.json").write_text(json.dumps(facts, indent=1, default=str) + "\n", encoding="utf-8")
    compare_page.write(folder, facts)
    return Comparison(folder, facts)


def _known(methods: Sequence[str]) -> list[str]:
    """The methods, each once. Raises NameNotFound naming the nearest spelling of one that there is not."""
    there = ["probe", *names("methods")]
    for method in methods:
        if method not in there:
            near = get_close_matches(method, there, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise NameNotFound(f"No method is called {method!r}.{hint} There are: {', '.join(there)}.")
    if not methods:
        raise SourceError(f"No method was named. There are: {', '.join(there)}.")
    return list(dict.fromkeys(methods))


def _once(say: Callable[[dict], None]) -> Callable[[dict], None]:
    """Hands events on, but what is true of the data only the first time: every run reads the same."""
    told = set()

    def pass_on(line: dict) -> None:
        about = (line["event"], line.get("message"))
        if line["event"] not in ("start", "task", "finding") or about not in told:
            told.add(about)
            say(line)

    return pass_on


def _question(job: Task, root: Path, backbone: str) -> dict:
    """What a run's answer depends on beside its settings: the data, who may see which of them, the weights, us."""
    examples = [[e.id, e.digest, str(e.label), e.group] for e in job.examples]
    parts = {name: rows.tolist() for name, rows in job.parts.items()}
    return {
        "data": digest.of_value(examples),
        "split": digest.of_value([parts, None if job.folds is None else job.folds.tolist()]),
        "weights": "" if job.kind == "vector" else find_card(backbone, root).weights,
        "version": __version__,
    }


def _folder(into: str | Path | None, source: object) -> Path:
    if into is not None:
        folder = Path(into)
        if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not _ours(folder))):
            raise SourceError(f"{folder} exists and holds no comparison. Name another folder with --into.")
    else:
        name = Path(str(source).removeprefix("hub:")).resolve().stem if isinstance(source, str | Path) else "arrays"
        kept = Path("runs") / f"{name or 'data'}-compare"
        folder = kept if not kept.exists() or _ours(kept) else fresh(Path("runs"), f"{name or 'data'}-compare")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(f"Cannot write into {folder}: {error.strerror}. Name another folder with --into.") from error
    return folder


def _ours(folder: Path) -> bool:
    """Whether a folder holds runs of a comparison, finished or not."""
    return (folder / "compare.json").is_file() or any((p / "journal.jsonl").is_file() for p in folder.iterdir())


def _result(folder: Path, about: dict, fit: Callable, say: Callable[[dict], None]) -> dict:
    """result.json of a run: of the one that lies there, where it answered the same question, else of a new one."""
    asked = folder / ASKED
    try:
        if json.loads(asked.read_text(encoding="utf-8")) == about and (folder / "predictions.csv").is_file():
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            say({"event": "reused", "run": folder.name})
            return {**result, "reused": True}
    except (OSError, ValueError):
        pass  # no run, or one that did not end: it is made now
    say({"event": "run", "run": folder.name})
    fit(into=folder, method=about["method"], repeat=about["repeat"])
    asked.write_text(json.dumps(about), encoding="utf-8")
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def _curves(result: dict) -> dict:
    return {k: result["head"][k] for k in ("checks", "losses", "steps", "kept") if k in result["head"]}
