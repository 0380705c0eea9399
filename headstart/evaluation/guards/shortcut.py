"""Shortcut features: the size of the images, the file type or the length of the texts predicts the label.

Where classes were collected from different places (X-rays of the sick from one hospital, of the healthy from another),
a network learns the source. Source: Geirhos et al. 2020, Shortcut learning in deep neural networks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from headstart.core.observations import DataSurvey
from headstart.core.plugins import name_of
from headstart.core.result import Finding
from headstart.evaluation.measure import stratified_halves

watches = DataSurvey
BINS = 10  # quantile bins a feature
# Skill is the share of the way from the majority class to perfect accuracy.
MIN_SKILL_METADATA = 0.4  # of image size and file type, which are no content: a warning
MIN_SKILL_CONTENT = 0.8  # of mean colour and text length, which may be meant: a note
MIN_STANDARD_ERRORS = 3.0  # above the majority class
MAX_EXAMPLES = 20_000  # examples used
# A signature word: its share of the texts of one class and of all others, and the texts that class has at least.
MIN_IN_CLASS, MAX_OUTSIDE_CLASS, MIN_TEXTS = 0.95, 0.005, 8
WORD = re.compile(r"[^\W\d_]{2,}")


def look(value: DataSurvey) -> Iterator[Finding]:
    """Warns where image size or file type predicts the class; notes where mean colour or text length does."""
    if name_of(value.task.objective) != "classes":
        return
    n = min(MAX_EXAMPLES, len(value.task.examples))
    y = value.task.objective.encode([e.label for e in value.task.examples[:n]])
    if n < 40 or len(np.unique(y)) < 2:
        return
    chance = float(np.bincount(y).max() / n)
    yield from _signature_word(value, y)
    for name, columns, min_skill in _spurious_features(value, n):
        accuracy = naive_bayes_accuracy(columns, y)
        skill = (accuracy - chance) / (1 - chance)
        if skill < min_skill or accuracy - chance < MIN_STANDARD_ERRORS * (chance * (1 - chance) / n) ** 0.5:
            continue
        message = f"The {name} alone tells the class of {accuracy:.0%} of {n:,} examples "
        message += f"(the commonest class: {chance:.0%})."
        evidence = {"clue": name, "accuracy": accuracy, "chance": chance, "n": n}
        if min_skill == MIN_SKILL_METADATA:
            message += " A network may learn that instead of what you mean."
            fix = "collect all classes from the same sources; judge on data from a new source (--test)"
            yield Finding("shortcut", "warn", message, fix, evidence)
        else:
            fix = "if the class should not depend on it, judge on data where it varies (--test)"
            yield Finding("shortcut", "note", message, fix, evidence)


def _signature_word(value: DataSurvey, y: np.ndarray) -> Iterator[Finding]:
    """Notes a word in nearly all texts of one class and in hardly any other: a signature or a form."""
    texts = [e.content for e in value.task.examples[: len(y)]]
    if value.task.kind != "text" or not all(isinstance(t, str) for t in texts):
        return
    texts_with: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        for word in set(WORD.findall(str(text).lower())):
            texts_with.setdefault(word, []).append(i)
    total = np.bincount(y)
    names = value.task.objective.facts()["names"]
    for word, rows in sorted(texts_with.items()):
        counts = np.bincount(y[rows], minlength=len(total))
        k = int(counts.argmax())
        inside, outside = int(counts[k]), len(rows) - int(counts[k])
        rare_outside = outside <= MAX_OUTSIDE_CLASS * (len(y) - total[k])
        if total[k] >= MIN_TEXTS and inside >= MIN_IN_CLASS * total[k] and rare_outside:
            name = str(names[k])
            message = f"The word {word!r} stands in {inside} of {total[k]} texts of {name!r} and in {outside} others."
            fix = "if that is how the texts were collected, take it out; judge on texts from a new source (--test)"
            yield Finding("shortcut", "note", message, fix, {"clue": "word", "word": word, "class": name})
            return


def _spurious_features(value: DataSurvey, n: int) -> list[tuple[str, np.ndarray, float]]:
    """(name, (n, k) float64 values, minimum skill of a finding) of each candidate."""
    examples = value.task.examples[:n]
    if value.task.kind == "text":
        texts = [e.content if isinstance(e.content, str) else "" for e in examples]
        if not all(texts):
            return []
        return [
            ("length of the text", np.array([[len(t)] for t in texts], np.float64), MIN_SKILL_CONTENT),
            ("share of capitals, digits and marks", np.array([_character_shares(t) for t in texts]), MIN_SKILL_CONTENT),
        ]
    stats = value.image_stats
    if stats is None:
        return []
    suffixes = [Path(e.id).suffix.lower() if isinstance(e.content, Path) else "" for e in examples]
    file_types = sorted(set(suffixes))
    features = [
        ("size of the pictures", stats.size[:n].astype(np.float64), MIN_SKILL_METADATA),
        ("mean colour", stats.colour[:n].astype(np.float64), MIN_SKILL_CONTENT),
    ]
    if len(file_types) > 1:
        codes = np.array([[file_types.index(s)] for s in suffixes], np.float64)
        features.append(("type of the files", codes, MIN_SKILL_METADATA))
    return features


def _character_shares(text: str) -> list[float]:
    n = max(1, len(text))
    return [
        sum(c.isupper() for c in text) / n,
        sum(c.isdigit() for c in text) / n,
        sum(not c.isalnum() and not c.isspace() for c in text) / n,
    ]


def naive_bayes_accuracy(columns: np.ndarray, y: np.ndarray) -> float:
    """Twofold cross-validated accuracy of naive Bayes on binned (n, k) features."""
    folds = stratified_halves(y)
    edges = [np.unique(np.quantile(c, np.linspace(0, 1, BINS + 1)[1:-1])) for c in columns.T]
    binned = np.stack([np.searchsorted(e, c, side="right") for e, c in zip(edges, columns.T, strict=True)], axis=1)
    width, right = int(y.max()) + 1, 0
    for fold in (0, 1):
        train, test = folds != fold, folds == fold
        prior = np.bincount(y[train], minlength=width)
        scores = np.log(np.maximum(prior, 1e-9))[None].repeat(int(test.sum()), axis=0)
        for column in binned.T:
            counts = np.full((BINS + 1, width), 0.5)
            np.add.at(counts, (column[train], y[train]), 1)
            scores += np.log(counts / counts.sum(0))[column[test]]
        right += int((scores.argmax(1) == y[test]).sum())
    return right / len(y)
