"""Label errors by confident learning: wrong labels cost more than anything that could be tuned.

An example is listed where a model that was not trained on it gives another class at least the probability that
examples of that class get on average. Source: Northcutt, Jiang and Chuang 2021, "Confident learning: estimating
uncertainty in dataset labels". The model is ridge regression with leave-one-out predictions in closed form (Allen
1974) and temperature scaling.

Precision and recall depend on how well the features separate the classes. On real data sets with 3 and 5 % of the
labels flipped at random, three times each, through our own backbones:
neu_defects 0.99, 0.83 and 1.00, 0.83; sms_spam 0.97, 0.72 and 0.98, 0.46; spoken_digits 0.96, 0.73 and 0.97, 0.65;
trashnet 0.61, 0.39 and 0.73, 0.30; trec6 0.56, 0.38 and 0.72, 0.35; agnews 0.48, 0.48 and 0.64, 0.42; banking77 0.47,
0.56 and 0.63, 0.50. False positives there include real label errors: with none flipped, 0.1 to 2.6 % are listed.
Silent on sst2, hymenoptera and flowers102, whose classes these features separate too badly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from headstart.core.features import Features, concatenate_rows, take_rows
from headstart.core.observations import DataSurvey
from headstart.core.plugins import name_of
from headstart.core.result import Finding
from headstart.training.heads.linear import Linear, column_scaling, scale_columns
from headstart.training.heads.temperature_scaling import calibrate

watches = DataSurvey
RIDGE_PENALTY = 0.3  # for rows of mean squared norm 1: within 1 % of the best log-loss of 1 to 0.01 on 5 data sets
MAX_SELF_CONFIDENCE, MIN_OTHER_CONFIDENCE = 0.05, 0.9  # of given and predicted class; 0.95 of both for two classes
MIN_ERROR_REDUCTION = 0.6  # against the majority class, below which the features know too little to list any label
MIN_PER_CLASS = 5  # examples of a class, below which none of them is listed
WARN_SHARE = 0.03  # of all labels listed: a warning
# A smaller share is one too where the list explains so much of the error: at most 0.18 on 9 data sets as they are.
WARN_SHARE_EXPLAINED, MIN_SHARE_OF_ERRORS = 0.01, 0.3
MIN_TRAIN = 2000  # training rows, however wide the features
MAX_GRAM_FLOPS = 8e9  # multiplications for the Gram matrix: 3,229 rows of 1,574 columns, 30,517 of 512
INVERSE_BLOCK = 256  # columns up to which numpy inverts
MAX_SHOWN = 24


@dataclass(frozen=True, slots=True, eq=False)
class LabelIssues:
    """Suspected label errors, most suspect first.

    index:     (m,) int64 rows.  predicted: (m,) int64, the class that each looks like
    predicted_probability, self_confidence: (m,) of the predicted class and of the given label
    error:     leave-one-out error rate on all rows.  n_train: rows that the model was trained on
    """

    index: np.ndarray
    predicted: np.ndarray
    predicted_probability: np.ndarray
    self_confidence: np.ndarray
    error: float
    n_train: int


def look(value: DataSurvey) -> Iterator[Finding]:
    """Warns where the model's own errors cannot explain the list, notes a short one; silent where features are weak."""
    if name_of(value.task.objective) != "classes":
        return
    issues, labels = disputed_labels(value)
    n, count = sum(map(len, value.parts.values())), len(labels)
    if not count:
        return
    share = count / n
    explains_errors = share >= WARN_SHARE_EXPLAINED and count >= MIN_SHARE_OF_ERRORS * issues.error * n
    first = "; ".join(f"{name} ({label}) looks like {other}" for name, label, other in labels[:3])
    sampled = f" A sample of {issues.n_train:,} examples was learned from." if issues.n_train < n else ""
    message = (
        f"The features dispute {count:,} of {n:,} labels ({share:.1%}): {first}{' …' if count > 3 else ''}. "
        f"Some of these are the model's mistakes, not yours.{sampled}"
    )
    shown = [
        {"id": name, "text": f"{label}, looks like {other} ({p:.0%})"}
        for (name, label, other), p in zip(labels[:MAX_SHOWN], issues.predicted_probability.tolist(), strict=False)
    ]
    evidence = {"examples": shown, "disputed": count, "of": n, "share": share, "error": issues.error}
    fix = "look at them, the most disputed first, and correct what is wrong"
    yield Finding("labels", "warn" if explains_errors or share >= WARN_SHARE else "note", message, fix, evidence)


def disputed_labels(survey: DataSurvey) -> tuple[LabelIssues, list[tuple[str, str, str]]]:
    """The suspected label errors of a classification task; of each the id, the label and the class it looks like."""
    parts = [part for part in survey.parts.values() if len(part)]
    issues = find_label_issues(parts, survey.task.objective.width)
    ids, names = [id for part in parts for id in part.ids], survey.task.objective.facts()["names"]
    y = np.concatenate([part.y for part in parts])
    pairs = zip(issues.index.tolist(), issues.predicted.tolist(), strict=True)
    return issues, [(ids[i], names[y[i]], names[j]) for i, j in pairs]


def find_label_issues(parts: list[Features], k: int) -> LabelIssues:
    """Suspected label errors by confident learning; none where the features cannot separate the classes.

    parts: (n, d) float32 rows and y of k classes.  Classes of fewer than MIN_PER_CLASS rows are left alone.
    """
    y = np.concatenate([part.y for part in parts])
    counts = np.bincount(y, minlength=k)
    no_rows = np.zeros(0, np.int64)
    none = LabelIssues(no_rows, no_rows, np.zeros(0), np.zeros(0), 1.0, 0)
    if len(y) < 2 * MIN_PER_CLASS or counts.max() == len(y):
        return none
    width = parts[0].x.shape[1]
    # The same rows at every call: a finding is a function of the data.
    train = np.sort(np.random.default_rng(0).permutation(len(y))[: max(MIN_TRAIN, int(MAX_GRAM_FLOPS / width**2))])
    scores = _leave_one_out_scores(parts, y, train, k)
    temperature = calibrate(scores, y, "softmax").temperature
    p = np.exp((scores - scores.max(1, keepdims=True)) / temperature)
    p /= p.sum(1, keepdims=True)
    error = float((scores.argmax(1) != y).mean())
    row = np.arange(len(y))
    own = p[row, y]
    threshold = np.bincount(y, own, minlength=k) / np.maximum(counts, 1)
    p[row, y] = 0
    confident = np.where(p >= threshold, p, 0)
    other = confident.argmax(1)
    high = confident[row, other]
    enough = counts[y] >= MIN_PER_CLASS
    index = np.flatnonzero((own < MAX_SELF_CONFIDENCE) & (high > MIN_OTHER_CONFIDENCE) & enough)
    # Listed errors count against the labels; only the remaining ones count against the features.
    if error - len(index) / len(y) > (1 - MIN_ERROR_REDUCTION) * (1 - counts.max() / len(y)):
        return none
    index = index[np.argsort(own[index] - high[index], kind="stable")]
    return LabelIssues(index, other[index], high[index], own[index], error, len(train))


def _leave_one_out_scores(parts: list[Features], y: np.ndarray, train: np.ndarray, k: int) -> np.ndarray:
    """(n, k) float64 scores of a ridge head trained on the rows `train`, each of these by leave-one-out."""
    edges = np.cumsum([0, *map(len, parts)])
    by_part = [train[(train >= a) & (train < b)] - a for a, b in pairwise(edges.tolist())]
    x = concatenate_rows([take_rows(part.x, index) for part, index in zip(parts, by_part, strict=True)])
    mean, gain = column_scaling(x)
    z = scale_columns(x, mean, gain)
    t = np.full((len(z), k), -1.0, np.float32)
    t[np.arange(len(z)), y[train]] = 1
    t_mean = t.mean(0)
    weight, left_out = _ridge_leave_one_out(z, t - t_mean)
    if len(train) == len(y):
        return (t_mean + left_out).astype(np.float64)
    weight = weight * gain[:, None].astype(np.float32)
    head = Linear(weight, t_mean - mean @ weight.astype(np.float64))
    scores = np.concatenate([head.scores(part.x) for part in parts]).astype(np.float64)
    scores[train] = t_mean + left_out
    return scores


def _ridge_leave_one_out(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge coefficients (d, k) and leave-one-out predictions (n, k). z: (n, d) float32; t: (n, k) of column mean 0."""
    n, d = z.shape
    if n <= d:
        gram = z @ z.T
        gram[np.diag_indices(n)] += RIDGE_PENALTY
        inverse = _blockwise_inverse(gram.astype(np.float64)).astype(np.float32)
        dual = inverse @ t
        residuals, leverage = RIDGE_PENALTY * dual, 1 - RIDGE_PENALTY * np.diag(inverse)
        weight = z.T @ dual
    else:
        gram = z.T @ z
        gram[np.diag_indices(d)] += RIDGE_PENALTY
        inverse = _blockwise_inverse(gram.astype(np.float64)).astype(np.float32)
        weight = inverse @ (z.T @ t)
        residuals, leverage = t - z @ weight, np.einsum("ij,ij->i", z @ inverse, z)
    return weight, t - residuals / np.maximum(1 - leverage - 1 / n, 1e-6)[:, None]


def _blockwise_inverse(a: np.ndarray) -> np.ndarray:
    """Inverse of a positive definite matrix: 1,500 columns in 0.2 s, numpy's in 0.8 s (OpenBLAS 0.3.31, 1 core)."""
    half = len(a) // 2
    if len(a) <= INVERSE_BLOCK:
        return np.linalg.inv(a)
    first = _blockwise_inverse(a[:half, :half])
    across = first @ a[:half, half:]
    schur = a[half:, half:] - across.T @ a[:half, half:]
    last = _blockwise_inverse((schur + schur.T) / 2)  # asymmetry from rounding would grow from block to block
    corner = across @ last
    return np.block([[first + corner @ across.T, -corner], [-corner.T, last]])
