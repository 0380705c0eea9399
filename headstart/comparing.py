"""Several methods on the same split, each from several random numbers, as one table: the verb `compare`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from headstart import __version__, cache, contest, digest, flow
from headstart.errors import ArtifactError, HeadstartError, NameNotFound, SourceError, Stopped
from headstart.find import names
from headstart.planner import default, find_card
from headstart.read import read
from headstart.record import shown
from headstart.reporting import comparison
from headstart.run import fresh

METHODS = ("probe", "knn", "finetune", "lpft", "lora", "full", "scratch")
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
    budget: str = "normal",
    root: Path | None = None,
    echo: Callable[[dict], None] | None = None,
    **given: Any,
) -> Comparison:
    """Fits each method `seeds` times on one split and tests every pair of methods on the same test examples.

    source, backbone, seed, budget and `given` (test, label, input, kind, task, group): as `fit` takes them
    into: the folder; default runs/<name of the data>-compare. Runs that it holds already are not run again
    A method that cannot be had here has its reason in the table instead; the others go on.
    Raises NameNotFound for an unknown method, SourceError, and what reading the data raises.
    """
    chosen = list(dict.fromkeys(methods))
    for method in chosen:
        if method != "probe" and method not in names("methods"):
            near = get_close_matches(method, ["probe", *names("methods")], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise NameNotFound(
                f"No method is called {method!r}.{hint} There are: probe, {', '.join(names('methods'))}."
            )
    if seeds < 1:
        raise SourceError("seeds = 0: at least one run of each method is needed; three give an interval.")
    root = root or cache.default_root()
    folder = _folder(into, source)
    say = echo or (lambda line: None)
    say({"event": "start", "source": shown(source)})
    task = read(source, seed=seed, **given)
    name = backbone if backbone not in ("own", "auto") else default(task.kind, hub_too=backbone == "auto")[0]
    question = {
        "data": digest.of_value([e.digest for e in task.examples]),
        "labels": digest.of_value([str(e.label) for e in task.examples]),
        "weights": find_card(name, root).weights if task.kind != "vector" else "",
        "given": {k: shown(v) for k, v in given.items() if v is not None},
        "asked": {"backbone": name, "seed": seed, "budget": budget, "version": __version__},
    }
    rows, worth, runs = [], {}, {}
    for method in chosen:
        try:
            results = []
            for repeat in range(seeds):
                into_run = folder / f"{method}-{repeat}"
                about = {**question, "method": method, "repeat": repeat}
                results.append(_result(into_run, about, source, name, method, seed, budget, repeat, root, say, given))
        except Stopped:
            raise
        except HeadstartError as reason:
            rows.append(contest.refused(method, str(reason)))
            say({"event": "refused", "method": method, "reason": str(reason)})
            continue
        runs[method] = [f"{method}-{repeat}" for repeat in range(seeds)]
        rows.append({**contest.row(method, results), "runs": runs[method], "head": _curves(results[0])})
        kind = results[0]["task"]["objective"]
        worth[method] = contest.merits([folder / run for run in runs[method]], kind)
    pairs = contest.pairs(worth, seed)
    facts = {
        "schema": 1,
        "version": __version__,
        "source": shown(source),
        "command": _command(source, chosen, backbone, seeds, seed, budget, given),
        "backbone": name,
        "seeds": seeds,
        "methods": rows,
        "pairs": pairs,
        "verdict": contest.verdict(rows, pairs),
        "folder": str(folder),
    }
    (folder / "compare.json").write_text(json.dumps(facts, indent=1, default=str) + "\n", encoding="utf-8")
    comparison.write(folder, facts)
    return Comparison(folder, facts)


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


def _result(folder: Path, about: dict, source, name, method, seed, budget, repeat, root, say, given) -> dict:
    """result.json of a run: of the one that lies there, where the question is the same, else of a new one."""
    asked = folder / ASKED
    try:
        if json.loads(asked.read_text(encoding="utf-8")) == about:
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            say({"event": "reused", "run": folder.name})
            return result
    except (OSError, ValueError):
        pass  # no run, or one that did not end: it is made now
    say({"event": "run", "run": folder.name})
    outcome = flow.fit(
        source, into=folder, backbone=name, method=method, seed=seed, budget=budget, repeat=repeat, root=root,
        echo=say, **given,
    )  # fmt: skip
    asked.write_text(json.dumps(about), encoding="utf-8")
    result = json.loads((outcome.folder / "result.json").read_text(encoding="utf-8"))
    if result.get("schema") != 1:
        raise ArtifactError(f"{folder}/result.json is of another schema.")
    return result


def _curves(result: dict) -> dict:
    head = result.get("head") or {}
    return {k: head[k] for k in ("checks", "losses", "race", "curve", "kept") if k in head}


def _command(source, methods, backbone, seeds, seed, budget, given) -> str:
    import shlex

    words = ["headstart", "compare", shown(source), "--methods", ",".join(methods), "--backbone", backbone]
    words += ["--seeds", str(seeds), "--seed", str(seed), "--budget", budget]
    for key, value in given.items():
        words += [f"--{key}", shown(value)] if value is not None else []
    return " ".join(map(shlex.quote, words))
