"""Near-duplicates: photos of one moment, one photo saved twice, one text written twice. Equal bytes are told by digest.

Photos. Copies, however mirrored, turned, cropped or recoloured, and exposures between which little moved: copies.py.
Other views of the same thing are none.

Texts. Twins share their words and bigrams, whatever their case, punctuation or long numbers; common words
weigh little. Rephrased texts are not found, nor is what stands beyond the first 4,096 characters.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.core.errors import Unreadable
from headstart.core.observations import DataSurvey, ImageStats
from headstart.core.task import Example
from headstart.data.connected_components import connected_components
from headstart.data.contents import iter_contents
from headstart.data.duplicates.jaccard_join import build_sets, jaccard_join

# Weighted Jaccard of words and bigrams. At 0.7: "Please CALL 0871… there is an urgent message", a question in
# another order; 0.6 takes in "… code word for the letter B" and "F" (trec6).
MIN_JACCARD = 0.7
MAX_CHARACTERS = 4096  # of a text that are looked at
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
LONG_NUMBER = re.compile(r"\d{5,}")  # a telephone or an order number, not a year


@dataclass(frozen=True, slots=True)
class Pair:
    """Two near-duplicates, positions i < j in the task's examples. similarity: above 0, 1 is the most"""

    i: int
    j: int
    similarity: float


def find_near_duplicates(survey: DataSurvey) -> list[Pair]:
    """Near-duplicates among the examples of a task, the most similar first; none where they are bare vectors.

    Equal bytes are no pair. Of many equal ones each is paired with one on either side of the split.
    """
    task = survey.task
    return find_pairs(task.kind, task.examples, survey.image_stats, split_sides(survey))


def find_shared_examples(
    kind: str, examples: Sequence[Example], image_stats: ImageStats | None, n_first: int
) -> list[tuple[int, int, float]]:
    """Of two lists, examples[:n_first] and the rest: (i, j, similarity) of what stands in both, each i once.

    image_stats: of all of them, where they are photos.  Equal bytes have similarity 1
    """
    side = (np.arange(len(examples)) >= n_first).astype(np.int64)
    second = {e.digest: j for j, e in enumerate(examples[n_first:], n_first)}
    matches = {i: (second[e.digest], 1.0) for i, e in enumerate(examples[:n_first]) if e.digest in second}
    for pair in find_pairs(kind, examples, image_stats, side):
        if pair.i < n_first <= pair.j:
            matches.setdefault(pair.i, (pair.j, pair.similarity))
    return [(i, j, similarity) for i, (j, similarity) in sorted(matches.items(), key=lambda item: -item[1][1])]


def split_sides(survey: DataSurvey) -> np.ndarray:
    """(n,) int64, who is judged by whom: the fold; or 1 for the test part, 0 for what is learned and chosen from."""
    task = survey.task
    if task.folds is not None:
        return np.asarray(task.folds, np.int64)
    side = np.zeros(len(task.examples), np.int64)
    side[task.parts["test"]] = 1
    return side


def group_near_duplicates(kind: str, examples: Sequence[Example], image_stats: ImageStats | None) -> tuple[str, ...]:
    """A group for each example, "" = alone: the owner's own groups, joined where they hold near-duplicates.

    kind: of the task.  image_stats: of the photos, else None
    """
    pairs = find_pairs(kind, examples, image_stats, np.zeros(len(examples), np.int64))
    first: dict[str, int] = {}
    edges = [(pair.i, pair.j) for pair in pairs]
    edges += [(first.setdefault(e.group, i), i) for i, e in enumerate(examples) if e.group]
    component = connected_components(len(examples), edges)
    names: dict[int, str] = {}
    for i in sorted(range(len(examples)), key=lambda i: examples[i].group):
        if examples[i].group:
            names.setdefault(int(component[i]), examples[i].group)
    shared = np.bincount(component, minlength=len(examples)) > 1
    return tuple(names.get(c) or (f"twins of {examples[c].id}" if shared[c] else "") for c in component.tolist())


def find_pairs(kind: str, examples: Sequence[Example], image_stats: ImageStats | None, side: np.ndarray) -> list[Pair]:
    """Near-duplicates, the most similar first; equal bytes are no pair, and each is paired with one on either side.

    kind: of the task.  image_stats: of the photos, else None.  side: (n,) int64, of the split
    """
    if kind == "text":
        keys = [_normalize_text(content) for _, content in iter_contents(examples)]
    elif kind == "image" and image_stats is not None:
        blank = (image_stats.prints == 0) & ~image_stats.colour.any(1)
        keys = ["" if no else e.digest or e.id for e, no in zip(examples, blank.tolist(), strict=True)]
    else:
        return []
    positions: dict[str, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        if key:
            positions[key].append(i)
    clusters = list(positions.values())  # of one key each
    first = np.array([cluster[0] for cluster in clusters], np.int64)
    if image_stats is None:
        a, b, similarity = _text_pairs(list(positions))
    else:
        a, b, similarity = _copies(image_stats, first)
    joined = [(c, c, 1.0) for c, cluster in enumerate(clusters) if len(cluster) > 1] if kind == "text" else []
    joined += zip(a.tolist(), b.tolist(), similarity.tolist(), strict=True)
    one_per_side = [list({side[i]: i for i in reversed(cluster)}.values()) for cluster in clusters]
    pairs: dict[tuple[int, int], float] = {}
    for c, d, value in joined:
        for everyone, partners in ((clusters[c], one_per_side[d]), (one_per_side[c], clusters[d])):
            for i in everyone:
                for j in partners:
                    if examples[i].digest != examples[j].digest:
                        pairs[min(i, j), max(i, j)] = value
    return sorted((Pair(i, j, value) for (i, j), value in pairs.items()), key=lambda p: (-p.similarity, p.i, p.j))


def _normalize_text(content: object) -> str:
    """The words of a text, in lower case and one space apart; "" for what has none."""
    if isinstance(content, Unreadable):
        return ""
    text = content if isinstance(content, str) else bytes(content).decode("utf-8", "replace")  # type: ignore[call-overload]
    return LONG_NUMBER.sub("0", " ".join(WORD.findall(text[:MAX_CHARACTERS].casefold())))


def _text_pairs(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(i, j, similarity) of normalized texts by their words and bigrams, with their ends."""
    ids: dict[str, int] = {}
    words = [[ids.setdefault(word, len(ids) + 1) for word in text.split(" ")] for text in texts]
    lengths = np.array([len(text) for text in words], np.int64)
    owner = np.repeat(np.arange(len(texts)), lengths)
    word = np.array([n for text in words for n in text], np.int64)
    last = np.cumsum(lengths) - 1
    after, before = np.zeros_like(word), np.zeros_like(word)  # 0 is an end
    after[:-1], before[1:] = word[1:], word[:-1]
    after[last], before[last - lengths + 1] = 0, 0
    is_start = before == 0
    base = len(ids) + 1
    code = np.concatenate([word, base * word + base + after, base + word[is_start]])
    element = np.unique(code, return_inverse=True)[1].reshape(-1)
    sets = build_sets(np.concatenate([owner, owner, owner[is_start]]), element, len(texts))
    return jaccard_join(sets, MIN_JACCARD)


def _copies(image_stats: ImageStats, position: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(i, j, similarity), numbers in `position`, of photos that are copies."""
    number = np.full(len(image_stats.prints), -1)
    number[position] = np.arange(len(position))
    pairs = number[image_stats.copies]
    known = (pairs >= 0).all(1)
    return pairs[known].min(1), pairs[known].max(1), image_stats.likeness[known]
