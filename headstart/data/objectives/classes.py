"""Each example is of exactly one class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from headstart.core import statistics
from headstart.core.errors import SourceError
from headstart.core.result import Metric
from headstart.core.schema import check, distinct, record, text

CALIBRATION_BINS = 15  # of confidence; the number of Guo et al. 2017
MIN_DISTINCT_NUMBERS = 20  # distinct whole numbers that may be classes, however few examples there are
NUMBER = re.compile(r"-?\d{1,15}(\.\d+)?")
MAX_LABELS = 1 << 17
FACTS = record({"names": distinct(text(100_000), MAX_LABELS, 1)}, {"name": text(64)})  # of classes, and of tags
MAX_CONFUSIONS = 1500  # classes up to which the report holds every pair of them
MAX_CODES = 50  # distinct whole numbers from 0 on that are taken for classes without asking


def are_class_codes(labels: Sequence) -> bool:
    """Whether whole numbers are surely classes: two values, or 0, 1, 2 … at most MAX_CODES, each seen twice."""
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in labels):
        return False
    n = len(set(labels))
    return n == 2 or (n <= MAX_CODES and are_consecutive(labels))


def are_consecutive(labels: Sequence) -> bool:
    """Whether labels are 0, 1, 2 … without a gap, each at least twice."""
    counts = Counter(labels)
    in_a_row = all(isinstance(v, int) for v in counts) and sorted(counts) == list(range(len(counts)))
    return in_a_row and min(counts.values()) > 1


def fits(labels: Sequence) -> bool:
    """Whether labels can be classes: words, yes and no, or whole numbers that come again and again."""
    if not labels or not all(isinstance(v, str | bool | int | float) for v in labels):
        return False
    if any(isinstance(v, str | bool) for v in labels):
        return all(isinstance(v, str | bool | int) for v in labels)
    integers = all(float(v).is_integer() for v in labels)
    return are_class_codes(labels) or (integers and len(set(labels)) <= max(MIN_DISTINCT_NUMBERS, len(labels) / 2))


def of(labels: Sequence) -> Classes:
    """The classes in labels: words in order of spelling, numbers in order of size.

    Raises SourceError when there is only one, or a label is a list.
    """
    tags = next((v for v in labels if isinstance(v, tuple | list) and len(v) != 1), None)
    if tags is not None:
        raise SourceError(f"An example has {len(tags)} labels, {list(tags)!r}. For several at once say --task tags.")
    values = {class_name(v): v for v in labels}
    numbers = all(isinstance(v, int | float) or NUMBER.fullmatch(str(v)) for v in values.values())
    names = sorted(values, key=lambda n: (float(values[n]), n)) if numbers else sorted(values)
    if len(names) < 2:
        only = repr(names[0]) if names else "nothing"
        raise SourceError(f"All examples have the same label, {only}. Two classes are the least.")
    return Classes(tuple(names))


def restore(facts: dict) -> Classes:
    """Equal to the one that gave the facts. Raises ArtifactError where they are none."""
    check(facts, FACTS, "its labels", "Fit again, or restore it from a copy.")
    return Classes(tuple(facts["names"]))


def class_name(label: object) -> str:
    """A label as the class's name: 3 and 3.0 are "3"; a list of one is that one."""
    if isinstance(label, str):
        return label
    if isinstance(label, tuple | list) and len(label) == 1:
        label = label[0]
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


@dataclass(frozen=True, slots=True)
class Classes:
    """Softmax over named classes; y is (n,) int64 positions in `names`."""

    link: ClassVar[Literal["softmax", "sigmoid", "identity"]] = "softmax"
    names: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of classes."""
        return len(self.names)

    def facts(self) -> dict:
        """JSON for `restore`."""
        return {"names": list(self.names)}

    def strata(self, labels: Sequence) -> list:
        """Every class is its own."""
        return [class_name(v) for v in labels]

    def encode(self, labels: Sequence) -> np.ndarray:
        """(n,) int64. Raises SourceError for a label that is no class."""
        position = {n: i for i, n in enumerate(self.names)}
        try:
            return np.array([position[class_name(v)] for v in labels], dtype=np.int64)
        except KeyError as error:
            raise SourceError(
                f"{error.args[0]!r} is none of the {self.width} classes: {', '.join(self.names[:10])}."
            ) from error

    def decode(self, scores: np.ndarray) -> list:
        """The likeliest class of each row, by name."""
        return [self.names[i] for i in scores.argmax(1)]

    def targets(self, y: np.ndarray) -> np.ndarray:
        """(n, k) float32: 1 for the class, -1 for the others."""
        return np.where(np.arange(self.width) == y[:, None], 1.0, -1.0).astype(np.float32)

    def loss(self, scores, y):
        """Mean cross-entropy in nats; torch tensors (b, k) and (b,) int64."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(scores, y)

    def score(self, scores: np.ndarray, y: np.ndarray) -> float:
        """Accuracy."""
        return float((scores.argmax(1) == y).mean())

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(n, k) float64, rows of sum 1."""
        return np.exp(_log_softmax(scores))

    def measure(self, scores: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[Metric, ...]:
        """Accuracy, balanced accuracy, macro-F1, log-loss in nats, expected calibration error (15 bins of equal width).

        Balanced accuracy averages over the classes in y, macro-F1 over those in y or predicted. Log-loss counts a
        probability of 0 as 2.2e-16. Chance is what always the commonest class of y scores, for log-loss its entropy.
        """
        n, k = len(y), self.width
        order = np.argsort(y, kind="stable")
        logs, y = _log_softmax(scores[order]), y[order]
        predicted = logs.argmax(1)
        correct = predicted == y
        losses = -np.maximum(logs[np.arange(n), y], np.log(np.finfo(float).eps))
        confidence = np.exp(logs.max(1))
        gaps = np.zeros((n, CALIBRATION_BINS))
        gaps[np.arange(n), statistics.confidence_bins(confidence, CALIBRATION_BINS)] = correct - confidence
        sums = np.column_stack([losses, gaps]) / n

        ratios = _balanced_and_f1(y, predicted, k)

        def statistic(w: np.ndarray) -> np.ndarray:
            means = w @ sums
            return np.column_stack([*ratios(w), means[:, 0], np.abs(means[:, 1:]).sum(1)])

        values, draws = statistics.bootstrap(statistic, n, rng)
        balanced, f1, loss, ece = values.tolist()
        shares = np.bincount(y, minlength=k) / n
        top, present = float(shares.max()), int((shares > 0).sum())
        entropy = float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
        return (
            Metric("accuracy", float(correct.mean()), *statistics.wilson_interval(int(correct.sum()), n), top, n),
            Metric("balanced_accuracy", balanced, *statistics.share_interval(balanced, draws[:, 0], n), 1 / present, n),
            Metric("macro_f1", f1, *statistics.share_interval(f1, draws[:, 1], n), 2 * top / (1 + top) / present, n),
            Metric("log_loss", loss, *statistics.bootstrap_interval(loss, draws[:, 2], 0), entropy, n, better="lower"),
            Metric("ece", ece, *statistics.bootstrap_interval(ece, draws[:, 3], 0, 1), 0.0, n, better="lower"),
        )

    def details(self, scores: np.ndarray, y: np.ndarray) -> dict:
        """Confusions (rows are the truth), a table of the classes (the interval is that of recall), reliability.

        Of more than MAX_CONFUSIONS classes the confusions are left out: they are the square of that.
        """
        k = self.width
        logs = _log_softmax(scores)
        predicted = logs.argmax(1)
        few = k <= MAX_CONFUSIONS
        matrix = np.bincount(y * k + predicted, minlength=k * k).reshape(k, k).tolist() if few else []
        counts = [np.bincount(c, minlength=k).tolist() for c in (y[predicted == y], y, predicted)]
        rows = []
        for label, hits, true, positives in zip(self.names, *counts, strict=True):
            low, high = statistics.wilson_interval(hits, true)
            figures = statistics.precision_recall_f1(hits, true, positives)
            rows.append({"name": label, "n": true, **figures, "low": low, "high": high})
        curve = statistics.reliability_curve(np.exp(logs.max(1)), predicted == y, CALIBRATION_BINS)
        tables = {"confusion": matrix, "per_class": rows, "reliability": curve}
        return {"kind": "classes", "names": list(self.names), **tables}


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    """(n, k) float64; infinite scores count as very large, so that they cannot cancel to NaN."""
    bounded = np.clip(scores.astype(np.float64), -1e30, 1e30)
    shifted = bounded - bounded.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _balanced_and_f1(
    y: np.ndarray, predicted: np.ndarray, k: int
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """How often each example counts, (r, n), -> balanced accuracy and macro-F1, (r,) each. y is sorted."""
    by_prediction = np.argsort(predicted, kind="stable")
    true, true_starts = np.unique(y, return_index=True)
    named, named_starts = np.unique(predicted[by_prediction], return_index=True)
    correct = (predicted == y).astype(np.float64)

    def ratios(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hits, trues, positives = (np.zeros((len(w), k)) for _ in range(3))
        hits[:, true] = np.add.reduceat(w * correct, true_starts, axis=1)
        trues[:, true] = np.add.reduceat(w, true_starts, axis=1)
        positives[:, named] = np.add.reduceat(w[:, by_prediction], named_starts, axis=1)
        recall, f1 = hits / np.maximum(trues, 1), 2 * hits / np.maximum(trues + positives, 1)
        return recall.sum(1) / (trues > 0).sum(1), f1.sum(1) / (trues + positives > 0).sum(1)

    return ratios
