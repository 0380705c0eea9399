"""The verb `check`: what is wrong with the data, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart.core.errors import SourceError
from headstart.core.plugins import name_of
from headstart.core.run import Run
from headstart.core.version import __version__
from headstart.evaluation.cleaning import cleaned
from headstart.evaluation.guarding import watched
from headstart.features.cache import store
from headstart.features.extract import embed
from headstart.reporting import check_page
from headstart.workflows import steps
from headstart.workflows.duplicate_groups import referenced
from headstart.workflows.planner import choose
from headstart.workflows.run_files import flags, illustrate, line, shown


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
    group_twins: bool = False,
    against: object = None,
    fix: str | Path | None = None,
    root: Path | None = None,
    echo: Callable[[dict], None] | None = None,
) -> Checked:
    """Every guard that needs no training looks at the data, in one pass over the features of the frozen backbone.

    into: the folder; default runs/<name of the data>-check
    against: a reference, such as what the backbone was trained on, in a folder or table; labels are not read
    fix: a folder that does not exist yet, for a cleaned copy of the list of examples; the data themselves stay
    all else: as `fit` takes it
    A finding of level "stop" is among the findings and does not end the check.
    Raises what reading and embedding raise.
    """
    if fix is not None and Path(fix).exists():
        raise SourceError(f"{fix} exists. Name a new folder: --fix FOLDER.")
    root = root or store.default_root()
    run = Run.start(Path(into) if into else steps.folder_for(source, "-check"), echo, halting=False)
    given = {"test": test, "label": label, "input": input, "kind": kind, "task": task, "group": group}
    given["group_twins"] = group_twins
    job = steps.begun(run, source, given, seed, backbone, root)
    with run.stage("extract"):
        plan = watched(run, choose(job, backbone, "probe", {}, seed, root))
        run.emit("plan", plan.facts())
        rows = embed(job.examples, plan.backbone, plan.cut, root, run)
        seen = watched(run, steps.seen_of(job, plan, rows))
    with run.stage("look"):
        survey = watched(run, steps.surveyed(seen, rows, root, run))
        if against is not None:
            watched(run, referenced(survey, against, root, run))
    repeated = {"backbone": plan.backbone.name, "seed": seed, **given, "against": against}
    facts: dict[str, Any] = {
        "schema": 1,
        "version": __version__,
        "source": shown(source),
        "backbone": plan.backbone.name,
        "task": {
            "kind": job.kind,
            "objective": name_of(job.objective),
            "n": {name: len(rows) for name, rows in job.parts.items()},
        },
        "findings": [asdict(f) for f in run.found],
        "aside": [asdict(a) for a in seen.task.aside],
        "seconds": run.seconds,
        "guards": {"seconds": round(run.looked, 4)},
        "folder": str(run.folder),
        "command": line(["headstart", "check", shown(source), *flags(repeated)]),
    }
    if fix is not None:
        facts["cleaned"] = cleaned(survey, Path(fix))
    illustrate(run.folder, facts["findings"], survey)
    (run.folder / "check.json").write_text(json.dumps(facts, indent=1, default=str) + "\n", encoding="utf-8")
    check_page.write(run.folder, facts)
    return Checked(run.folder, facts)
