"""The verb `plan`: how much data, how similar to what the backbone has seen, and so which method, at what price."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart.core.plan import Plan
from headstart.core.plugins import name_of
from headstart.core.run import Run
from headstart.core.statistics import wilson
from headstart.core.task import Task
from headstart.core.version import __version__
from headstart.evaluation.guarding import watched
from headstart.evaluation.transferability import explanations, measurements, random_init_baseline, recommendation
from headstart.evaluation.transferability.domain_similarity import Compared, Likeness
from headstart.evaluation.transferability.random_init_baseline import Opened
from headstart.evaluation.transferability.recommendation import Advice, Amount, Case, Price
from headstart.features.cache import store
from headstart.features.extract import embed
from headstart.reporting import plan_page
from headstart.workflows import steps
from headstart.workflows.planner import choose
from headstart.workflows.run_files import flags, line, shown

Said = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Advised:
    """What a plan gave: its folder, and plan.json as a dict."""

    folder: Path
    facts: dict


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What was measured. rate: examples a second while embedding, None where all were in the cache"""

    here: measurements.Ground
    opened: Opened | None
    likeness: Likeness | None
    transfer: dict
    probe: measurements.Probed
    amount: Amount
    rate: float | None


def plan(
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
    shots: int | None = None,
    budget: str = "normal",
    reference: object = None,
    root: Path | None = None,
    echo: Callable[[dict], None] | None = None,
) -> Advised:
    """Measures how similar and how many the examples are, and what borrowing gains; recommends a method with prices.

    into: the folder; default runs/<name of the data>-plan.  all else: as `fit` takes it
    reference: examples like those the backbone was trained on, in a folder or table; their distance is measured too
    At most ground.LEARN examples are learned from and ground.JUDGE judge, so that large data take seconds too.
    Raises what reading and embedding raise.
    """
    root = root or store.default_root()
    run = Run.start(Path(into) if into else steps.folder_for(source, "-plan"), echo, halting=False)
    given: Said = {"test": test, "label": label, "input": input, "kind": kind, "task": task, "group": group}
    given["shots"] = shots
    job = steps.begun(run, source, given, seed, backbone, root)
    with run.stage("extract"):
        plain = watched(run, choose(job, backbone, "probe", {}, seed, root))
        run.emit("plan", plain.facts())
        here, rate = _grounded(job, plain, root, run)
    found = _measured(job, here, rate, run)
    case = _case(job, found)
    watched(run, _compared(case, found))
    advice = recommendation.advise(case)
    settings = recommendation.settings_for(advice, plain.backbone)
    advised = choose(job, advice.backbone or plain.backbone.name, advice.method, settings, seed, root, budget)
    flags = {**given, "budget": budget if budget != "normal" else None}
    typed = {"method": advice.method, **flags}
    facts = {
        **_facts(source, job, plain, case, found, run),
        "reference": measurements.far(here, reference),
        "method": advice.method,
        "plan": advised.facts(),
        "price": _price(job, advised, advice, found).facts(),
        "reasons": [*explanations.reasons(case, found.likeness, found.transfer, found.probe), *advice.reasons],
        "command": _line("fit", source, advised.backbone.name, seed, settings, typed),
        "again": _line("plan", source, plain.backbone.name, seed, {}, {**flags, "reference": reference}),
        "folder": str(run.folder),
    }
    facts["verdict"] = explanations.verdict(facts)
    facts["seconds"] = {**run.seconds, "total": time.perf_counter() - run.began}
    (run.folder / "plan.json").write_text(json.dumps(facts, indent=1, default=str) + "\n", encoding="utf-8")
    plan_page.write(run.folder, facts)
    return Advised(run.folder, facts)


def _grounded(job: Task, plain: Plan, root: Path, run: Run) -> tuple[measurements.Ground, float | None]:
    """Rows of a bounded share of the data, and how many a second were embedded."""
    few = measurements.bounded(job, plain.seed)
    rows = embed(few.examples, plain.backbone, plain.cut, root, run)
    seen = watched(run, steps.seen_of(few, plain, rows))
    rate = run.last("progress", "rate") if rows.misses else None
    here = measurements.ground(seen.task, plain.backbone, rows.x, plain.seed, root, run)
    return here, float(rate) if isinstance(rate, int | float) and rate else None


def _measured(job: Task, here: measurements.Ground, rate: float | None, run: Run) -> _Found:
    with run.stage("open"):
        opened = measurements.opened(here)
    with run.stage("answer"):
        said = measurements.answered(here)
    with run.stage("borrow"):
        transfer = measurements.transfer(here, said)
    with run.stage("likeness"):
        likeness = measurements.likeness(here, opened, transfer["against"])
    with run.stage("probe"):
        probe = measurements.probed(here, said)
    amount = recommendation.amount(measurements.per_class(job), probe.curve)
    return _Found(here, opened, likeness, transfer, probe, amount, rate)


def _case(job: Task, found: _Found) -> Case:
    transfer, probe = found.transfer, found.probe
    return Case(
        job.kind,
        name_of(job.objective),
        len(job.parts["train"]) + len(job.parts["val"]),
        found.likeness.verdict if found.likeness else "different",
        found.amount,
        probe.curve,
        random_init_baseline.trainable(found.here.card),
        transfer["verdict"] if transfer["against"] else "",
        transfer["skip"],
        transfer["floor"],
        probe.value if job.objective.link != "identity" else None,
    )


def _compared(case: Case, found: _Found) -> Compared:
    transfer, instead = found.transfer, explanations.otherwise(case)
    return Compared(
        found.here.card.name, case.kind, case.helped, transfer["against"], case.skip, case.similarity, instead
    )


def _facts(source: object, job: Task, plain: Plan, case: Case, found: _Found, run: Run) -> Said:
    """The part of plan.json that was measured."""
    n = {name: len(rows) for name, rows in job.parts.items()}
    task = {"kind": job.kind, "objective": name_of(job.objective), "n": n, "looked_at": len(found.here.x)}
    probe = asdict(found.probe)
    return {
        "schema": 1,
        "version": __version__,
        "source": shown(source),
        "backbone": plain.backbone.name,
        "task": task,
        "similarity": case.similarity,
        "likeness": found.likeness.facts() if found.likeness else None,
        "neighbours": measurements.neighbours(found.here),
        "amount": found.amount.verdict,
        "data": asdict(found.amount),
        "curve": probe.pop("curve"),
        "probe": probe,
        "transfer": found.transfer,
        "skip": case.skip,
        "findings": [asdict(f) for f in run.found],
    }


def _price(job: Task, advised: Plan, advice: Advice, found: _Found) -> Price:
    other = bool(advice.backbone)
    opened = found.opened if not other else None
    each = None if other else 1 / found.rate if found.rate else opened.seconds if opened else None
    probe = found.probe
    now = probe.value, probe.low, probe.high
    if other:
        now = _other(found.transfer["against"]["stats"], now)
    sizes = opened.sizes if opened else None
    train = len(job.parts["train"]) + len(job.parts["val"])
    percent = job.objective.link != "identity"
    return recommendation.price(
        advised, len(job.examples), train, job.objective.width, each, probe.seconds, sizes, now, percent
    )


def _other(pair: dict, now: tuple[float, float, float]) -> tuple[float, float, float]:
    """The score of the floor with its 95 % interval, as far as it is known. now: that of the backbone's probe"""
    if pair["measure"] == "accuracy":
        return pair["other"], *wilson(pair["other"] * pair["n"], pair["n"])
    return now[0] - pair["difference"], now[1] - pair["difference"], now[2] - pair["difference"]


def _line(
    verb: str, source: object, backbone: str, seed: int, settings: dict[str, str], given: dict[str, object]
) -> str:
    """What to type."""
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return line(["headstart", verb, shown(source), *flags({"backbone": backbone, "seed": seed, **given}), *sets])
