"""Transferability of a backbone, estimated on a bounded sample: domain similarity, transfer gain, learning curve."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.cards import find_card
from headstart.backbones.catalogue import BASELINE
from headstart.core.backbone import Backbone
from headstart.core.errors import Unreadable
from headstart.core.features import Features
from headstart.core.options import DataOptions
from headstart.core.paired_comparison import compare_scores, per_example_scores
from headstart.core.plugins import member, name_of
from headstart.core.run import Run
from headstart.core.task import Example, Task
from headstart.data import contents
from headstart.data.read import read_source
from headstart.evaluation.measure import baseline_scores
from headstart.evaluation.transferability import domain_similarity, learning_curve, random_init_baseline
from headstart.evaluation.transferability.domain_similarity import SimilarityEstimate, SimilarityMeasure
from headstart.evaluation.transferability.learning_curve import LearningCurve, Split
from headstart.evaluation.transferability.random_init_baseline import NetworkProfile
from headstart.features.extract import Rows, embed
from headstart.training.heads.probe import probe_method

MAX_TRAIN, MAX_TEST = 2_000, 1_000  # examples: a plan should take seconds
RANDOM_INIT_SAMPLE = 400, 200  # examples embedded with random weights: to train and to test the probe
FORWARD_SAMPLE = 64  # examples that profile the network
SIMILARITY_SAMPLE = 256  # examples for the similarity measures, 1-NN and reference distances
EQUIVALENCE_MARGIN = 0.01  # the floor is as good where it is not significantly worse and at most this far behind


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedSample:
    """Embedded examples of a task with their splits, on which transferability is estimated.

    x: (n, d) float32 embeddings.  y: (n,) or (n, k).  strata: (n,) int64
    splits: (train rows, test rows): one, or one a fold
    """

    task: Task
    backbone: Backbone
    x: np.ndarray
    y: np.ndarray
    strata: np.ndarray
    splits: tuple[Split, ...]
    seed: int
    root: Path
    run: Run

    @property
    def train_rows(self) -> np.ndarray:
        """Rows outside the test set; all of them under cross-validation."""
        return self.splits[0][0] if self.task.folds is None else np.arange(len(self.x))

    def examples(self, rows: np.ndarray) -> list[Example]:
        """The task's examples at these rows."""
        return [self.task.examples[i] for i in rows]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The linear probe's headline metric with its 95 % interval, its learning curve, and the seconds of one fit."""

    metric: str
    value: float
    low: float
    high: float
    chance: float
    n: int
    curve: LearningCurve | None
    seconds: float


def subsample(task: Task, seed: int) -> Task:
    """The task with stratified samples of at most MAX_TRAIN training and MAX_TEST test examples; folds stay."""
    if task.folds is not None:
        return task
    pool = np.concatenate([task.parts["train"], task.parts["val"]])
    test, rng = task.parts["test"], np.random.default_rng([seed, 7])
    if len(pool) <= MAX_TRAIN and len(test) <= MAX_TEST:
        return task
    train, test = (
        np.sort(rows[learning_curve.stratified_order(_strata(task, rows), rng)[:limit]])
        for rows, limit in ((pool, MAX_TRAIN), (test, MAX_TEST))
    )
    sampled, n = np.concatenate([train, test]), len(train)
    parts = {"train": np.arange(n), "val": np.zeros(0, np.int64), "test": np.arange(n, len(sampled))}
    return replace(task, examples=tuple(task.examples[i] for i in sampled), parts=parts)


def embedded_sample(task: Task, backbone: Backbone, x: np.ndarray, seed: int, root: Path, run: Run) -> EmbeddedSample:
    """The sample with labels encoded and splits resolved. x: (n, d) embeddings of the task's examples"""
    y = task.objective.encode([e.label for e in task.examples])
    strata = _strata(task, np.arange(len(task.examples)))
    if task.folds is not None:
        numbers = np.unique(task.folds)
        splits = tuple((np.flatnonzero(task.folds != f), np.flatnonzero(task.folds == f)) for f in numbers)
    else:
        splits = ((np.concatenate([task.parts["train"], task.parts["val"]]), task.parts["test"]),)
    return EmbeddedSample(task, backbone, np.asarray(x), y, strata, splits, seed, root, run)


def profile_network(sample: EmbeddedSample) -> NetworkProfile | None:
    """Profile of the loaded network on FORWARD_SAMPLE training examples; None where torch cannot train it."""
    if not random_init_baseline.is_trainable(sample.backbone):
        return None
    rows = np.sort(np.random.default_rng([sample.seed, 1]).permutation(sample.train_rows)[:FORWARD_SAMPLE])
    return random_init_baseline.profile_network(sample.examples(rows), sample.backbone, sample.root)


@dataclass(frozen=True, slots=True, eq=False)
class ProbeScores:
    """The linear probe's scores on each split's test rows, each (m, k), and the seconds of one fit."""

    scores: tuple[np.ndarray, ...]
    seconds: float


def probe_scores(sample: EmbeddedSample) -> ProbeScores:
    """Fits the linear probe on the backbone's embeddings once a split and scores the test rows."""
    started = time.perf_counter()
    scores = tuple(_head_scores(sample, sample.x, split) for split in sample.splits)
    return ProbeScores(scores, (time.perf_counter() - started) / len(scores))


def transfer_gain(sample: EmbeddedSample, probe: ProbeScores) -> dict:
    """{"verdict", "against": {"stats", "untrained"}, "skip", "floor", "why"}: the backbone against no transfer.

    probe:   scores on the backbone's embeddings
    verdict: "helped" where the probe is significantly better than every baseline, "hurt" where it is worse than one
    skip:    the floor is as good.  why: the reason for not comparing, "" where it was done
    """
    floor = BASELINE.get(sample.task.kind, "")
    blank = {"verdict": "cannot tell", "against": {}, "skip": False, "floor": floor}
    if not floor or sample.backbone.name == floor:
        return {**blank, "why": "Nothing was borrowed, so there is nothing to compare."}
    against = {"stats": _compare_probes(sample, probe.scores, _floor_embeddings(sample, floor), sample.splits)}
    if random_init_baseline.is_trainable(sample.backbone):
        split = _random_init_split(sample)
        rows = np.concatenate(split)
        embeddings = random_init_baseline.random_init_embeddings(sample.examples(rows), sample.backbone, sample.root)
        x = np.zeros((len(sample.x), embeddings.shape[1]), np.float32)
        x[rows] = embeddings
        against["untrained"] = _compare_probes(sample, (_head_scores(sample, sample.x, split),), x, (split,))
    verdicts = {pair["verdict"] for pair in against.values()}
    verdict = "hurt" if "worse" in verdicts else "helped" if verdicts == {"better"} else "cannot tell"
    to_floor = against["stats"]
    skip = to_floor["verdict"] != "better" and to_floor["difference"] <= EQUIVALENCE_MARGIN
    return {**blank, "verdict": verdict, "against": against, "skip": skip, "why": ""}


def estimate_similarity(
    sample: EmbeddedSample, network: NetworkProfile | None, against: dict[str, dict]
) -> SimilarityEstimate | None:
    """Domain similarity from whatever the checkpoint carries; None without any. against: of `transfer_gain`"""
    rng = np.random.default_rng([sample.seed, 2])
    measures: list[SimilarityMeasure] = []
    if sample.task.kind == "text" and sample.backbone.preprocess.kind in ("text", "pieces"):
        rows = rng.permutation(sample.train_rows)[:SIMILARITY_SAMPLE]
        tokens, words = _subword_counts(sample.backbone, sample.examples(rows))
        measures.append(domain_similarity.subwords_per_word(tokens, words, rng))
    if sample.backbone.family == "timm":
        head = member("backbones", "timm").classifier(sample.backbone)
        if head is not None:
            rows = rng.permutation(sample.train_rows)[:SIMILARITY_SAMPLE]
            measures.append(domain_similarity.classifier_certainty(sample.x[rows], head[0], head[1], rng))
    if network is not None and network.layers:
        measures.append(domain_similarity.batchnorm_distance(network.layers, sample.backbone.name, rng))
    if not measures and "stats" in against and against["stats"]["measure"] == "accuracy":
        measures.append(domain_similarity.remaining_error(against["stats"]))
    return domain_similarity.combine_measures(measures) if measures else None


def evaluate_probe(sample: EmbeddedSample, probe: ProbeScores) -> ProbeResult:
    """The linear probe's headline metric and its learning curve."""
    scores, tests = probe.scores, [test for _, test in sample.splits]
    y = sample.y[np.concatenate(tests)]
    headline = sample.task.objective.measure(np.concatenate(scores), y, np.random.default_rng([sample.seed, 1]))[0]
    measure, _ = per_example_scores(sample.task.objective, scores[0], sample.y[tests[0]])

    def score(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        return _example_scores(sample, _head_scores(sample, sample.x, (train, test)), test)

    full = np.concatenate([_example_scores(sample, s, test) for s, test in zip(scores, tests, strict=True)])
    curve = learning_curve.measure_curve(score, full, sample.splits, sample.strata, measure, sample.seed)
    interval = headline.value, headline.low, headline.high
    return ProbeResult(headline.name, *interval, headline.chance, headline.n, curve, probe.seconds)


def neighbour_purity(sample: EmbeddedSample) -> dict | None:
    """Leave-one-out 1-NN accuracy on the embeddings; None unless the task is classification."""
    if name_of(sample.task.objective) != "classes":
        return None
    rng = np.random.default_rng([sample.seed, 3])
    order = learning_curve.stratified_order(sample.strata[sample.train_rows], rng)
    rows = sample.train_rows[order[: 4 * SIMILARITY_SAMPLE]]
    return domain_similarity.nearest_neighbour_purity(sample.x[rows], sample.y[rows])


def reference_distances(sample: EmbeddedSample, reference: object) -> dict | None:
    """Distribution shift between the sample and a reference data set, beside that between halves of the sample.

    Raises what reading and embedding raise.
    """
    if reference is None:
        return None
    rng = np.random.default_rng([sample.seed, 4])
    examples = [e for part in read_source(reference, DataOptions(label="")).examples.values() for e in part]
    drawn = [examples[i] for i in np.sort(rng.permutation(len(examples))[:SIMILARITY_SAMPLE])]
    backbone = sample.backbone
    reference_x = embed(drawn, backbone, backbone.cut(len(backbone.blocks)), sample.root, sample.run).x
    x = sample.x[rng.permutation(sample.train_rows)[:SIMILARITY_SAMPLE]]
    half = len(x) // 2
    return {
        "n": len(reference_x),
        "data": domain_similarity.distribution_distances(x, np.asarray(reference_x), rng),
        "halves": domain_similarity.distribution_distances(x[:half], x[half:], rng),
    }


def labels_per_class(task: Task) -> float | None:
    """Labels of the median class or tag in train and val; None for regression."""
    pool = np.concatenate([task.parts["train"], task.parts["val"]])
    y = task.objective.encode([task.examples[i].label for i in pool])
    if task.objective.link == "identity":
        return None
    return float(np.median((y > 0).sum(0) if y.ndim == 2 else np.bincount(y, minlength=task.objective.width)))


def _strata(task: Task, index: np.ndarray) -> np.ndarray:
    keys = task.objective.strata([task.examples[i].label for i in index])
    return np.unique(np.array([str(k) for k in keys]), return_inverse=True)[1].reshape(-1)


def _head_scores(sample: EmbeddedSample, x: np.ndarray, split: Split) -> np.ndarray:
    """Scores of the objective's default head on the split's test rows."""
    groups = tuple(e.group for e in sample.task.examples) if any(e.group for e in sample.task.examples) else ()
    features = Features(x, sample.y, tuple(e.id for e in sample.task.examples), groups)
    train, test = (features.rows(rows) for rows in split)
    objective = sample.task.objective
    return baseline_scores(probe_method(objective), train, test, objective, sample.seed)


def _example_scores(sample: EmbeddedSample, scores: np.ndarray, test: np.ndarray) -> np.ndarray:
    """(m,) score of each test row, 1 at best: for regression 1 less the squared error over the variance."""
    values = per_example_scores(sample.task.objective, scores, sample.y[test])[1]
    return values if sample.task.objective.link != "identity" else 1 + values / max(float(sample.y.var()), 1e-12)


def _compare_probes(
    sample: EmbeddedSample, scores: tuple[np.ndarray, ...], other_x: np.ndarray, splits: tuple[Split, ...]
) -> dict:
    """Paired comparison as JSON of the backbone's probe with one on other embeddings, with the mean score of both."""
    y, objective = sample.y[np.concatenate([test for _, test in splits])], sample.task.objective
    backbone = np.concatenate(scores)
    other = np.concatenate([_head_scores(sample, other_x, split) for split in splits])
    pair = asdict(compare_scores(objective, backbone, other, y, sample.seed))
    means = (float(per_example_scores(objective, s, y)[1].mean()) for s in (backbone, other))
    return {**pair, **dict(zip(("backbone", "other"), means, strict=True))}


def _floor_embeddings(sample: EmbeddedSample, floor: str) -> np.ndarray:
    """(n, d) embeddings by the floor; zeros for what it cannot read, such as a text without words."""
    backbone = find_card(floor, sample.root).with_range(sample.backbone.preprocess.pixel_range or ())
    rows: Rows = embed(sample.task.examples, backbone, backbone.cut(len(backbone.blocks)), sample.root, sample.run)
    x = np.zeros((len(sample.x), backbone.width), np.float32)
    x[rows.index] = rows.x
    return x


def _random_init_split(sample: EmbeddedSample) -> Split:
    """A stratified subset of the first split, for embedding with random weights."""
    rng = np.random.default_rng([sample.seed, 6])
    train, test = (
        rows[learning_curve.stratified_order(sample.strata[rows], rng)[:limit]]
        for rows, limit in zip(sample.splits[0], RANDOM_INIT_SAMPLE, strict=True)
    )
    return train, test


def _subword_counts(backbone: Backbone, examples: list[Example]) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, words) of each readable text."""
    preprocess: Any = backbone.preprocess
    texts = [str(content) for _, content in contents.iter_contents(examples) if not isinstance(content, Unreadable)]
    windows = member("preprocess", preprocess.kind).prepare(texts, preprocess)
    pairs = [
        (sum(map(len, tokens)), len(text.split()))
        for text, tokens in zip(texts, windows, strict=True)
        if not isinstance(tokens, Unreadable)
    ]
    counts, words = zip(*pairs, strict=True)
    return np.array(counts, np.float64), np.array(words, np.float64)
