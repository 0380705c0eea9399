"""Near-duplicates: photos of one moment, one photo saved twice, one text written twice. Equal bytes are told by digest.

Photos. Twins have fingerprints (image_stats.py) that differ in few bits, and standardised embeddings of high cosine
similarity; both also relative to what either has with the rest of the data, as flat, dark or drawn pictures are all
alike. Of copies made of four real sets (hymenoptera, trashnet, flowers102 at 64 pixels, neu_defects;
120 photos each, seen through vision-small) that finds, in this order: saved again at quality 40, 100, 97, 96 and 92 %;
brighter by a quarter, 96, 94, 97 and 74 %; cropped by 3 %, 97, 98, 96 and 69 %, by 6 %, 60, 79, 66 and 42 %; two thirds
as wide and saved at quality 60, 100, 91, 28 and 90 %. A backbone whose features change with the compression finds
fewer: mobilenetv2 27 % of neu_defects saved at quality 40. Of a burst it finds exposures between which little moved.
Not found: mirrored, turned, recoloured or more heavily cropped photos, and other views of the same thing. Taken for
twins though they are not: some simple drawings and digits of one kind, and gray surfaces that differ in grain alone.

Texts. Twins share their words and bigrams, whatever their case, punctuation or long numbers; common words
weigh little. Rephrased texts are not found, nor is what stands beyond the first 4,096 characters.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from headstart.core.errors import Unreadable
from headstart.core.observations import DataSurvey, ImageStats
from headstart.core.task import Example
from headstart.data.connected_components import connected_components
from headstart.data.contents import decode_text, iter_contents
from headstart.data.duplicates.hamming_join import hamming_join
from headstart.data.duplicates.jaccard_join import build_sets, jaccard_join

# Cosine of twins whose fingerprints are equal, and what each bit between them asks for more. On trashnet (2,527 photos,
# seen through vision-small) pairs at 0.78 and below are other things of one kind, as told by looking.
MIN_COSINE, COSINE_PER_BIT = 0.78, 0.01
# Of the distance to the nearest 5 % of the data, the most that twins are apart: in features, and in bits. Of 711
# pairs of neu_defects that are otherwise close enough 35 are left, of 74 of trashnet's 54, of 41,914 of usps's 385.
MAX_RELATIVE_DISTANCE, MAX_RELATIVE_BITS, NEIGHBOUR_SHARE = 0.25, 0.5, 0.05
# Fingerprints that agree in all but EQUAL_BITS bits, where those of the nearest others are DISTINCTIVE_BITS away, speak
# for themselves: then a cosine of RELAXED and that share of the distance do. Finds 91 instead of 71 % of trashnet's
# photos made smaller, 96 instead of 77 % of flowers saved again, and one pair more in trashnet as it is.
EQUAL_BITS, EQUAL_RELATIVE_BITS, DISTINCTIVE_BITS, RELAXED = 2, 0.15, 14, 0.5
CERTAIN = 0.9  # likeness above which copies are whose pixels agree
REFERENCE_PHOTOS = 512  # photos that stand for the rest
MAX_FINGERPRINT_PAIRS = 300_000  # pairs of fingerprints that are looked at, the closest
PROJECTION_DIM, PROJECTION_SLACK = 128, 0.1  # of a first look at cosines, and four times its error at a cosine of 0.85
MAX_PAIRS, PAIRS_PER_PHOTO = 10_000, 2  # pairs compared in full, the most promising: so many, or so many a photo
CHUNK_PAIRS = 2048  # pairs whose rows are held at once
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
    blocks: list[np.ndarray] = []
    location = np.zeros((len(task.examples), 2), np.int64)  # (part, row there) of each example
    for part, (name, index) in enumerate(task.parts.items()):
        blocks.append(survey.parts[name].x if len(index) else np.zeros((0, 0), np.float32))
        location[index] = np.stack([np.full(len(index), part), np.arange(len(index))], 1)

    def rows(index: np.ndarray) -> np.ndarray:
        out = np.empty((len(index), max(x.shape[1] for x in blocks)), np.float32)
        for part, x in enumerate(blocks):
            in_part = location[index, 0] == part
            if in_part.any():
                out[in_part] = x[location[index[in_part], 1]]
        return out

    return _find_pairs(task.kind, task.examples, rows, survey.image_stats, split_sides(survey))


def find_shared_examples(
    kind: str, examples: Sequence[Example], x: np.ndarray, image_stats: ImageStats | None, n_first: int
) -> list[tuple[int, int, float]]:
    """Of two lists, examples[:n_first] and the rest: (i, j, similarity) of what stands in both, each i once.

    x: (n, d).  image_stats: of all of them, where they are photos.  Equal bytes have similarity 1
    """
    side = (np.arange(len(examples)) >= n_first).astype(np.int64)
    second = {e.digest: j for j, e in enumerate(examples[n_first:], n_first)}
    matches = {i: (second[e.digest], 1.0) for i, e in enumerate(examples[:n_first]) if e.digest in second}
    for pair in _find_pairs(kind, examples, lambda index: x[index], image_stats, side):
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


def group_near_duplicates(
    kind: str, examples: Sequence[Example], x: np.ndarray, image_stats: ImageStats | None
) -> tuple[str, ...]:
    """A group for each example, "" = alone: the owner's own groups, joined where they hold near-duplicates.

    kind: of the task.  x: (n, d) float32 at the top of the frozen backbone.  image_stats: of the photos, else None
    """
    pairs = _find_pairs(kind, examples, lambda index: x[index], image_stats, np.zeros(len(examples), np.int64))
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


def _find_pairs(
    kind: str,
    examples: Sequence[Example],
    rows: Callable[[np.ndarray], np.ndarray],
    image_stats: ImageStats | None,
    side: np.ndarray,
) -> list[Pair]:
    """rows: positions -> (m, d) float32.  side: (n,) int64"""
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
        a, b, similarity = _photo_pairs(image_stats.prints[first], first, rows)
        a, b, similarity = _with_copies(a, b, similarity, first, image_stats)
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
    text = content if isinstance(content, str) else decode_text(bytes(content))[0]  # type: ignore[call-overload]
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


def _photo_pairs(
    fingerprints: np.ndarray, position: np.ndarray, rows: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(i, j, similarity) of photos whose embeddings are rows(position)."""
    i, j, bits = hamming_join(fingerprints)
    closest = np.argsort(bits, kind="stable")[:MAX_FINGERPRINT_PAIRS]
    i, j, bits = i[closest], j[closest], bits[closest]
    if not len(i):
        return i, j, bits.astype(np.float64)
    # The same numbers are drawn at every call: a finding is a function of the data.
    rng = np.random.default_rng(0)
    sample = rng.permutation(len(position))[:REFERENCE_PHOTOS]
    reference = rows(position[sample])
    mean, std = reference.mean(0), reference.std(0)
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > 1e-6 * np.maximum(np.abs(mean), 1e-3))

    def standardized(index: np.ndarray) -> np.ndarray:
        return _normalize((rows(position[index]) - mean) * scale)

    # Source: Johnson and Lindenstrauss 1984: cosines survive a projection on a few directions at random.
    projection = rng.standard_normal((len(mean), PROJECTION_DIM)).astype(np.float32)
    required = np.where(bits <= EQUAL_BITS, RELAXED, MIN_COSINE + COSINE_PER_BIT * bits)
    projected = np.zeros((len(position), PROJECTION_DIM), np.float32)
    for index in _chunks(np.unique(np.concatenate([i, j]))):
        projected[index] = _normalize(standardized(index) @ projection)
    margin = _cosines(lambda index: projected[index], i, j) - required
    promising = np.flatnonzero(margin >= -PROJECTION_SLACK)
    limit = max(MAX_PAIRS, PAIRS_PER_PHOTO * len(fingerprints))
    promising = np.sort(promising[np.argsort(-margin[promising], kind="stable")[:limit]])
    i, j, bits, required = i[promising], j[promising], bits[promising], required[promising]
    cosine = _cosines(standardized, i, j)
    near = cosine >= required
    i, j, bits, cosine = i[near], j[near], bits[near], cosine[near]
    # How far the nearest NEIGHBOUR_SHARE of the sample is from each photo.
    neighbour_distance, neighbour_bits = np.zeros(len(position)), np.zeros(len(position))
    others = standardized(sample)
    # A photo itself and its twin may be among them.
    rank = min(len(sample), 2 + int(np.ceil(NEIGHBOUR_SHARE * len(sample)))) - 1
    for index in _chunks(np.unique(np.concatenate([i, j]))):
        similarity = standardized(index) @ others.T
        neighbour_distance[index] = 1 + np.partition(-similarity, rank, axis=1)[:, rank]
        differing = np.bitwise_count(fingerprints[index, None] ^ fingerprints[sample])
        neighbour_bits[index] = np.partition(differing, rank, axis=1)[:, rank]
    distance = np.minimum(neighbour_distance[i], neighbour_distance[j])
    distance_bits = np.minimum(neighbour_bits[i], neighbour_bits[j])
    by_features = (1 - cosine <= MAX_RELATIVE_DISTANCE * distance) & (bits <= MAX_RELATIVE_BITS * distance_bits)
    by_features &= cosine >= MIN_COSINE + COSINE_PER_BIT * bits
    by_fingerprint = (1 - cosine <= RELAXED * distance) & (distance_bits >= DISTINCTIVE_BITS)
    by_fingerprint &= bits <= np.minimum(EQUAL_BITS, EQUAL_RELATIVE_BITS * distance_bits)
    twins = by_features | by_fingerprint
    return i[twins], j[twins], np.minimum(cosine[twins], 1.0)


def _with_copies(
    a: np.ndarray, b: np.ndarray, similarity: np.ndarray, position: np.ndarray, image_stats: ImageStats
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs, numbers in `position`, and those that agree on their pixels, at their higher similarity."""
    number = {p: k for k, p in enumerate(position.tolist())}
    alike = dict(zip(zip(a.tolist(), b.tolist(), strict=True), similarity.tolist(), strict=True))
    for pair, agreement in zip(image_stats.copies.tolist(), image_stats.agreement.tolist(), strict=True):
        if not all(p in number for p in pair):  # black ones
            continue
        i, j = sorted(number[p] for p in pair)
        alike[i, j] = max(alike.get((i, j), 0.0), CERTAIN + (1 - CERTAIN) * agreement)
    ends = np.array(list(alike), np.int64).reshape(-1, 2)
    return ends[:, 0], ends[:, 1], np.array(list(alike.values()))


def _cosines(unit_rows: Callable[[np.ndarray], np.ndarray], i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """(m,) float64, products of unit_rows(i) and unit_rows(j); rows are taken once for CHUNK_PAIRS pairs."""
    out = np.zeros(len(i))
    order = np.argsort(i, kind="stable")
    for chunk in _chunks(order):
        index, inverse = np.unique(np.concatenate([i[chunk], j[chunk]]), return_inverse=True)
        z = unit_rows(index)
        a, b = np.split(inverse.reshape(-1), 2)
        out[chunk] = np.einsum("ij,ij->i", z[a], z[b])
    return out


def _normalize(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    return (values[start : start + CHUNK_PAIRS] for start in range(0, len(values), CHUNK_PAIRS))
