"""Something beside the point gives the label away: the size of the pictures, the type of files, the length of texts.

Where classes were collected from different places (X-rays of the sick from one hospital, of the healthy from another),
a network learns the place. Source: Geirhos et al. 2020, Shortcut learning in deep neural networks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from headstart.core.observations import Surveyed
from headstart.core.plugins import name_of
from headstart.core.result import Finding

watches = Surveyed
BINS = 10  # of equal count, a number
OUTSIDE = 0.4  # of the way from the commonest class to always right, by what is no part of the picture: worth a warning
INSIDE = 0.8  # by the mean colour or the length, which may well be meant: worth a note
SURE = 3.0  # standard errors above the commonest class
MOST = 20_000  # examples looked at
WITHIN, BEYOND, LEAST = 0.95, 0.005, 8  # share of a class that a word stands in, of all others, and texts of the class
WORD = re.compile(r"[^\W\d_]{2,}")


def look(value: Surveyed) -> Iterator[Finding]:
    """Warns where the size or the type of the files tells the classes apart; notes where colour or length does."""
    if name_of(value.task.objective) != "classes":
        return
    n = min(MOST, len(value.task.examples))
    y = value.task.objective.encode([e.label for e in value.task.examples[:n]])
    if n < 40 or len(np.unique(y)) < 2:
        return
    chance = float(np.bincount(y).max() / n)
    yield from _telling_word(value, y)
    for what, columns, limit in _clues(value, n):
        right = guessed(columns, y)
        skill = (right - chance) / (1 - chance)
        if skill < limit or right - chance < SURE * (chance * (1 - chance) / n) ** 0.5:
            continue
        message = (
            f"The {what} alone tells the class of {right:.0%} of {n:,} examples (the commonest class: {chance:.0%})."
        )
        evidence = {"clue": what, "accuracy": right, "chance": chance, "n": n}
        if limit == OUTSIDE:
            message += " A network may learn that instead of what you mean."
            fix = "collect all classes from the same sources; judge on data from a new source (--test)"
            yield Finding("shortcut", "warn", message, fix, evidence)
        else:
            fix = "if the class should not depend on it, judge on data where it varies (--test)"
            yield Finding("shortcut", "note", message, fix, evidence)


def _telling_word(value: Surveyed, y: np.ndarray) -> Iterator[Finding]:
    """Notes a word that stands in nearly all texts of one class and in hardly any other: a signature or a form."""
    texts = [e.content for e in value.task.examples[: len(y)]]
    if value.task.kind != "text" or not all(isinstance(t, str) for t in texts):
        return
    holding: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        for word in set(WORD.findall(str(text).lower())):
            holding.setdefault(word, []).append(i)
    total = np.bincount(y)
    names = value.task.objective.facts()["names"]
    for word, rows in sorted(holding.items()):
        counts = np.bincount(y[rows], minlength=len(total))
        k = int(counts.argmax())
        inside, outside = int(counts[k]), len(rows) - int(counts[k])
        if total[k] >= LEAST and inside >= WITHIN * total[k] and outside <= BEYOND * (len(y) - total[k]):
            name = str(names[k])
            message = f"The word {word!r} stands in {inside} of {total[k]} texts of {name!r} and in {outside} others."
            fix = "if that is how the texts were collected, take it out; judge on texts from a new source (--test)"
            yield Finding("shortcut", "note", message, fix, {"clue": "word", "word": word, "class": name})
            return


def _clues(value: Surveyed, n: int) -> list[tuple[str, np.ndarray, float]]:
    """(what, (n, k) float64, the skill from which it is worth a word)."""
    examples = value.task.examples[:n]
    if value.task.kind == "text":
        texts = [e.content if isinstance(e.content, str) else "" for e in examples]
        if not all(texts):
            return []
        return [
            ("length of the text", np.array([[len(t)] for t in texts], np.float64), INSIDE),
            ("share of capitals, digits and marks", np.array([_shares(t) for t in texts]), INSIDE),
        ]
    some = value.glances
    if some is None:
        return []
    suffixes = [Path(e.id).suffix.lower() if isinstance(e.content, Path) else "" for e in examples]
    kinds = sorted(set(suffixes))
    clues = [
        ("size of the pictures", some.size[:n].astype(np.float64), OUTSIDE),
        ("mean colour", some.colour[:n].astype(np.float64), INSIDE),
    ]
    if len(kinds) > 1:
        clues.append(("type of the files", np.array([[kinds.index(s)] for s in suffixes], np.float64), OUTSIDE))
    return clues


def _shares(text: str) -> list[float]:
    n = max(1, len(text))
    return [
        sum(c.isupper() for c in text) / n,
        sum(c.isdigit() for c in text) / n,
        sum(not c.isalnum() and not c.isspace() for c in text) / n,
    ]


def guessed(columns: np.ndarray, y: np.ndarray) -> float:
    """Share of examples whose class naive Bayes over bins of (n, k) numbers guesses, each half from the other half."""
    order = np.argsort(y, kind="stable")
    half = np.empty(len(y), np.int64)
    half[order] = np.arange(len(y)) % 2
    edges = [np.unique(np.quantile(c, np.linspace(0, 1, BINS + 1)[1:-1])) for c in columns.T]
    binned = np.stack([np.searchsorted(e, c, side="right") for e, c in zip(edges, columns.T, strict=True)], axis=1)
    width, right = int(y.max()) + 1, 0
    for side in (0, 1):
        learn, held = half != side, half == side
        prior = np.bincount(y[learn], minlength=width)
        score = np.log(np.maximum(prior, 1e-9))[None].repeat(int(held.sum()), axis=0)
        for column in binned.T:
            table = np.full((BINS + 1, width), 0.5)
            np.add.at(table, (column[learn], y[learn]), 1)
            score += np.log(table / table.sum(0))[column[held]]
        right += int((score.argmax(1) == y[held]).sum())
    return right / len(y)
