"""Each example has any number of tags."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from headstart.core.errors import SourceError
from headstart.core.result import Metric
from headstart.core.statistics import RESAMPLES, around, around_share, reliability, resampled, wilson

SEPARATORS = ";|,"
COLUMNS = ("tags", "tag", "labels", "categories", "keywords", "topics", "genres")
RARE = 20  # examples of a tag; a rarer one is too few to keep its share in every part
PRECISION_CELLS = 20_000_000  # examples x tags x resamples of average precision, which must sort: about 1 s


def fits(labels: Sequence) -> bool:
    """Whether labels are lists."""
    return bool(labels) and all(isinstance(v, tuple | list) for v in labels)


def parse(labels: Sequence, column: str) -> list[tuple] | None:
    """Words with separators as lists of tags, when the column's name says that it holds several; else None.

    One of ; | , must separate, or each label be a list as Python or JSON writes it.
    """
    return split(labels) if column.lower() in COLUMNS else None


def split(labels: Sequence) -> list[tuple] | None:
    """Words with a separator as lists of tags, None where there is none or labels are no words."""
    if not labels or not all(isinstance(v, str) for v in labels):
        return None
    if all(v.startswith("[") and v.endswith("]") for v in labels):
        return [_listed(v) for v in labels]
    used = [mark for mark in SEPARATORS if any(mark in v for v in labels)]
    if not used:
        return None
    return [tuple(tag.strip() for tag in v.split(used[0]) if tag.strip()) for v in labels]


def _listed(text: str) -> tuple:
    from ast import literal_eval

    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = literal_eval(text)
        except (ValueError, SyntaxError) as error:
            raise SourceError(f'The label {text[:80]!r} is not a list of tags, as in ["a", "b"].') from error
    return tuple(str(tag) for tag in found)


def of(labels: Sequence) -> Tags:
    """The tags in labels, in order of spelling, or of size where all are whole numbers.

    Raises SourceError when there is none.
    """
    found = {tag for v in labels for tag in names(v)}
    if not found:
        raise SourceError("No example has a tag, so there is nothing to learn.")
    numbers = all(tag.lstrip("-").isdigit() for tag in found)
    return Tags(tuple(sorted(found, key=int) if numbers else sorted(found)))


def restore(facts: dict) -> Tags:
    """Equal to the one that gave the facts."""
    return Tags(tuple(facts["names"]))


def names(label: object) -> tuple[str, ...]:
    """The tags of one example; a label that is no list is one tag."""
    return tuple(str(tag) for tag in label) if isinstance(label, tuple | list) else (str(label),)


@dataclass(frozen=True, slots=True)
class Tags:
    """A sigmoid a tag; y is (n, k) float32 of 0 and 1."""

    names: tuple[str, ...]

    @property
    def link(self) -> Literal["softmax", "sigmoid", "identity"]:
        """How scores become probabilities."""
        return "sigmoid"

    @property
    def width(self) -> int:
        """Number of tags."""
        return len(self.names)

    def facts(self) -> dict:
        """JSON for `restore`."""
        return {"names": list(self.names)}

    def strata(self, labels: Sequence) -> list:
        """The rarest tag of each example that still has RARE examples; "" where it has none."""
        counts = Counter(tag for v in labels for tag in names(v))
        keys = [min(((n, t) for t in names(v) if (n := counts[t]) >= RARE), default=(0, ""))[1] for v in labels]
        # What is left of a tag after its rarer company took its examples can again be too few to share out.
        left = Counter(keys)
        return [k if left[k] >= RARE else "" for k in keys]

    def encode(self, labels: Sequence) -> np.ndarray:
        """(n, k) float32. Raises SourceError for a tag that is unknown."""
        position = {n: i for i, n in enumerate(self.names)}
        y = np.zeros((len(labels), self.width), np.float32)
        for row, label in enumerate(labels):
            for tag in names(label):
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
        said = scores >= 0
        return float(2 * (said * y).sum() / max(said.sum() + y.sum(), 1))

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
        said = bounded >= 0
        exact = (said == truth).all(1)
        losses = (np.logaddexp(0, bounded) - bounded * truth).mean(1)
        columns = np.column_stack([said & truth, truth, said, exact, losses]).astype(np.float64)

        def statistic(w: np.ndarray) -> np.ndarray:
            sums = w @ columns
            hits, trues, saids = np.split(sums[:, : 3 * k], 3, axis=1)
            both = trues + saids
            macro = (2 * hits / np.maximum(both, 1)).sum(1) / np.maximum((both > 0).sum(1), 1)
            micro = 2 * hits.sum(1) / np.maximum(both.sum(1), 1)
            return np.column_stack([micro, macro, sums[:, 3 * k :] / n])

        (micro, macro, match, loss), drawn = resampled(statistic, n, rng)
        precision, precisions = self._precision(bounded, truth, rng)
        shares = truth.mean(0)
        present = shares[shares > 0]
        commonest = max(Counter(map(bytes, truth)).values()) / n
        inner = present[present < 1]
        entropy = float(-(inner * np.log(inner) + (1 - inner) * np.log(1 - inner)).sum()) / k
        return (
            Metric("micro_f1", float(micro), *around_share(float(micro), drawn[:, 0], n), _best_constant(shares), n),
            Metric(
                "macro_f1",
                float(macro),
                *around_share(float(macro), drawn[:, 1], n),
                float((2 * shares / (1 + shares)).mean()),
                n,
            ),
            Metric("exact_match", float(match), *wilson(int(exact.sum()), n), commonest, n),
            Metric("log_loss", float(loss), *around(float(loss), drawn[:, 3], 0), entropy, n, better="lower"),
            Metric(
                "mean_average_precision",
                precision,
                *around(precision, precisions, 0, 1),
                float(present.mean()) if len(present) else 0.0,
                n,
            ),
        )

    def _precision(self, scores: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> tuple[float, np.ndarray]:
        """Mean average precision, and (r,) of its resamples: fewer than RESAMPLES, but 100, on large parts."""
        n, k = truth.shape
        rows = int(np.clip(PRECISION_CELLS // max(n * k, 1), 100, RESAMPLES))
        order = np.argsort(-scores, axis=0, kind="stable")
        ranked = [
            (o, truth[o, i], np.flatnonzero(np.diff(scores[o, i], append=np.inf)))
            for i, o in enumerate(order.T)
            if truth[:, i].any()
        ]

        def statistic(w: np.ndarray) -> np.ndarray:
            total, count = np.zeros(len(w)), np.zeros(len(w))
            for o, right, ends in ranked:
                some = w[:, o]
                # Only after the last of equal scores is there a threshold.
                hits, seen = np.cumsum(some * right, axis=1)[:, ends], np.cumsum(some, axis=1)[:, ends]
                gained = np.diff(hits, axis=1, prepend=0)
                every = hits[:, -1]
                total += (gained * hits / np.maximum(seen, 1)).sum(1) / np.maximum(every, 1)
                count += every > 0
            return (total / np.maximum(count, 1))[:, None]

        (value,), drawn = resampled(statistic, n, rng, rows)
        return float(value), drawn[:, 0]

    def details(self, scores: np.ndarray, y: np.ndarray) -> dict:
        """A table of the tags, and the reliability of every single yes or no."""
        truth, said = y > 0.5, scores >= 0
        rows = []
        for i, tag in enumerate(self.names):
            hit, true, named = int((truth[:, i] & said[:, i]).sum()), int(truth[:, i].sum()), int(said[:, i].sum())
            f1 = 2 * hit / max(true + named, 1)
            rows.append(
                {"name": tag, "n": true, "precision": hit / max(named, 1), "recall": hit / max(true, 1), "f1": f1}
            )
        p = self.probabilities(scores)
        curve = reliability(np.maximum(p, 1 - p).ravel(), (said == truth).ravel())
        return {"kind": "tags", "names": list(self.names), "per_tag": rows, "reliability": curve}


def _bounded(scores: np.ndarray) -> np.ndarray:
    return np.clip(scores.astype(np.float64), -1e30, 1e30)


def _best_constant(shares: np.ndarray) -> float:
    """The best micro-F1 of naming one set of tags always: some number of the commonest."""
    ordered = np.sort(shares)[::-1]
    named = np.arange(1, len(ordered) + 1)
    return float((2 * np.cumsum(ordered) / np.maximum(named + ordered.sum(), 1e-12)).max())
