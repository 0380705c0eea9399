"""Cross-validation folds over rows of features, and the validation set where none was given."""

from __future__ import annotations

import numpy as np

from headstart.core.features import Features, concatenate_features
from headstart.core.task import Objective

BINS = 10  # quantiles of a number that are strata
MIN_HELD_OUT = 60  # examples that are enough to choose by; fewer learn instead
MIN_EXAMPLES = 400  # labelled, from which a part is held out to choose by
HOLD_OUT_FOLDS = 6  # one of which is
EXAMPLES_PER_HELD_OUT = 4  # at least; where a larger part was set aside to choose by, it is divided anew


def strata(y: np.ndarray, objective: Objective) -> np.ndarray:
    """(n,) int64, what folds keep in proportion: the class, the rarest of a row's tags, the tenth a number is in."""
    if objective.link == "softmax":
        return y.astype(np.int64)
    if objective.link == "identity":
        value = y.reshape(len(y), -1)[:, 0]
        return (np.argsort(np.argsort(value, kind="stable"), kind="stable") * BINS // max(1, len(y))).astype(np.int64)
    rarest_first = np.argsort((y > 0).sum(0), kind="stable")
    ranked = y[:, rarest_first] > 0
    return np.where(ranked.any(1), ranked.argmax(1), y.shape[1]).astype(np.int64)


def assign_folds(data: Features, objective: Objective, count: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) int64, the fold of each row; groups stay whole. All 0 where fewer than two folds can be made.

    Fewer than `count` when no stratum has so many rows, or there are fewer groups. A rare class does not lower it:
    its rows go to different folds, so that all but one of them are always trained on.
    """
    stratum = strata(data.y, objective)
    names = np.array(data.groups) if data.groups else np.full(len(stratum), "")
    grouped = bool((names != "").any())
    unit = np.arange(len(stratum))
    if grouped:
        names = np.where(names == "", np.char.add("\0", unit.astype(str)), names)
        unit = np.unique(names, return_inverse=True)[1].reshape(-1)
    units = int(unit.max()) + 1 if len(unit) else 0
    most = int(np.bincount(stratum).max()) if len(stratum) else 0
    count = min(count, units, max(2, most))
    if count < 2:
        return np.zeros(len(stratum), np.int64)
    order = rng.permutation(len(stratum))
    if not grouped:
        fold = np.empty(len(stratum), np.int64)
        fold[order[np.argsort(stratum[order], kind="stable")]] = np.arange(len(stratum)) % count
        return fold
    return _assign_groups(stratum, unit, count, order)


def _assign_groups(stratum: np.ndarray, unit: np.ndarray, count: int, order: np.ndarray) -> np.ndarray:
    """Largest groups first, each to the fold that has least of its strata."""
    members: dict[int, list[int]] = {}
    for row in order.tolist():
        members.setdefault(int(unit[row]), []).append(row)
    filled = np.zeros((count, int(stratum.max()) + 1))
    size = np.zeros(count)
    fold = np.empty(len(stratum), np.int64)
    total = np.bincount(stratum)
    for rows in sorted(members.values(), key=len, reverse=True):
        kinds, counts = np.unique(stratum[rows], return_counts=True)
        crowding = (filled[:, kinds] * (counts / total[kinds])).sum(1)
        emptiest = int(np.lexsort((size, np.round(crowding, 9)))[0])
        fold[rows] = emptiest
        filled[emptiest, kinds] += counts
        size[emptiest] += len(rows)
    return fold


def judgeable(y: np.ndarray, fold: np.ndarray, objective: Objective) -> np.ndarray:
    """Whether a row's own label occurs outside of its fold: (n,) bool, or (n, k) for tags. If not, it cannot be judged.

    A tag is judged only where the other folds hold it on and off.
    """
    count = int(fold.max()) + 1
    if objective.link == "identity":
        return np.full(len(y), count > 1)
    if objective.link == "softmax":
        inside = np.zeros((count, int(y.max()) + 1))
        np.add.at(inside, (fold, y), 1)
        return (inside.sum(0) - inside)[fold, y] > 0
    on = np.stack([(y[fold == f] > 0).sum(0) for f in range(count)])
    off = np.stack([(y[fold == f] <= 0).sum(0) for f in range(count)])
    return ((on.sum(0) - on > 0) & (off.sum(0) - off > 0))[fold]


def hold_out(
    train: Features, val: Features, objective: Objective, rng: np.random.Generator
) -> tuple[Features, Features]:
    """(What to learn from, what to choose by): val, or a share of both, where it is large enough to choose by.

    Half of the labels held out to choose by is too much: 1,020 of the 2,040 of flowers cost fine-tuning 3 points.
    """
    count = len(train) + len(val)
    if len(val) >= MIN_HELD_OUT and (EXAMPLES_PER_HELD_OUT * len(val) <= count or count < MIN_EXAMPLES):
        return train, val
    if len(val):
        train = concatenate_features(train, val)
    if len(train) < MIN_EXAMPLES:
        return train, train.rows(np.zeros(0, np.int64))
    fold = assign_folds(train, objective, HOLD_OUT_FOLDS, rng)
    return train.rows(np.flatnonzero(fold != 0)), train.rows(np.flatnonzero(fold == 0))


def join_parts(train: Features, val: Features) -> Features:
    """All labelled examples: train and val together; val may be empty."""
    return concatenate_features(train, val) if len(val) else train
