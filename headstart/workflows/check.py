"""The verb `check`: what is wrong with the data, before anything is trained."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart.core.errors import SourceError
from headstart.core.files import write_atomic
from headstart.core.options import (
    BackboneOptions,
    CheckOptions,
    DataOptions,
    MethodOptions,
    OutputOptions,
    TrainingOptions,
    asked,
    flat_keywords,
)
from headstart.core.plugins import name_of
from headstart.core.version import __version__
from headstart.evaluation.cleaning import write_cleaned
from headstart.evaluation.guarding import run_guards
from headstart.features.cache import store
from headstart.features.extract import embed
from headstart.reporting import check_page
from headstart.workflows.duplicate_groups import find_in_reference
from headstart.workflows.planner import choose
from headstart.workflows.run_files import attach_previews, shell_line, source_name, to_flags
from headstart.workflows.steps import begin, embedded_task, start_run, survey_frozen


@dataclass(frozen=True, slots=True, eq=False)
class CheckReport:
    """What a check gave: its folder, and check.json as a dict."""

    folder: Path
    facts: dict


def check_with(
    source: object, data: DataOptions, borrow: BackboneOptions, output: OutputOptions, looking: CheckOptions
) -> CheckReport:
    """Every guard that needs no training looks at the data, in one pass over the features of the frozen backbone.

    A finding of level "stop" is among the findings and does not end the check.
    Raises what reading and embedding raise.
    """
    fix, against = looking.fix, looking.against
    if fix is not None and Path(fix).exists():
        raise SourceError(f"{fix} exists. Name a new folder: --fix FOLDER.")
    root = output.root or store.default_root()
    with start_run(source, output, "-check", raise_on_stop=False) as run:
        task = begin(run, source, data, borrow.backbone)
        with run.stage("extract"):
            plan = run_guards(run, choose(task, borrow, MethodOptions(), TrainingOptions(), data.seed, root))
            run.emit("plan", plan.facts())
            rows = embed(task.examples, plan.backbone, plan.cut, root, run)
            extraction = run_guards(run, embedded_task(task, plan, rows))
        with run.stage("look"):
            survey = run_guards(run, survey_frozen(extraction, rows, run))
            if against is not None:
                run_guards(run, find_in_reference(survey, against, root, run))
        options = {
            "backbone": plan.backbone.name,
            "seed": data.seed,
            **asked(data, borrow, without=("seed", "backbone")),
        }
        options["against"] = against
        facts: dict[str, Any] = {
            "schema": 1,
            "version": __version__,
            "source": source_name(source),
            "backbone": plan.backbone.name,
            "task": {
                "kind": task.kind,
                "objective": name_of(task.objective),
                "n": {name: len(rows) for name, rows in task.parts.items()},
            },
            "findings": [asdict(f) for f in run.findings],
            "aside": [asdict(a) for a in extraction.task.aside],
            "seconds": run.seconds,
            "guards": {"seconds": round(run.guard_seconds, 4)},
            "folder": str(run.folder),
            "command": shell_line(["headstart", "check", source_name(source), *to_flags(options)]),
        }
        if fix is not None:
            facts["cleaned"] = write_cleaned(survey, Path(fix))
        attach_previews(run.folder, facts["findings"], survey)
        write_atomic(run.folder / "check.json", json.dumps(facts, indent=1, default=str) + "\n")
        check_page.write(run.folder, facts)
        return CheckReport(run.folder, facts)


check = flat_keywords(check_with, "check")
