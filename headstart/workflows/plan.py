"""The verb `plan`: how much data, how similar to what the backbone has seen, and so which method, at what price."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart.core.files import write_atomic
from headstart.core.options import (
    BackboneOptions,
    DataOptions,
    MethodOptions,
    OutputOptions,
    PlanOptions,
    TrainingOptions,
    asked,
    flat_keywords,
)
from headstart.core.plan import Plan
from headstart.core.plugins import name_of
from headstart.core.run import Run
from headstart.core.statistics import wilson_interval
from headstart.core.task import Task
from headstart.core.version import __version__
from headstart.evaluation.guarding import run_guards
from headstart.evaluation.transferability import explanations, measurements, random_init_baseline, recommendation
from headstart.evaluation.transferability.domain_similarity import SimilarityEstimate, TransferComparison
from headstart.evaluation.transferability.random_init_baseline import NetworkProfile
from headstart.evaluation.transferability.recommendation import CostEstimate, LabelAmount, Recommendation, TaskProfile
from headstart.features.cache import store
from headstart.features.extract import embed
from headstart.reporting import plan_page
from headstart.workflows.planner import choose
from headstart.workflows.run_files import shell_line, source_name, to_flags
from headstart.workflows.steps import begin, embedded_task, start_run


@dataclass(frozen=True, slots=True, eq=False)
class PlanReport:
    """What a plan gave: its folder, and plan.json as a dict."""

    folder: Path
    facts: dict


@dataclass(frozen=True, slots=True, eq=False)
class _Measurements:
    """What was measured. rate: examples a second while embedding, None where all were in the cache"""

    sample: measurements.EmbeddedSample
    network: NetworkProfile | None
    similarity: SimilarityEstimate | None
    transfer: dict
    probe: measurements.ProbeResult
    amount: LabelAmount
    rate: float | None


def plan_with(
    source: object,
    data: DataOptions,
    borrow: BackboneOptions,
    training: TrainingOptions,
    output: OutputOptions,
    measuring: PlanOptions,
) -> PlanReport:
    """Measures how similar and how many the examples are, and what borrowing gains; recommends a method with prices.

    A bounded share of the data is looked at (measurements.MAX_TRAIN, MAX_TEST), so that large data take seconds too.
    Raises what reading and embedding raise.
    """
    root = output.root or store.default_root()
    with start_run(source, output, "-plan", raise_on_stop=False) as run:
        task = begin(run, source, data, borrow.backbone)
        with run.stage("extract"):
            probe_plan = run_guards(run, choose(task, borrow, MethodOptions(), TrainingOptions(), data.seed, root))
            run.emit("plan", probe_plan.facts())
            sample, rate = _embed_share(task, probe_plan, root, run)
        measured = _measure(task, sample, rate, run)
        profile = _case(task, measured)
        run_guards(run, _compared(profile, measured))
        advice = recommendation.recommend(profile)
        settings = recommendation.resolve_settings(advice, probe_plan.backbone)
        learn = MethodOptions(method=advice.method, settings=settings)
        advised_backbone = BackboneOptions(backbone=advice.backbone or probe_plan.backbone.name)
        advised = choose(task, advised_backbone, learn, training, data.seed, root)
        options = asked(data, borrow, training, without=("seed", "backbone"))
        again = {**options, "reference": measuring.reference}
        facts = {
            **_facts(source, task, probe_plan, profile, measured, run),
            "reference": measurements.reference_distances(sample, measuring.reference),
            "method": advice.method,
            "plan": advised.facts(),
            "price": asdict(_price(task, advised, advice, measured)),
            "reasons": [
                *explanations.reasons(profile, measured.similarity, measured.transfer, measured.probe),
                *advice.reasons,
            ],
            "command": _command("fit", source, advised, settings, {"method": advice.method, **options}),
            "again": _command("plan", source, probe_plan, {}, again),
            "folder": str(run.folder),
        }
        facts["verdict"] = explanations.verdict(facts)
        facts["seconds"] = {**run.seconds, "total": time.perf_counter() - run.started}
        write_atomic(run.folder / "plan.json", json.dumps(facts, indent=1, default=str) + "\n")
        plan_page.write(run.folder, facts)
        return PlanReport(run.folder, facts)


def _embed_share(
    task: Task, probe_plan: Plan, root: Path, run: Run
) -> tuple[measurements.EmbeddedSample, float | None]:
    """Rows of a bounded share of the data, and how many a second were embedded."""
    subset = measurements.subsample(task, probe_plan.seed)
    rows = embed(subset.examples, probe_plan.backbone, probe_plan.cut, root, run)
    extraction = run_guards(run, embedded_task(subset, probe_plan, rows))
    rate = run.last("progress", "rate") if rows.misses else None
    sample = measurements.embedded_sample(extraction.task, probe_plan.backbone, rows.x, probe_plan.seed, root, run)
    return sample, float(rate) if isinstance(rate, int | float) and rate else None


def _measure(task: Task, sample: measurements.EmbeddedSample, rate: float | None, run: Run) -> _Measurements:
    with run.stage("open"):
        network = measurements.profile_network(sample)
    with run.stage("answer"):
        scores = measurements.probe_scores(sample)
    with run.stage("borrow"):
        transfer = measurements.transfer_gain(sample, scores)
    with run.stage("likeness"):
        similarity = measurements.estimate_similarity(sample, network, transfer["against"])
    with run.stage("probe"):
        probe = measurements.evaluate_probe(sample, scores)
    amount = recommendation.assess_label_amount(measurements.labels_per_class(task), probe.curve)
    return _Measurements(sample, network, similarity, transfer, probe, amount, rate)


def _case(task: Task, measured: _Measurements) -> TaskProfile:
    transfer, probe = measured.transfer, measured.probe
    return TaskProfile(
        task.kind,
        name_of(task.objective),
        len(task.parts["train"]) + len(task.parts["val"]),
        measured.similarity.verdict if measured.similarity else "different",
        measured.amount,
        probe.curve,
        random_init_baseline.is_trainable(measured.sample.backbone),
        transfer["verdict"] if transfer["against"] else "",
        transfer["skip"],
        transfer["floor"],
        probe.value if task.objective.link != "identity" else None,
    )


def _compared(profile: TaskProfile, measured: _Measurements) -> TransferComparison:
    transfer, instead = measured.transfer, explanations.alternative_to_transfer(profile)
    return TransferComparison(
        measured.sample.backbone.name,
        profile.kind,
        profile.helped,
        transfer["against"],
        profile.skip,
        profile.similarity,
        instead,
    )


def _facts(
    source: object, task: Task, probe_plan: Plan, profile: TaskProfile, measured: _Measurements, run: Run
) -> dict[str, Any]:
    """The part of plan.json that was measured."""
    n = {name: len(rows) for name, rows in task.parts.items()}
    task_facts = {"kind": task.kind, "objective": name_of(task.objective), "n": n, "looked_at": len(measured.sample.x)}
    probe = asdict(measured.probe)
    return {
        "schema": 2,  # 1 had the settings of methods under their former names
        "version": __version__,
        "source": source_name(source),
        "backbone": probe_plan.backbone.name,
        "task": task_facts,
        "similarity": profile.similarity,
        "likeness": asdict(measured.similarity) if measured.similarity else None,
        "neighbours": measurements.neighbour_purity(measured.sample),
        "amount": measured.amount.verdict,
        "data": asdict(measured.amount),
        "curve": probe.pop("curve"),
        "probe": probe,
        "transfer": measured.transfer,
        "skip": profile.skip,
        "findings": [asdict(f) for f in run.findings],
    }


def _price(task: Task, advised: Plan, advice: Recommendation, measured: _Measurements) -> CostEstimate:
    other = bool(advice.backbone)
    network = measured.network if not other else None
    each = None if other else 1 / measured.rate if measured.rate else network.seconds if network else None
    probe = measured.probe
    now = probe.value, probe.low, probe.high
    if other:
        now = _baseline_score(measured.transfer["against"]["stats"], now)
    sizes = network.sizes if network else None
    train = len(task.parts["train"]) + len(task.parts["val"])
    percent = task.objective.link != "identity"
    costs = recommendation.MeasuredCosts(
        len(task.examples), train, task.objective.width, each, probe.seconds, now, percent, sizes
    )
    return recommendation.estimate_cost(advised, costs)


def _baseline_score(pair: dict, now: tuple[float, float, float]) -> tuple[float, float, float]:
    """The score of the floor with its 95 % interval, as far as it is known. now: that of the backbone's probe"""
    if pair["measure"] == "accuracy":
        return pair["other"], *wilson_interval(pair["other"] * pair["n"], pair["n"])
    return now[0] - pair["difference"], now[1] - pair["difference"], now[2] - pair["difference"]


def _command(verb: str, source: object, plan: Plan, settings: Mapping[str, str], options: Mapping[str, object]) -> str:
    """What to type."""
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    words = to_flags({"backbone": plan.backbone.name, "seed": plan.seed, **options})
    return shell_line(["headstart", verb, source_name(source), *words, *sets])


plan = flat_keywords(plan_with, "plan")
