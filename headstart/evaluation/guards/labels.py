"""Labels that the features dispute: some are wrong, and cost more than anything that could be tuned.

Confident learning: an example is disputed where a model that did not learn from it gives another class at least the
probability that examples of that class get on average. Source: Northcutt, Jiang and Chuang 2021, "Confident learning:
estimating uncertainty in dataset labels". The model is ridge regression, whose answers without each row follow from
one inverse (leave-one-out, Allen 1974), with probabilities by temperature.

How much of the list is right depends on how well features tell the classes apart. Labels of real sets were turned at
random, 3 and 5 % of them, three times each, seen through our own backbones; precision and recall of the list:
neu_defects 0.99, 0.83 and 1.00, 0.83; sms_spam 0.97, 0.72 and 0.98, 0.46; spoken_digits 0.96, 0.73 and 0.97, 0.65;
trashnet 0.61, 0.39 and 0.73, 0.30; trec6 0.56, 0.38 and 0.72, 0.35; agnews 0.48, 0.48 and 0.64, 0.42; banking77 0.47,
0.56 and 0.63, 0.50. What is counted as wrong there holds errors of the sets themselves: without any turned, 0.1 to
2.6 % of these are listed. Silent on sst2, hymenoptera and flowers102, whose classes these features know too little of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from headstart.core.features import Features, joined, picked
from headstart.core.observations import Surveyed
from headstart.core.plugins import name_of
from headstart.core.result import Finding
from headstart.training.heads.linear import Linear, scaled, scaling
from headstart.training.heads.temperature_scaling import calibrate

watches = Surveyed
PENALTY = 0.3  # for rows of mean squared length 1: within 1 % of the best of 1 to 0.01 in log-loss on 5 real sets
DOUBTED, SURE = 0.05, 0.9  # the most for the label as it is, the least for the other; for two classes both are 0.95
KNOWS = 0.6  # of the errors of always saying the commonest label, the share that features must save to dispute any
FEWEST = 5  # examples of a class from which features can know it
MANY = 0.03  # disputed, of all: worth a warning
PLAIN, EXPLAINED = 0.01, 0.3  # so is this, where so much of all errors is disputed: at most 0.18 on 9 sets as they are
LEARNERS = 2000  # rows learned from at least
WORK = 8e9  # multiplications that a Gram matrix may take: 3,229 rows of 1,574 numbers, 30,517 of 512
LEAF = 256  # columns that numpy inverts
SHOWN = 24


@dataclass(frozen=True, slots=True, eq=False)
class Disputed:
    """Positions of disputed rows, the most disputed first, the class that each looks like, and probabilities of both.

    error: share of rows that are answered otherwise than labelled.  learners: rows that were learned from
    """

    index: np.ndarray
    other: np.ndarray
    sure: np.ndarray
    doubted: np.ndarray
    error: float
    learners: int


def look(value: Surveyed) -> Iterator[Finding]:
    """Warns where more is disputed than a model that errs explains, notes a few; silent where features say little."""
    if name_of(value.task.objective) != "classes":
        return
    parts = [part for part in value.parts.values() if len(part)]
    n = sum(map(len, parts))
    found = disputed(parts, value.task.objective.width)
    count = len(found.index)
    if not count:
        return
    share = count / n
    plain = bool(share >= PLAIN) and count >= EXPLAINED * found.error * n
    ids = [name for part in parts for name in part.ids]
    names = value.task.objective.facts()["names"]
    y = np.concatenate([part.y for part in parts])
    labels = [(ids[i], names[y[i]], names[j]) for i, j in zip(found.index.tolist(), found.other.tolist(), strict=True)]
    first = "; ".join(f"{name} ({label}) looks like {other}" for name, label, other in labels[:3])
    few = f" A sample of {found.learners:,} examples was learned from." if found.learners < n else ""
    message = (
        f"The features dispute {count:,} of {n:,} labels ({share:.1%}): {first}{' …' if count > 3 else ''}. "
        f"Some of these are the model's mistakes, not yours.{few}"
    )
    shown = [
        {"id": name, "text": f"{label}, looks like {other} ({sure:.0%})"}
        for (name, label, other), sure in zip(labels[:SHOWN], found.sure.tolist(), strict=False)
    ]
    evidence = {"examples": shown, "disputed": count, "of": n, "share": share, "error": found.error}
    fix = "look at them, the most disputed first, and correct what is wrong"
    yield Finding("labels", "warn" if plain or share >= MANY else "note", message, fix, evidence)


def disputed(parts: list[Features], k: int) -> Disputed:
    """Rows of features whose label is disputed; none where features cannot tell the classes apart.

    parts: (n, d) float32 rows and y of k classes.  Rows of a class of fewer than FEWEST are never disputed.
    """
    y = np.concatenate([part.y for part in parts])
    counts = np.bincount(y, minlength=k)
    nothing = np.zeros(0, np.int64)
    none = Disputed(nothing, nothing, np.zeros(0), np.zeros(0), 1.0, 0)
    if len(y) < 2 * FEWEST or counts.max() == len(y):
        return none
    width = parts[0].x.shape[1]
    # The same rows at every call: a finding is a function of the data.
    drawn = np.sort(np.random.default_rng(0).permutation(len(y))[: max(LEARNERS, int(WORK / width**2))])
    scores = _scores(parts, y, drawn, k)
    temperature = calibrate(scores, y, "softmax").temperature
    p = np.exp((scores - scores.max(1, keepdims=True)) / temperature)
    p /= p.sum(1, keepdims=True)
    error = float((scores.argmax(1) != y).mean())
    row = np.arange(len(y))
    own = p[row, y]
    usual = np.bincount(y, own, minlength=k) / np.maximum(counts, 1)
    p[row, y] = 0
    sure = np.where(p >= usual, p, 0)
    other = sure.argmax(1)
    high = sure[row, other]
    known = counts[y] >= FEWEST
    index = np.flatnonzero((own < DOUBTED) & (high > SURE) & known)
    # Errors that are disputed speak against the labels; only the rest may speak against the features.
    if error - len(index) / len(y) > (1 - KNOWS) * (1 - counts.max() / len(y)):
        return none
    index = index[np.argsort(own[index] - high[index], kind="stable")]
    return Disputed(index, other[index], high[index], own[index], error, len(drawn))


def _scores(parts: list[Features], y: np.ndarray, drawn: np.ndarray, k: int) -> np.ndarray:
    """(n, k) float64: what each row is answered by a head that learned from the others at `drawn`."""
    edge = np.cumsum([0, *map(len, parts)])
    mine = [drawn[(drawn >= a) & (drawn < b)] - a for a, b in pairwise(edge.tolist())]
    x = joined([picked(part.x, index) for part, index in zip(parts, mine, strict=True)])
    mean, gain = scaling(x)
    z = scaled(x, mean, gain)
    t = np.full((len(z), k), -1.0, np.float32)
    t[np.arange(len(z)), y[drawn]] = 1
    middle = t.mean(0)
    weight, held = _held(z, t - middle)
    if len(drawn) == len(y):
        return (middle + held).astype(np.float64)
    weight = weight * gain[:, None].astype(np.float32)
    head = Linear(weight, middle - mean @ weight.astype(np.float64))
    scores = np.concatenate([head.scores(part.x) for part in parts]).astype(np.float64)
    scores[drawn] = middle + held
    return scores


def _held(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (d, k), and what each row is answered without it (n, k). z: (n, d) float32, t: columns of mean 0."""
    n, d = z.shape
    if n <= d:
        gram = z @ z.T
        gram[np.diag_indices(n)] += PENALTY
        inverse = _inverse(gram.astype(np.float64)).astype(np.float32)
        dual = inverse @ t
        rest, leverage = PENALTY * dual, 1 - PENALTY * np.diag(inverse)
        weight = z.T @ dual
    else:
        gram = z.T @ z
        gram[np.diag_indices(d)] += PENALTY
        inverse = _inverse(gram.astype(np.float64)).astype(np.float32)
        weight = inverse @ (z.T @ t)
        rest, leverage = t - z @ weight, np.einsum("ij,ij->i", z @ inverse, z)
    return weight, t - rest / np.maximum(1 - leverage - 1 / n, 1e-6)[:, None]


def _inverse(a: np.ndarray) -> np.ndarray:
    """Of a positive definite matrix, in blocks: 1,500 columns in 0.2 s, numpy's 0.8 s (OpenBLAS 0.3.31, 1 core)."""
    half = len(a) // 2
    if len(a) <= LEAF:
        return np.linalg.inv(a)
    first = _inverse(a[:half, :half])
    across = first @ a[:half, half:]
    rest = a[half:, half:] - across.T @ a[:half, half:]
    last = _inverse((rest + rest.T) / 2)  # what rounding makes uneven would grow from block to block
    corner = across @ last
    return np.block([[first + corner @ across.T, -corner], [-corner.T, last]])
