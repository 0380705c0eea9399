"""The verb `check`: what is wrong with the data, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from headstart import __version__, cache, flow
from headstart.extract import embed
from headstart.find import name_of
from headstart.planner import choose
from headstart.read import read
from headstart.record import shown
from headstart.run import Run


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """What a check gave: its folder, and check.json as a dict."""

    folder: Path
    facts: dict


def check(
    source: object,
    *,
    into: str | Path | None = None,
    backbone: str = "own",
    seed: int = 0,
    test: object = None,
    label: str | None = None,
    input: str | None = None,
    kind: str | None = None,
    task: str | None = None,
    group: str | None = None,
    root: Path | None = None,
    echo: Callable[[dict], None] | None = None,
) -> Checked:
    """Every guard that needs no training looks at the data, in one pass over the features of the frozen backbone.

    into: the folder; default runs/<name of the data>-check.  all else: as `fit` takes it
    A finding of level "stop" is among the findings and does not end the check.
    Raises what reading and embedding raise.
    """
    root = root or cache.default_root()
    run = Run.start(Path(into) if into else flow.folder_for(source, "-check"), echo, halting=False)
    run.emit("start", {"source": shown(source), "version": __version__})
    given = {"test": test, "label": label, "input": input, "kind": kind, "task": task, "group": group}
    with run.stage("read"):
        job = run.watched(read(source, seed=seed, **given))  # type: ignore[arg-type]
        sizes = {name: len(rows) for name, rows in job.parts.items()}
        run.emit("task", {"kind": job.kind, "n": sizes, "notes": list(job.notes), "objective": name_of(job.objective)})
    with run.stage("extract"):
        plan = run.watched(choose(job, backbone, "probe", {}, seed, root))
        run.emit("plan", plan.facts())
        rows = embed(job.examples, plan.backbone, plan.cut, root, run)
        seen = run.watched(flow.seen_of(job, plan, rows))
    with run.stage("look"):
        run.watched(flow.surveyed(seen, rows, root, run))
    facts = {
        "schema": 1,
        "version": __version__,
        "source": shown(source),
        "backbone": plan.backbone.name,
        "task": {"kind": job.kind, "objective": name_of(job.objective), "n": sizes},
        "findings": [asdict(f) for f in run.found],
        "seconds": run.seconds,
        "folder": str(run.folder),
    }
    (run.folder / "check.json").write_text(json.dumps(facts, indent=1, default=str) + "\n", encoding="utf-8")
    return Checked(run.folder, facts)
