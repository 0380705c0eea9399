"""Near-duplicates: photos of one moment, one photo saved twice, one text written twice. Equal bytes are told by digest.

Photos. Twins have fingerprints (glance.py) that differ in few bits, and rows of features whose cosine, each column at
mean 0 and spread 1, is high; both also beside what either has with the rest of the data, as flat, dark or drawn
pictures are all alike. Of copies made of four real sets (hymenoptera, trashnet, flowers102 at 64 pixels, neu_defects;
120 photos each, seen through vision-small) that finds, in this order: saved again at quality 40, 100, 97, 96 and 92 %;
brighter by a quarter, 96, 94, 97 and 74 %; cropped by 3 %, 97, 98, 96 and 69 %, by 6 %, 60, 79, 66 and 42 %; two thirds
as wide and saved at quality 60, 100, 91, 28 and 90 %. A backbone whose features change with the compression finds
fewer: mobilenetv2 27 % of neu_defects saved at quality 40. Of a burst it finds exposures between which little moved.
Not found: mirrored, turned, recoloured or more heavily cropped photos, and other views of the same thing. Taken for
twins though they are not: some simple drawings and digits of one kind, and gray surfaces that differ in grain alone.

Texts. Twins have the same words and neighbours of words, whatever their case, punctuation or long numbers; common words
weigh little. Rephrased texts are not found, nor is what stands beyond the first 4,096 characters.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from headstart.core.errors import Unreadable
from headstart.core.observations import Glances, Surveyed
from headstart.core.task import Example
from headstart.data import contents
from headstart.data.duplicates import similarity_joins

# Cosine of twins whose fingerprints are equal, and what each bit between them asks for more. On trashnet (2,527 photos,
# seen through vision-small) pairs at 0.78 and below are other things of one kind, as told by looking.
LIKE, STEP = 0.78, 0.01
# Of the distance to the nearest OTHERS of the data, the most that twins are apart: in features, and in bits. Of 711
# pairs of neu_defects that are otherwise close enough 35 are left, of 74 of trashnet's 54, of 41,914 of usps's 385.
APART, FEW, OTHERS = 0.25, 0.5, 0.05
# Prints that agree in all but MOSTLY bits, where those of the nearest others are TELLING away, speak for themselves:
# then a cosine of HALF and half of the distance do. Finds 91 instead of 71 % of trashnet's photos made smaller, 96
# instead of 77 % of flowers saved again, and one pair more in trashnet as it is.
MOSTLY, SAME, TELLING, HALF = 2, 0.15, 14, 0.5
SAMPLE = 512  # photos that stand for the rest
MOST = 300_000  # pairs of fingerprints that are looked at, the closest
SKETCH, SLACK = 128, 0.1  # numbers that stand for a row's many at first, and four times their error in a cosine of 0.85
CLOSEST, EACH = 10_000, 2  # pairs whose rows are compared, those that seem most alike: so many, or so many a photo
BLOCK = 2048  # pairs whose rows are held at once
# Weighted Jaccard of words and pairs of words. At 0.7: "Please CALL 0871… there is an urgent message", a question in
# another order; 0.6 takes in "… code word for the letter B" and "F" (trec6).
ALIKE = 0.7
LONG = 4096  # characters of a text that are looked at
WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
NUMBER = re.compile(r"\d{5,}")  # a telephone or an order number, not a year


@dataclass(frozen=True, slots=True)
class Pair:
    """Two near-duplicates, positions i < j in the task's examples. likeness: above 0, 1 is the most"""

    i: int
    j: int
    likeness: float


def pairs(survey: Surveyed) -> list[Pair]:
    """Near-duplicates among the examples of a task, the most alike first; none where they are bare vectors.

    Equal bytes are no pair. Of many equal ones each is paired with one on either side of the split.
    """
    task = survey.task
    at: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    where = np.zeros((len(task.examples), 2), np.int64)
    for number, (name, index) in enumerate(task.parts.items()):
        at[name] = index, survey.parts[name].x if len(index) else np.zeros((0, 0), np.float32)
        where[index] = np.stack([np.full(len(index), number), np.arange(len(index))], 1)
    xs = [x for _, x in at.values()]

    def rows(index: np.ndarray) -> np.ndarray:
        out = np.empty((len(index), max(x.shape[1] for x in xs)), np.float32)
        for number, x in enumerate(xs):
            mine = where[index, 0] == number
            if mine.any():
                out[mine] = x[where[index[mine], 1]]
        return out

    return _pairs(task.kind, task.examples, rows, survey.glances, sides(survey))


def shared(
    kind: str, examples: Sequence[Example], x: np.ndarray, glances: Glances | None, first: int
) -> list[tuple[int, int, float]]:
    """Of one list after another, examples[:first] and the rest: (i, j, likeness) of what stands in both, each i once.

    x: (n, d).  glances: of all of them, where they are photos.  Equal bytes have likeness 1
    """
    side = (np.arange(len(examples)) >= first).astype(np.int64)
    there = {e.digest: j for j, e in enumerate(examples[first:], first)}
    found = {i: (there[e.digest], 1.0) for i, e in enumerate(examples[:first]) if e.digest in there}
    for pair in _pairs(kind, examples, lambda index: x[index], glances, side):
        if pair.i < first <= pair.j:
            found.setdefault(pair.i, (pair.j, pair.likeness))
    return [(i, j, like) for i, (j, like) in sorted(found.items(), key=lambda item: -item[1][1])]


def sides(survey: Surveyed) -> np.ndarray:
    """(n,) int64, who is judged by whom: the fold; or 1 for the test part, 0 for what is learned and chosen from."""
    task = survey.task
    if task.folds is not None:
        return np.asarray(task.folds, np.int64)
    side = np.zeros(len(task.examples), np.int64)
    side[task.parts["test"]] = 1
    return side


def groups(n: int, some: Iterable[Pair]) -> np.ndarray:
    """(n,) int64, the first position of all that hang together through pairs; its own for what is alone."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for pair in some:
        a, b = root(pair.i), root(pair.j)
        parent[max(a, b)] = min(a, b)
    return np.array([root(i) for i in range(n)], np.int64)


def grouped(kind: str, examples: Sequence[Example], x: np.ndarray, glances: Glances | None) -> tuple[str, ...]:
    """A group for each example, "" = alone: the owner's own groups, joined where they hold near-duplicates.

    kind: of the task.  x: (n, d) float32 at the top of the frozen backbone.  glances: of the photos, else None
    """
    found = _pairs(kind, examples, lambda index: x[index], glances, np.zeros(len(examples), np.int64))
    first: dict[str, int] = {}
    named = [Pair(first.setdefault(e.group, i), i, 1.0) for i, e in enumerate(examples) if e.group]
    root = groups(len(examples), [*found, *named])
    names: dict[int, str] = {}
    for i in sorted(range(len(examples)), key=lambda i: examples[i].group):
        if examples[i].group:
            names.setdefault(int(root[i]), examples[i].group)
    many = np.bincount(root, minlength=len(examples)) > 1
    return tuple(names.get(r) or (f"twins of {examples[r].id}" if many[r] else "") for r in root.tolist())


def _pairs(
    kind: str,
    examples: Sequence[Example],
    rows: Callable[[np.ndarray], np.ndarray],
    glances: Glances | None,
    side: np.ndarray,
) -> list[Pair]:
    """rows: positions -> (m, d) float32"""
    if kind == "text":
        keys = [_written(content) for _, content in contents.stream(examples)]
    elif kind == "image" and glances is not None:
        blank = (glances.prints == 0) & ~glances.colour.any(1)
        keys = ["" if no else e.digest or e.id for e, no in zip(examples, blank.tolist(), strict=True)]
    else:
        return []
    members: dict[str, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        if key:
            members[key].append(i)
    having = list(members.values())
    first = np.array([some[0] for some in having], np.int64)
    a, b, likeness = _texts(list(members)) if glances is None else _photos(glances.prints[first], first, rows)
    joined = [(n, n, 1.0) for n, some in enumerate(having) if len(some) > 1] if kind == "text" else []
    joined += zip(a.tolist(), b.tolist(), likeness.tolist(), strict=True)
    one = [list({side[i]: i for i in reversed(some)}.values()) for some in having]
    found: dict[tuple[int, int], float] = {}
    for n, m, like in joined:
        for some, others in ((having[n], one[m]), (one[n], having[m])):
            for i in some:
                for j in others:
                    if examples[i].digest != examples[j].digest:
                        found[min(i, j), max(i, j)] = like
    return sorted((Pair(i, j, like) for (i, j), like in found.items()), key=lambda p: (-p.likeness, p.i, p.j))


def _written(content: object) -> str:
    """The words of a text, in lower case and one space apart; "" for what has none."""
    if isinstance(content, Unreadable):
        return ""
    text = content if isinstance(content, str) else contents.decoded(bytes(content))[0]  # type: ignore[call-overload]
    return NUMBER.sub("0", " ".join(WORDS.findall(text[:LONG].casefold())))


def _texts(keys: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of texts by their words and neighbouring words, with their ends."""
    known: dict[str, int] = {}
    words = [[known.setdefault(word, len(known) + 1) for word in key.split(" ")] for key in keys]
    sizes = np.array([len(some) for some in words], np.int64)
    owner = np.repeat(np.arange(len(keys)), sizes)
    word = np.array([n for some in words for n in some], np.int64)
    last = np.cumsum(sizes) - 1
    after, before = np.zeros_like(word), np.zeros_like(word)  # 0 is an end
    after[:-1], before[1:] = word[1:], word[:-1]
    after[last], before[last - sizes + 1] = 0, 0
    starts = before == 0
    two = len(known) + 1
    code = np.concatenate([word, two * word + two + after, two + word[starts]])
    element = np.unique(code, return_inverse=True)[1].reshape(-1)
    return similarity_joins.alike(
        similarity_joins.sets(np.concatenate([owner, owner, owner[starts]]), element, len(keys)), ALIKE
    )


def _photos(
    prints: np.ndarray, position: np.ndarray, rows: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of photos whose rows are rows(position)."""
    i, j, bits = similarity_joins.within(prints)
    closest = np.argsort(bits, kind="stable")[:MOST]
    i, j, bits = i[closest], j[closest], bits[closest]
    if not len(i):
        return i, j, bits.astype(np.float64)
    # The same numbers are drawn at every call: a finding is a function of the data.
    rng = np.random.default_rng(0)
    drawn = rng.permutation(len(position))[:SAMPLE]
    sample = rows(position[drawn])
    mean, spread = sample.mean(0), sample.std(0)
    gain = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-6 * np.maximum(np.abs(mean), 1e-3))

    def directions(index: np.ndarray) -> np.ndarray:
        return _unit((rows(position[index]) - mean) * gain)

    # Source: Johnson and Lindenstrauss 1984: cosines survive a projection on a few directions at random.
    few = rng.standard_normal((len(mean), SKETCH)).astype(np.float32)
    need = np.where(bits <= MOSTLY, HALF, LIKE + STEP * bits)
    sketch = np.zeros((len(position), SKETCH), np.float32)
    for index in _stretches(np.unique(np.concatenate([i, j]))):
        sketch[index] = _unit(directions(index) @ few)
    seems = _cosines(lambda index: sketch[index], i, j) - need
    some = np.flatnonzero(seems >= -SLACK)
    some = np.sort(some[np.argsort(-seems[some], kind="stable")[: max(CLOSEST, EACH * len(prints))]])
    i, j, bits, need = i[some], j[some], bits[some], need[some]
    cosine = _cosines(directions, i, j)
    near = cosine >= need
    i, j, bits, cosine = i[near], j[near], bits[near], cosine[near]
    rest, bits_rest = np.zeros(len(position)), np.zeros(len(position))
    others = directions(drawn)
    rank = min(len(drawn), 2 + int(np.ceil(OTHERS * len(drawn)))) - 1  # itself and its twin may be among them
    for index in _stretches(np.unique(np.concatenate([i, j]))):
        rest[index] = 1 + np.partition(-(directions(index) @ others.T), rank, axis=1)[:, rank]
        differ = np.bitwise_count(prints[index, None] ^ prints[drawn])
        bits_rest[index] = np.partition(differ, rank, axis=1)[:, rank]
    far, wide = np.minimum(rest[i], rest[j]), np.minimum(bits_rest[i], bits_rest[j])
    close = (cosine >= LIKE + STEP * bits) & (1 - cosine <= APART * far) & (bits <= FEW * wide)
    told = (bits <= np.minimum(MOSTLY, SAME * wide)) & (wide >= TELLING) & (1 - cosine <= HALF * far)
    apart = close | told
    return i[apart], j[apart], np.minimum(cosine[apart], 1.0)


def _cosines(directions: Callable[[np.ndarray], np.ndarray], i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """(m,) float64, products of directions(i) and directions(j); rows are taken once for BLOCK pairs."""
    out = np.zeros(len(i))
    order = np.argsort(i, kind="stable")
    for some in _stretches(order):
        index, at = np.unique(np.concatenate([i[some], j[some]]), return_inverse=True)
        z = directions(index)
        a, b = np.split(at.reshape(-1), 2)
        out[some] = np.einsum("ij,ij->i", z[a], z[b])
    return out


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _stretches(values: np.ndarray) -> Iterator[np.ndarray]:
    return (values[start : start + BLOCK] for start in range(0, len(values), BLOCK))
