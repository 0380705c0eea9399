"""What a plan measures on a bounded share of the data: likeness, what borrowing gains, and the probe's curve."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.catalogue import FLOOR, find_card
from headstart.core.backbone import Backbone
from headstart.core.errors import Unreadable
from headstart.core.features import Features
from headstart.core.plan import DEFAULT
from headstart.core.plugins import member, name_of
from headstart.core.run import Run
from headstart.core.statistics import facts, merits, paired
from headstart.core.task import Example, Task
from headstart.data import contents
from headstart.data.read import reading
from headstart.evaluation.measure import baseline
from headstart.evaluation.transferability import domain_similarity, learning_curve, random_init_baseline
from headstart.evaluation.transferability.domain_similarity import Likeness, Measure
from headstart.evaluation.transferability.learning_curve import Curve, Split
from headstart.evaluation.transferability.random_init_baseline import Opened
from headstart.features.extract import Rows, embed

LEARN, JUDGE = 2_000, 1_000  # examples that a plan looks at, at most: it should take seconds
SOME = 400, 200  # that go through the network with random weights: to learn from, to judge by
LOOKED = 64  # that go through the open network, for its norms and its speed
SEEN = 256  # whose rows the classifier, the neighbours and the reference are asked about
AS_GOOD = 0.01  # a floor that is not surely worse and at most so far behind is as good


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What is measured on.

    x: (n, d) float32 rows of the task's examples.  y: (n,) or (n, k).  strata: (n,) int64
    splits: (rows to learn from, rows to judge by): one, or as many as there are folds
    """

    task: Task
    card: Backbone
    x: np.ndarray
    y: np.ndarray
    strata: np.ndarray
    splits: tuple[Split, ...]
    seed: int
    root: Path
    run: Run

    @property
    def learn(self) -> np.ndarray:
        """Rows that may be looked at with no thought of a test part."""
        return self.splits[0][0] if self.task.folds is None else np.arange(len(self.x))


@dataclass(frozen=True, slots=True)
class Probed:
    """How good the plain probe is: its score with its 95 % interval, its curve, and the seconds that a fit takes."""

    metric: str
    value: float
    low: float
    high: float
    chance: float
    n: int
    curve: Curve | None
    seconds: float


def bounded(task: Task, seed: int) -> Task:
    """The task with at most LEARN examples to learn from and JUDGE to judge by, each with its share of every label."""
    if task.folds is not None:
        return task
    pool = np.concatenate([task.parts["train"], task.parts["val"]])
    test, rng = task.parts["test"], np.random.default_rng([seed, 7])
    if len(pool) <= LEARN and len(test) <= JUDGE:
        return task
    chosen = [
        np.sort(some[learning_curve.order(_strata(task, some), rng)[:most]])
        for some, most in ((pool, LEARN), (test, JUDGE))
    ]
    keep = np.concatenate(chosen)
    n = len(chosen[0])
    parts = {"train": np.arange(n), "val": np.zeros(0, np.int64), "test": np.arange(n, len(keep))}
    return replace(task, examples=tuple(task.examples[i] for i in keep), parts=parts)


def ground(task: Task, card: Backbone, x: np.ndarray, seed: int, root: Path, run: Run) -> Ground:
    """x: (n, d), a row an example of the task"""
    y = task.objective.encode([e.label for e in task.examples])
    strata = _strata(task, np.arange(len(task.examples)))
    if task.folds is not None:
        numbers = np.unique(task.folds)
        splits = tuple((np.flatnonzero(task.folds != f), np.flatnonzero(task.folds == f)) for f in numbers)
    else:
        splits = ((np.concatenate([task.parts["train"], task.parts["val"]]), task.parts["test"]),)
    return Ground(task, card, np.asarray(x), y, strata, splits, seed, root, run)


def opened(here: Ground) -> Opened | None:
    """What the open network tells; None where there is none to open."""
    if not random_init_baseline.trainable(here.card):
        return None
    some = np.sort(np.random.default_rng([here.seed, 1]).permutation(here.learn)[:LOOKED])
    return random_init_baseline.opened([here.task.examples[i] for i in some], here.card, here.root)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The plain probe's scores for each split, each (m, k), and the seconds that one fit took."""

    scores: tuple[np.ndarray, ...]
    seconds: float


def answered(here: Ground) -> Answers:
    """What the plain probe on the backbone's rows says of what it is judged by."""
    begun = time.perf_counter()
    scores = tuple(_scores(here, here.x, split) for split in here.splits)
    return Answers(scores, (time.perf_counter() - begun) / len(scores))


def transfer(here: Ground, said: Answers) -> dict:
    """{"verdict", "against": {"stats", "untrained"}, "skip", "floor", "why"}: what borrowing gains over not borrowing.

    said:    of the backbone
    verdict: "helped" where the backbone's probe is surely better than each, "hurt" where it is surely worse than one
    skip:    the floor is as good.  why: it was not measured, "" where it was
    """
    floor = FLOOR.get(here.task.kind, "")
    blank = {"verdict": "cannot tell", "against": {}, "skip": False, "floor": floor}
    if not floor or here.card.name == floor:
        return {**blank, "why": "Nothing was borrowed, so there is nothing to compare."}
    against = {"stats": _against(here, said.scores, _floored(here, floor), here.splits)}
    if random_init_baseline.trainable(here.card):
        split = _some(here)
        both = np.concatenate(split)
        x = np.zeros((len(here.x), here.card.width), np.float32)
        drawn = random_init_baseline.rows([here.task.examples[i] for i in both], here.card, here.root)
        x = x[:, : drawn.shape[1]]
        x[both] = drawn
        against["untrained"] = _against(here, (_scores(here, here.x, split),), x, (split,))
    each = {a["verdict"] for a in against.values()}
    verdict = "hurt" if "worse" in each else "helped" if each == {"better"} else "cannot tell"
    near = against["stats"]
    skip = near["verdict"] != "better" and near["difference"] <= AS_GOOD
    return {**blank, "verdict": verdict, "against": against, "skip": skip, "why": ""}


def likeness(here: Ground, found: Opened | None, against: dict[str, dict]) -> Likeness | None:
    """How like what it has seen; None where nothing tells. against: what `transfer` compared it with"""
    rng = np.random.default_rng([here.seed, 2])
    measures: list[Measure] = []
    if here.task.kind == "text" and here.card.preprocess.kind in ("text", "pieces"):
        some = rng.permutation(here.learn)[:SEEN]
        measures.append(domain_similarity.pieces(*_pieces(here, [here.task.examples[i] for i in some]), rng))
    if here.card.family == "timm":
        head = member("backbones", "timm").classifier(here.card)
        if head is not None:
            some = rng.permutation(here.learn)[:SEEN]
            measures.append(domain_similarity.certainty(here.x[some], head[0], head[1], rng))
    if found is not None and found.layers:
        measures.append(domain_similarity.norms(found.layers, here.card.name, rng))
    if not measures and "stats" in against and against["stats"]["measure"] == "accuracy":
        measures.append(domain_similarity.lead(against["stats"]))
    return domain_similarity.together(measures) if measures else None


def probed(here: Ground, said: Answers) -> Probed:
    """How good the plain probe on the backbone's rows is, and its curve."""
    scores = said.scores
    y = here.y[np.concatenate([judge for _, judge in here.splits])]
    head = here.task.objective.measure(np.concatenate(scores), y, np.random.default_rng([here.seed, 1]))[0]
    measure, _ = merits(here.task.objective, scores[0], here.y[here.splits[0][1]])

    def worth(learn: np.ndarray, judge: np.ndarray) -> np.ndarray:
        return _worth(here, _scores(here, here.x, (learn, judge)), judge)

    whole = np.concatenate([_worth(here, s, judge) for s, (_, judge) in zip(scores, here.splits, strict=True)])
    found = learning_curve.measured(worth, whole, here.splits, here.strata, measure, here.seed)
    return Probed(head.name, head.value, head.low, head.high, head.chance, head.n, found, said.seconds)


def neighbours(here: Ground) -> dict | None:
    """How often the nearest example has the same class; None where labels are no classes."""
    if name_of(here.task.objective) != "classes":
        return None
    some = here.learn[learning_curve.order(here.strata[here.learn], np.random.default_rng([here.seed, 3]))[: 4 * SEEN]]
    return domain_similarity.purity(here.x[some], here.y[some])


def far(here: Ground, reference: object) -> dict | None:
    """Distances of the rows from those of a reference, and of one half of them from the other, to judge these by.

    Raises what reading and embedding raise.
    """
    if reference is None:
        return None
    rng = np.random.default_rng([here.seed, 4])
    examples = [e for part in reading(reference, label="").examples.values() for e in part]
    some = [examples[i] for i in np.sort(rng.permutation(len(examples))[:SEEN])]
    other = embed(some, here.card, here.card.cut(len(here.card.blocks)), here.root, here.run).x
    mine = here.x[rng.permutation(here.learn)[:SEEN]]
    half = len(mine) // 2
    return {
        "n": len(other),
        "data": domain_similarity.apart(mine, np.asarray(other), rng),
        "halves": domain_similarity.apart(mine[:half], mine[half:], rng),
    }


def per_class(task: Task) -> float | None:
    """Labels of the median class, or of the median tag; None for numbers. Of train and val."""
    pool = np.concatenate([task.parts["train"], task.parts["val"]])
    y = task.objective.encode([task.examples[i].label for i in pool])
    if task.objective.link == "identity":
        return None
    return float(np.median((y > 0).sum(0) if y.ndim == 2 else np.bincount(y, minlength=task.objective.width)))


def _strata(task: Task, index: np.ndarray) -> np.ndarray:
    keys = task.objective.strata([task.examples[i].label for i in index])
    return np.unique(np.array([str(k) for k in keys]), return_inverse=True)[1].reshape(-1)


def _scores(here: Ground, x: np.ndarray, split: Split) -> np.ndarray:
    """Of the default head, for the rows to judge by."""
    groups = tuple(e.group for e in here.task.examples) if any(e.group for e in here.task.examples) else ()
    whole = Features(x, here.y, tuple(e.id for e in here.task.examples), groups)
    learn, judge = (whole.rows(index) for index in split)
    return baseline(DEFAULT[name_of(here.task.objective)], learn, judge, here.task.objective, here.seed)


def _worth(here: Ground, scores: np.ndarray, judge: np.ndarray) -> np.ndarray:
    """What answers are worth, 1 at best: of numbers, 1 less the squared error in variances."""
    found = merits(here.task.objective, scores, here.y[judge])[1]
    return found if here.task.objective.link != "identity" else 1 + found / max(float(here.y.var()), 1e-12)


def _against(here: Ground, said: tuple[np.ndarray, ...], other: np.ndarray, splits: tuple[Split, ...]) -> dict:
    """A Paired as JSON: what a probe on the backbone said against one on other rows, and what both are worth."""
    y = here.y[np.concatenate([judge for _, judge in splits])]
    one, two = np.concatenate(said), np.concatenate([_scores(here, other, split) for split in splits])
    objective = here.task.objective
    values = {name: float(merits(objective, s, y)[1].mean()) for name, s in (("backbone", one), ("other", two))}
    return {**facts(paired(objective, one, two, y, here.seed)), **values}


def _floored(here: Ground, floor: str) -> np.ndarray:
    """(n, d) of the floor; zeros for what it cannot read, as a text without a word."""
    card = find_card(floor, here.root)
    rows: Rows = embed(here.task.examples, card, card.cut(len(card.blocks)), here.root, here.run)
    x = np.zeros((len(here.x), card.width), np.float32)
    x[rows.index] = rows.x
    return x


def _some(here: Ground) -> Split:
    """A small split for what is dear, with its share of every label."""
    learn, judge = here.splits[0]
    rng = np.random.default_rng([here.seed, 6])
    return (
        learn[learning_curve.order(here.strata[learn], rng)[: SOME[0]]],
        judge[learning_curve.order(here.strata[judge], rng)[: SOME[1]]],
    )


def _pieces(here: Ground, examples: list[Example]) -> tuple[np.ndarray, np.ndarray]:
    """(pieces, words) of each text that can be read."""
    spec: Any = here.card.preprocess
    texts = [str(content) for _, content in contents.stream(examples) if not isinstance(content, Unreadable)]
    ready = member("preprocess", spec.kind).prepare(texts, spec)
    pairs = [
        (sum(map(len, units)), len(text.split()))
        for text, units in zip(texts, ready, strict=True)
        if not isinstance(units, Unreadable)
    ]
    counts, words = zip(*pairs, strict=True)
    return np.array(counts, np.float64), np.array(words, np.float64)
