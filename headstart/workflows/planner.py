"""Chooses what the user left open, and says why."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from headstart.backbones import catalogue
from headstart.backbones.catalogue import default, find_card
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.plan import DEFAULT, Plan, trains
from headstart.core.plugins import member, name_of
from headstart.core.settings import settings_of
from headstart.core.task import Task
from headstart.features.cache import store
from headstart.features.precision import settle

BUDGETS = {"quick": 0.4, "normal": 1.0, "thorough": 3.0}
STEPS = ((20_000, 500), (500_000, 3_000), (float("inf"), 10_000))  # (fewer examples than, steps)
LEAST, LAPS = 60, 20  # steps at least; passes over the examples at most


def choose(
    task: Task,
    backbone: str,
    method: str,
    settings: dict[str, str],
    seed: int,
    root: Path,
    budget: str = "normal",
    repeat: int = 0,
    engine: str = "",
    say: Callable[[str, dict], None] = lambda event, facts: None,
) -> Plan:
    """The plan for a task. backbone: "auto" and "own" leave it to us.  method: "probe" is the head for the labels

    settings: the method's fields as text, e.g. {"weights": "balanced"}
    budget: a key of BUDGETS.  engine: "ENGINE" or "ENGINE:PRECISION", "" for the fastest sound one.  say: of measuring
    Raises PlanError or NameNotFound where what was asked for cannot be had.
    """
    reasons: list[str] = []
    if backbone in ("own", "auto"):
        backbone, why = default(task.kind, hub_too=backbone == "auto", width=_width(task))
        reasons.append(why)
    card = find_card(backbone, root)
    spec = member("preprocess", card.preprocess.kind)
    if task.kind not in spec.SERVES:
        raise PlanError(
            f"{card.name} reads {' or '.join(spec.SERVES)}; these data are {task.kind}. Name another --backbone."
        )
    kind = name_of(task.objective)
    if method == "probe":
        method = DEFAULT[kind]
        reasons.append(
            f"Method '{method}': the head for {kind} that has no setting to guess; its strength is cross-validated."
        )
    _can_learn(card, method, task.kind)
    chosen, said = budgeted(method_of(method, settings), settings, len(task.parts["train"]), budget)
    reasons += said
    if len(task.parts["val"]) and chosen.joins:
        reasons.append(
            "The validation part was joined to training: the head chooses by cross-validation and needs none."
        )
    cut = chosen.cut(card)
    chosen, said = priced(chosen, card, cut, len(task.examples), len(task.parts["train"]))
    cut, how = settle(card, cut, task.examples, root, engine, say)
    return Plan(card, cut, chosen, seed, (*reasons, *said, *how), repeat)


def priced(method: Any, card: Backbone, cut: Cut, count: int, train: int) -> tuple[Any, list[str]]:
    """A method with as many stored views as the cache holds, and what is kept at the cut, in words.

    count: examples in all, each kept once.  train: those with views
    Raises PlanError where not even the plain rows fit into the cache.
    """
    if cut.top or card.preprocess.kind != "image":
        return method, []
    size: Any = card.preprocess["input_size"]
    each = math.prod(size) if cut.at == 0 else 2 * math.prod(card.blocks[cut.at - 1].shape)
    views, room = int(asdict(method).get("views", 0)), store.limit()
    if each * count > room:
        raise PlanError(
            f"What leaves the cut at {cut.at} is {each / 1e3:,.0f} KB a photo, {each * count / 1e9:.1f} GB in all; the "
            f"cache holds {room / 1e9:.0f} GB. Set HEADSTART_CACHE_GB to more, or blocks to fewer."
        )
    fits = min(views, int((room - each * count) / max(1, each * train)))
    whole = each * (count + fits * train)
    said = f"What leaves the cut is {each / 1e3:,.0f} KB a photo, {whole / 1e6:,.0f} MB with {fits} views."
    if fits < views:
        said += f" {views} views would not fit into the cache of {room / 1e9:.0f} GB."
        method = replace(method, views=fits)
    return method, [said]


def budgeted(method, settings: dict[str, str], count: int, budget: str) -> tuple[Any, list[str]]:
    """A method with its number of steps, where it trains in steps and none was asked for, and why.

    count: examples to learn from
    Steps, not epochs, by the number of examples (Kolesnikov et al. 2020, BiT), but no example is met over 40 times.
    Raises PlanError for an unknown budget.
    """
    if budget not in BUDGETS:
        raise PlanError(f"--budget {budget} is not known. There are: {', '.join(BUDGETS)}.")
    if not trains(method) or "steps" in settings:
        return method, []
    most = next(steps for limit, steps in STEPS if count < limit)
    longer = BUDGETS[budget] * getattr(method, "longer", 1.0)
    steps = max(LEAST, round(longer * min(most, LAPS * count / method.batch)))
    change: dict[str, int] = {"steps": steps}
    if "views" in asdict(method) and "views" not in settings and budget == "quick":
        change["views"] = min(1, method.views)
    return replace(method, **change), [
        f"{steps:,} steps of {method.batch}: the {budget} budget for {count:,} examples."
    ]


def _can_learn(card: Backbone, method: str, kind: str) -> None:
    """Raises PlanError where a method wants to train what is no network."""
    wants = trains(member("methods", method).Settings())
    if wants and member("backbones", card.family).runs(card, card.cut(0)) == "numpy":
        best = catalogue.RECOMMENDED.get(kind)
        borrow = f"Borrow one, for example --backbone {best}, or take" if best else "Take"
        raise PlanError(
            f"{card.name} is no network, so nothing of it can learn and {method} has nothing to train. {borrow} "
            "--method probe."
        )


def _width(task: Task) -> int:
    content = task.examples[0].content if task.examples else b""
    return len(content) // 4 if task.kind == "vector" and isinstance(content, bytes) else 0


def method_of(name: str, settings: dict[str, str]):
    """The method `name` with `settings`, as `settings_of` reads them."""
    return settings_of(member("methods", name), settings)
