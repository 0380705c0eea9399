"""Catastrophic forgetting: accuracy of a linear probe on a small reference task, before and after fine-tuning.

The reference is rendered photos of metal parts, or support tickets: nobody's task but the demo's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core.digest import of_bytes
from headstart.core.features import Features
from headstart.core.options import DataOptions
from headstart.core.plan import Plan
from headstart.core.plugins import member
from headstart.core.statistics import linear_cka
from headstart.core.task import Example
from headstart.data.demo.tickets import tickets
from headstart.data.read import read
from headstart.evaluation.measure import stratified_halves
from headstart.features.extract import embed
from headstart.features.preprocessing_check import reference_photos

if TYPE_CHECKING:
    from headstart.training.tuning.learner import Learner


def measure_forgetting(fitted: Any, plan: Plan, above: Callable, root: Path) -> dict | None:
    """{"before", "after", "drop", "n", "blocks"}: probe accuracy on the reference, pretrained and fine-tuned.

    blocks: [{"block", "before", "after", "drift"}], likewise after each block above the cut; drift is 1 - linear CKA
    None where no block was trained, or where the backbone cannot read the reference.
    """
    learner = getattr(getattr(fitted, "fitted", fitted), "learner", None)
    if plan.cut.top or learner is None or plan.backbone.preprocess.kind not in ("image", "text"):
        return None
    from headstart.training.tuning.learner import Learner, forward_in_batches

    examples = _reference_examples(plan.backbone.preprocess.kind, root)
    features = embed(examples, plan.backbone, plan.cut, root)
    labels = [examples[i].label for i in features.index]
    objective = member("objectives", "classes").of(labels)
    y = objective.encode(labels)
    pretrained = Learner(above(), 2)
    before, after = (
        _probe_accuracy(forward_in_batches(network, features.x, network.embed), y, objective)
        for network in (pretrained.to(learner.mean.device), learner)
    )
    facts = {"before": before, "after": after, "drop": before - after, "n": len(y)}
    return facts | {"blocks": _forgetting_by_block(pretrained, learner, features.x, y, plan, objective)}


def _forgetting_by_block(
    pretrained: Learner, tuned: Learner, x: Any, y: np.ndarray, plan: Plan, objective: Any
) -> list[dict]:
    """Probe accuracy on each block's pooled output; empty where a method replaced blocks."""
    from headstart.training.tuning.intermediate_features import compute_level_features

    names = ["stem"] * (plan.cut.at == 0) + [b.name for b in plan.backbone.blocks[plan.cut.at :]]
    if len(tuned.body) != len(names) + 1 or len(pretrained.body) != len(tuned.body):
        return []
    first = int(plan.cut.at == 0)
    levels = range(first, len(names))
    (old, widths), (new, _) = (compute_level_features(network, x, levels) for network in (pretrained, tuned))
    if old.shape != new.shape:
        return []
    edges = np.cumsum([0, *widths])
    blocks = []
    for name, a, b in zip(names[first:], edges, edges[1:], strict=False):
        before, after = (_probe_accuracy(rows[:, a:b], y, objective) for rows in (old, new))
        drift = 1.0 - linear_cka(old[:, a:b], new[:, a:b])
        blocks.append({"block": name, "before": before, "after": after, "drift": drift})
    return blocks


def _reference_examples(kind: str, root: Path) -> list[Example]:
    if kind == "text":
        return [Example(str(i), t, of_bytes(t.encode()), label) for i, (t, label) in enumerate(tickets())]
    return list(read(reference_photos(root), DataOptions(seed=0)).examples)


def _probe_accuracy(rows: np.ndarray, y: np.ndarray, objective: Any) -> float:
    """Accuracy of a ridge head by stratified twofold cross-validation."""
    folds, right = stratified_halves(y), 0
    for fold in (0, 1):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        features = Features(rows[train], y[train], tuple(map(str, train)))
        head = member("methods", "ridge").Settings()
        no_validation = features.rows(np.zeros(0, np.int64))
        fitted = head.fit(features, no_validation, objective, above=None, rng=np.random.default_rng(0))
        right += int((fitted.scores(rows[test]).argmax(1) == y[test]).sum())
    return right / len(y)
