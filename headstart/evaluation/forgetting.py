"""What training did to the old skill: a probe on a small reference task of our own, before and after.

The reference is rendered photos of metal parts, and support tickets: nobody's task but the demo's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core.digest import of_bytes
from headstart.core.features import Features
from headstart.core.plan import Plan
from headstart.core.plugins import member
from headstart.core.statistics import alike
from headstart.core.task import Example
from headstart.data.demo.tickets import tickets
from headstart.data.read import read
from headstart.features.extract import embed
from headstart.features.preprocessing_check import folder

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner


def forgot(fitted: Any, plan: Plan, above: Callable, root: Path) -> dict | None:
    """{"before", "after", "drop", "n", "blocks"}: accuracy of a linear probe on the reference, borrowed and tuned.

    blocks: [{"block", "before", "after", "drift"}], the same after each block above the cut; drift is 1 less linear CKA
    None for what trained nothing of the network, or where the backbone cannot read the reference.
    """
    learner = getattr(getattr(fitted, "fitted", fitted), "learner", None)
    if plan.cut.top or learner is None or plan.backbone.preprocess.kind not in ("image", "text"):
        return None
    from headstart.training.tuning.learner import Learner, passed

    examples = _reference(plan.backbone.preprocess.kind, root)
    found = embed(examples, plan.backbone, plan.cut, root)
    names = [examples[i].label for i in found.index]
    objective = member("objectives", "classes").of(names)
    y = objective.encode(names)
    borrowed = Learner(above(), 2)
    before, after = (
        _probed(passed(some, found.x, some.rows), y, objective) for some in (borrowed.to(learner.mean.device), learner)
    )
    facts = {"before": before, "after": after, "drop": before - after, "n": len(y)}
    return facts | {"blocks": _by_block(borrowed, learner, found.x, y, plan, objective)}


def _by_block(borrowed: Learner, tuned: Learner, x: Any, y: np.ndarray, plan: Plan, objective: Any) -> list[dict]:
    """What each block's pooled output is worth before and after; none where a method put other parts in their place."""
    from headstart.training.tuning import intermediate_features

    names = ["stem"] * (plan.cut.at == 0) + [b.name for b in plan.backbone.blocks[plan.cut.at :]]
    if len(tuned.body) != len(names) + 1 or len(borrowed.body) != len(tuned.body):
        return []
    first = int(plan.cut.at == 0)
    which = range(first, len(names))
    (old, widths), (new, _) = (intermediate_features.looked(some, x, which) for some in (borrowed, tuned))
    if old.shape != new.shape:
        return []
    edges = np.cumsum([0, *widths])
    told = []
    for name, a, b in zip(names[first:], edges, edges[1:], strict=False):
        before, after = (_probed(rows[:, a:b], y, objective) for rows in (old, new))
        drift = 1.0 - alike(old[:, a:b], new[:, a:b])
        told.append({"block": name, "before": before, "after": after, "drift": drift})
    return told


def _reference(kind: str, root: Path) -> list[Example]:
    if kind == "text":
        return [Example(str(i), t, of_bytes(t.encode()), label) for i, (t, label) in enumerate(tickets())]
    return list(read(folder(root), seed=0).examples)


def _probed(rows: np.ndarray, y: np.ndarray, objective: Any) -> float:
    """Accuracy where each half is answered by a head that learned from the other; halves keep the classes' shares."""
    order = np.argsort(y, kind="stable")
    half = np.empty(len(y), np.int64)
    half[order] = np.arange(len(y)) % 2
    right = 0
    for side in (0, 1):
        learn, held = np.flatnonzero(half != side), np.flatnonzero(half == side)
        part = Features(rows[learn], y[learn], tuple(map(str, learn)))
        head = member("methods", "ridge").Settings()
        nothing = part.rows(np.zeros(0, np.int64))
        scores = head.fit(part, nothing, objective, above=None, rng=np.random.default_rng(0)).scores(rows[held])
        right += int((scores.argmax(1) == y[held]).sum())
    return right / len(y)
