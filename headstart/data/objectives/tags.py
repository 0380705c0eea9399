"""Each example has any number of tags."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from headstart.core import statistics
from headstart.core.errors import SourceError
from headstart.core.result import Metric
from headstart.core.schema import check
from headstart.data.contents import valid_text
from headstart.data.objectives.classes import FACTS

WHOLE = re.compile("-?[0-9]{1,18}")  # not "--5", "²" or more digits than Python takes for a number
SEPARATORS = ";|,"
TAG_COLUMNS = ("tags", "tag", "labels", "categories", "keywords", "topics", "genres")
MIN_TAG_COUNT = 20  # examples of a tag; a rarer one is too few to keep its share in every part
PRECISION_CELLS = 20_000_000  # examples x tags x resamples of average precision, which must sort: about 1 s


def fits(labels: Sequence) -> bool:
    """Whether labels are lists."""
    return bool(labels) and all(isinstance(v, tuple | list) for v in labels)


def parse_tag_column(labels: Sequence, column: str) -> list[tuple] | None:
    """Words with separators as lists of tags, when the column's name says that it holds several; else None.

    One of ; | , must separate, or each label be a list as Python or JSON writes it.
    """
    return split_tags(labels) if column.lower() in TAG_COLUMNS else None


def split_tags(labels: Sequence) -> list[tuple] | None:
    """Words with a separator as lists of tags, None where there is none or labels are no words."""
    if not labels or not all(isinstance(v, str) for v in labels):
        return None
    if all(v.startswith("[") and v.endswith("]") for v in labels):
        return [_parse_list(v) for v in labels]
    separator = next((mark for mark in SEPARATORS if any(mark in v for v in labels)), None)
    if separator is None:
        return None
    return [tuple(tag.strip() for tag in v.split(separator) if tag.strip()) for v in labels]


def positions_of_ones(labels: Sequence) -> list[tuple] | None:
    """Lists of 0 and 1, all of one length, as the positions of the ones; None where labels are no such lists."""
    if not labels or not all(isinstance(v, tuple | list) for v in labels):
        return None
    widths = {len(v) for v in labels}
    marks = {str(entry) for v in labels for entry in v}
    if (
        len(widths) > 1
        or min(widths) < 2
        or not (marks <= {"0", "1"} or marks <= {"0.0", "1.0"} or marks <= {"True", "False"})
    ):
        return None
    return [tuple(str(i) for i, entry in enumerate(v) if str(entry) in ("1", "1.0", "True")) for v in labels]


def _parse_list(text: str) -> tuple:
    from ast import literal_eval

    try:
        tags = json.loads(text)
    except (ValueError, RecursionError):
        try:
            tags = literal_eval(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
            raise SourceError(f'The label {text[:80]!r} is not a list of tags, as in ["a", "b"].') from error
    return tuple(valid_text(str(tag)) for tag in tags)


def of(labels: Sequence) -> Tags:
    """The tags in labels, in order of spelling, or of size where all are whole numbers.

    Raises SourceError when there is none.
    """
    names = {tag for v in labels for tag in tag_names(v)}
    if not names:
        raise SourceError("No example has a tag, so there is nothing to learn.")
    numbers = all(WHOLE.fullmatch(tag) for tag in names)
    return Tags(tuple(sorted(names, key=lambda tag: (int(tag), tag)) if numbers else sorted(names)))


def restore(facts: dict) -> Tags:
    """Equal to the one that gave the facts. Raises ArtifactError where they are none."""
    check(facts, FACTS, "its labels", "Fit again, or restore it from a copy.")
    return Tags(tuple(facts["names"]))


def tag_names(label: object) -> tuple[str, ...]:
    """The tags of one example; a label that is no list is one tag."""
    return tuple(str(tag) for tag in label) if isinstance(label, tuple | list) else (str(label),)


@dataclass(frozen=True, slots=True)
class Tags:
    """A sigmoid a tag; y is (n, k) float32 of 0 and 1."""

    link: ClassVar[Literal["softmax", "sigmoid", "identity"]] = "sigmoid"
    names: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of tags."""
        return len(self.names)

    def facts(self) -> dict:
        """JSON for `restore`."""
        return {"names": list(self.names)}

    def strata(self, labels: Sequence) -> list:
        """The rarest tag of each example that still has RARE examples; "" where it has none."""
        counts = Counter(tag for v in labels for tag in tag_names(v))
        frequent = [[(counts[tag], tag) for tag in tag_names(v) if counts[tag] >= MIN_TAG_COUNT] for v in labels]
        keys = [min(tags, default=(0, ""))[1] for tags in frequent]
        # What remains of a tag after its rarer company took its examples can again be too few to stratify by.
        remaining = Counter(keys)
        return [k if remaining[k] >= MIN_TAG_COUNT else "" for k in keys]

    def encode(self, labels: Sequence) -> np.ndarray:
        """(n, k) float32. Raises SourceError for a tag that is unknown."""
        position = {n: i for i, n in enumerate(self.names)}
        y = np.zeros((len(labels), self.width), np.float32)
        for row, label in enumerate(labels):
            for tag in tag_names(label):
                if tag not in position:
                    raise SourceError(f"{tag!r} is none of the {self.width} tags: {', '.join(self.names[:10])}.")
                y[row, position[tag]] = 1
        return y

    def decode(self, scores: np.ndarray) -> list:
        """The tags of each row with a probability of one half or more."""
        return [tuple(self.names[i] for i in np.flatnonzero(row >= 0)) for row in scores]

    def targets(self, y: np.ndarray) -> np.ndarray:
        """(n, k) float32: 1 for a tag that is there, -1 for one that is not."""
        return (2 * y - 1).astype(np.float32)

    def loss(self, scores, y):
        """Mean binary cross-entropy in nats; torch tensors (b, k) and (b, k)."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(scores, y)

    def score(self, scores: np.ndarray, y: np.ndarray) -> float:
        """Micro-F1."""
        predicted = scores >= 0
        return float(2 * (predicted * y).sum() / max(predicted.sum() + y.sum(), 1))

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(n, k) float64, each by itself."""
        return np.exp(-np.logaddexp(0, -_bounded(scores)))

    def measure(self, scores: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[Metric, ...]:
        """Micro-F1, macro-F1, share of exact matches, log-loss in nats a tag, mean average precision.

        Macro-F1 averages over tags that are in y or predicted, average precision over those in y. Chance is one fixed
        answer for all: the best set of tags for micro-F1, every tag for macro-F1, the commonest set for exact matches,
        each tag's share for the others.
        """
        n, k = y.shape
        bounded, truth = _bounded(scores), y > 0.5
        predicted = bounded >= 0
        exact = (predicted == truth).all(1)
        losses = (np.logaddexp(0, bounded) - bounded * truth).mean(1)
        columns = np.column_stack([predicted & truth, truth, predicted, exact, losses]).astype(np.float64)

        def statistic(w: np.ndarray) -> np.ndarray:
            sums = w @ columns
            hits, trues, positives = np.split(sums[:, : 3 * k], 3, axis=1)
            total = trues + positives
            macro = (2 * hits / np.maximum(total, 1)).sum(1) / np.maximum((total > 0).sum(1), 1)
            micro = 2 * hits.sum(1) / np.maximum(total.sum(1), 1)
            return np.column_stack([micro, macro, sums[:, 3 * k :] / n])

        values, draws = statistics.bootstrap(statistic, n, rng)
        micro, macro, match, loss = values.tolist()
        precision, precision_draws = _average_precision(bounded, truth, rng)
        shares = truth.mean(0)
        present = shares[shares > 0]
        commonest = max(Counter(map(bytes, truth)).values()) / n
        inner = present[present < 1]
        entropy = float(-(inner * np.log(inner) + (1 - inner) * np.log(1 - inner)).sum()) / k
        all_tags, mean_share = float((2 * shares / (1 + shares)).mean()), float(present.mean()) if len(present) else 0.0
        interval = statistics.bootstrap_interval(precision, precision_draws, 0, 1)
        return (
            Metric("micro_f1", micro, *statistics.share_interval(micro, draws[:, 0], n), _best_constant(shares), n),
            Metric("macro_f1", macro, *statistics.share_interval(macro, draws[:, 1], n), all_tags, n),
            Metric("exact_match", match, *statistics.wilson_interval(int(exact.sum()), n), commonest, n),
            Metric("log_loss", loss, *statistics.bootstrap_interval(loss, draws[:, 3], 0), entropy, n, better="lower"),
            Metric("mean_average_precision", precision, *interval, mean_share, n),
        )

    def details(self, scores: np.ndarray, y: np.ndarray) -> dict:
        """A table of the tags, and the reliability of every single yes or no."""
        truth, predicted = y > 0.5, scores >= 0
        rows = []
        for i, tag in enumerate(self.names):
            hits, true, positives = (int(c[:, i].sum()) for c in (truth & predicted, truth, predicted))
            rows.append({"name": tag, "n": true, **statistics.precision_recall_f1(hits, true, positives)})
        p = self.probabilities(scores)
        curve = statistics.reliability_curve(np.maximum(p, 1 - p).ravel(), (predicted == truth).ravel())
        return {"kind": "tags", "names": list(self.names), "per_tag": rows, "reliability": curve}


def _average_precision(scores: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Mean average precision, and (r,) of its resamples: fewer than RESAMPLES, but 100, on large parts."""
    n, k = truth.shape
    resamples = int(np.clip(PRECISION_CELLS // max(n * k, 1), 100, statistics.RESAMPLES))
    order = np.argsort(-scores, axis=0, kind="stable")
    present = ((i, o) for i, o in enumerate(order.T) if truth[:, i].any())
    ranked = [(o, truth[o, i], np.flatnonzero(np.diff(scores[o, i], append=np.inf))) for i, o in present]

    def statistic(w: np.ndarray) -> np.ndarray:
        total, count = np.zeros(len(w)), np.zeros(len(w))
        for o, relevant, ends in ranked:
            sorted_w = w[:, o]
            # Only after the last of equal scores is there a threshold.
            hits, retrieved = np.cumsum(sorted_w * relevant, axis=1)[:, ends], np.cumsum(sorted_w, axis=1)[:, ends]
            gained = np.diff(hits, axis=1, prepend=0)
            positives = hits[:, -1]
            total += (gained * hits / np.maximum(retrieved, 1)).sum(1) / np.maximum(positives, 1)
            count += positives > 0
        return (total / np.maximum(count, 1))[:, None]

    (value,), draws = statistics.bootstrap(statistic, n, rng, resamples)
    return float(value), draws[:, 0]


def _bounded(scores: np.ndarray) -> np.ndarray:
    return np.clip(scores.astype(np.float64), -1e30, 1e30)


def _best_constant(shares: np.ndarray) -> float:
    """The best micro-F1 of naming one set of tags always: some number of the commonest."""
    ordered = np.sort(shares)[::-1]
    n_tags = np.arange(1, len(ordered) + 1)
    return float((2 * np.cumsum(ordered) / np.maximum(n_tags + ordered.sum(), 1e-12)).max())
