"""Chooses what the user left open, and says why."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from headstart.backbones import catalogue
from headstart.backbones.cards import find_card
from headstart.backbones.catalogue import default_backbone
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.options import BackboneOptions, MethodOptions, TrainingOptions
from headstart.core.plan import Plan, has_range_test, trains_in_steps, trains_on_validation, traits_of
from headstart.core.plugins import member, name_of
from headstart.core.settings import own_name, setting_texts, settings_of
from headstart.core.task import Task
from headstart.features.cache import store
from headstart.features.precision import pick_precision
from headstart.training.heads.probe import probe_method

BUDGETS = {"quick": 0.4, "normal": 1.0, "thorough": 3.0}
STEPS = ((20_000, 500), (500_000, 3_000), (float("inf"), 10_000))  # (fewer examples than, steps)
MIN_STEPS, MAX_EPOCHS = 60, 20  # steps at least; passes over the examples at most


def choose(
    task: Task,
    borrow: BackboneOptions,
    learn: MethodOptions,
    training: TrainingOptions,
    seed: int,
    root: Path,
    emit: Callable[[str, dict], None] = lambda event, facts: None,
) -> Plan:
    """The plan for a task. emit: is told of measuring

    Raises PlanError or NameNotFound where what was asked for cannot be had.
    """
    backbone, method, settings = borrow.backbone, learn.method, setting_texts(learn.settings)
    if learn.find_rate:
        settings |= _range_test(method)
    reasons: list[str] = []
    if backbone in ("own", "auto"):
        backbone, reason = default_backbone(task.kind, allow_hub=backbone == "auto", width=_vector_width(task))
        reasons.append(reason)
    card = find_card(backbone, root).with_range(task.contract.range if task.contract else ())
    if borrow.weights and borrow.weights != card.weights:
        raise PlanError(
            f"{card.name} has other weights now, {card.weights[:19]}…; {borrow.weights[:19]}… was asked for. Bring "
            "those back, or leave `weights` out to go on with these."
        )
    spec = member("preprocess", card.preprocess.kind)
    if task.kind not in spec.SERVES:
        raise PlanError(
            f"{card.name} reads {' or '.join(spec.SERVES)}; these data are {task.kind}. Name another --backbone."
        )
    kind = name_of(task.objective)
    if method == "probe":
        method = probe_method(task.objective)
        reasons.append(
            f"Method '{method}': the head for {kind} that has no setting to guess; its strength is cross-validated."
        )
    _require_network(card, method, task.kind)
    configured, steps_reasons = with_steps(
        method_of(method, settings), settings, len(task.parts["train"]), training.budget
    )
    reasons += steps_reasons
    if len(task.parts["val"]) and trains_on_validation(configured):
        reasons.append(
            "The validation part was joined to training: the head chooses by cross-validation and needs none."
        )
    rate = own_name(type(configured), "learning_rate")
    if rate and not has_range_test(configured) and not getattr(configured, rate) > 0:
        raise PlanError(f"{method}: {rate}={getattr(configured, rate)} trains nothing. Name a rate above 0.")
    cut = configured.cut(card)
    configured, view_reasons = fit_views_to_cache(configured, card, cut, len(task.examples), len(task.parts["train"]))
    cut, precision_reasons = pick_precision(card, cut, task.examples, root, borrow.engine, emit)
    return Plan(card, cut, configured, seed, (*reasons, *view_reasons, *precision_reasons), learn.repeat)


def _range_test(method: str) -> dict[str, str]:
    """The setting that lets a range test find the learning rate. Raises PlanError for a method without one."""
    settings = None if method == "probe" else member("methods", method).Settings
    name = own_name(settings, "learning_rate") if settings and has_range_test(settings) else ""
    if not name:
        raise PlanError(f"{method} has no learning rate to find. Name a method that has one: --method finetune.")
    return {name: "0"}


def fit_views_to_cache(method: Any, card: Backbone, cut: Cut, count: int, train: int) -> tuple[Any, list[str]]:
    """A method with as many stored views as the cache holds, and what is kept at the cut, in words.

    count: examples in all, each kept once.  train: those with views
    Raises PlanError where not even the plain rows fit into the cache.
    """
    if cut.top or card.preprocess.kind != "image":
        return method, []
    size: Any = card.preprocess["input_size"]
    each = math.prod(size) if cut.at == 0 else 2 * math.prod(card.blocks[cut.at - 1].shape)
    views, room = int(asdict(method).get("views", 0)), store.size_limit()
    if each * count > room:
        raise PlanError(
            f"What leaves the cut at {cut.at} is {each / 1e3:,.0f} KB a photo, {each * count / 1e9:.1f} GB in all; the "
            f"cache holds {room / 1e9:.0f} GB. Set HEADSTART_CACHE_GB to more, or blocks to fewer."
        )
    fits = min(views, int((room - each * count) / max(1, each * train)))
    whole = each * (count + fits * train)
    why = f"What leaves the cut is {each / 1e3:,.0f} KB a photo, {whole / 1e6:,.0f} MB with {fits} views."
    if fits < views:
        why += f" {views} views would not fit into the cache of {room / 1e9:.0f} GB."
        method = replace(method, views=fits)
    return method, [why]


def with_steps(method, settings: dict[str, str], count: int, budget: str) -> tuple[Any, list[str]]:
    """A method with its number of steps, where it trains in steps and none was asked for, and why.

    count: examples to learn from
    Steps, not epochs, by the number of examples (Kolesnikov et al. 2020, BiT), but no example is met over 40 times.
    Raises PlanError for an unknown budget.
    """
    if budget not in BUDGETS:
        raise PlanError(f"--budget {budget} is not known. There are: {', '.join(BUDGETS)}.")
    if not trains_in_steps(method) or "steps" in settings:
        return method, []
    max_steps = next(steps for limit, steps in STEPS if count < limit)
    batch_size = getattr(method, own_name(type(method), "batch_size"))
    factor = BUDGETS[budget] * traits_of(method).step_factor
    steps = max(MIN_STEPS, round(factor * min(max_steps, MAX_EPOCHS * count / batch_size)))
    changes: dict[str, int] = {"steps": steps}
    if "views" in asdict(method) and "views" not in settings and budget == "quick":
        changes["views"] = min(1, method.views)
    return replace(method, **changes), [f"{steps:,} steps of {batch_size}: the {budget} budget for {count:,} examples."]


def _require_network(card: Backbone, method: str, kind: str) -> None:
    """Raises PlanError where a method wants to train what is no network."""
    wants = trains_in_steps(member("methods", method).Settings())
    if wants and member("backbones", card.family).runs(card, card.cut(0)) == "numpy":
        best = catalogue.RECOMMENDED.get(kind)
        borrow = f"Borrow one, for example --backbone {best}, or take" if best else "Take"
        raise PlanError(
            f"{card.name} is no network, so nothing of it can learn and {method} has nothing to train. {borrow} "
            "--method probe."
        )


def _vector_width(task: Task) -> int:
    content = task.examples[0].content if task.examples else b""
    return len(content) // 4 if task.kind == "vector" and isinstance(content, bytes) else 0


def method_of(name: str, settings: dict[str, str]):
    """The method `name` with `settings`, as `settings_of` reads them."""
    return settings_of(member("methods", name), settings)
