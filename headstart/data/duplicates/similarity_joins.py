"""Which sets have most in common: all pairs of a Jaccard likeness above a bound, exactly, without looking at all pairs.

Two sets of likeness t share more than what each has beyond the first rare elements, so they share one of these: only
sets that do are compared. Source: Chaudhuri, Ganti and Kaushik 2006, "A primitive operator for similarity joins in data
cleaning"; Bayardo, Ma and Srikant 2007, "Scaling up all pairs similarity search". Exact where MinHash (Broder 1997)
misses some by chance, and no slower for texts, whose rare words are very rare.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

BLOCK = 1 << 16  # pairs compared at once
MOST = 1 << 22  # pairs compared in all: elements that more sets have rare are passed over, commonest first


@dataclass(frozen=True, slots=True, eq=False)
class Sets:
    """n sets of numbered elements, the rarest element 0.

    elements: (m,) int64, each set's rising, without repeats.  start: (n + 1,) int64, where each set begins
    owner:    (m,) int64, whose each is.  held: (m,) int64, how many sets have it
    weight:   (m,) float64 of each: rare elements weigh more.  total: (n,) float64, of each set
    """

    elements: np.ndarray
    start: np.ndarray
    owner: np.ndarray
    held: np.ndarray
    weight: np.ndarray
    total: np.ndarray


def sets(owner: np.ndarray, element: np.ndarray, n: int) -> Sets:
    """From (set, element) entries in any order, (m,) int64 each. An element of h sets weighs log(1 + n / h)."""
    kinds = int(element.max()) + 1 if len(element) else 1
    entry = distinct(owner * kinds + element)
    held = np.bincount(entry % kinds, minlength=kinds)
    rank = np.empty(kinds, np.int64)
    rank[np.argsort(held, kind="stable")] = np.arange(kinds)
    held = np.sort(held)
    entry = entry // kinds * kinds + rank[entry % kinds]
    entry.sort()
    owner, element = entry // kinds, entry % kinds
    weight = np.log1p(n / held[element])
    total = np.bincount(owner, weight, minlength=n)
    return Sets(element, np.searchsorted(owner, np.arange(n + 1)), owner, held[element], weight, total)


def distinct(values: np.ndarray) -> np.ndarray:
    """Sorted, each once. np.unique takes ten times as long (numpy 2.4, a million whole numbers)."""
    values = np.sort(values)
    first = np.ones(len(values), bool)
    first[1:] = values[1:] != values[:-1]
    return values[first]


def alike(some: Sets, bound: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs i < j and their weighted Jaccard likeness, at least `bound` > 0; sorted by i, then j. Empty sets have none.

    Where very many sets begin alike, pairs that share only the commonest beginnings may be missed: see MOST.
    """
    n = len(some.total)
    passed = np.cumsum(some.weight) - some.weight
    passed -= passed[some.start[some.owner]]
    whole = some.total[some.owner]
    first = (some.held > 1) & (whole - passed >= bound * whole - 1e-9)
    who, what = some.owner[first], some.elements[first]
    order = np.argsort(what, kind="stable")
    candidates = _sharing(who[order], what[order], n)
    i, j = candidates // max(n, 1), candidates % max(n, 1)
    near = np.minimum(some.total[i], some.total[j]) >= bound * np.maximum(some.total[i], some.total[j]) - 1e-9
    i, j = i[near], j[near]
    blocks = [_likeness(some, i[s : s + BLOCK], j[s : s + BLOCK]) for s in range(0, len(i), BLOCK)]
    likeness = np.concatenate([np.zeros(0), *blocks])
    keep = likeness >= bound - 1e-9
    return i[keep], j[keep], np.minimum(likeness[keep], 1.0)


def _sharing(who: np.ndarray, what: np.ndarray, n: int) -> np.ndarray:
    """i * n + j of all i < j that share an element, each once, sorted. who, what: entries, sorted by what, then who"""
    _, begin, size = np.unique(what, return_index=True, return_counts=True)
    order = np.argsort(size, kind="stable")
    cost = np.cumsum(size[order] * (size[order] - 1) // 2)
    kept = order[: int(np.searchsorted(cost, MOST, side="right"))]
    found = [np.zeros(0, np.int64)]
    for length in np.unique(size[kept]):
        if length > 1:
            rows = who[begin[kept[size[kept] == length]][:, None] + np.arange(length)]
            a, b = np.triu_indices(int(length), 1)
            found.append((rows[:, a] * n + rows[:, b]).reshape(-1))
    return distinct(np.concatenate(found))


def _likeness(some: Sets, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Weighted Jaccard of the pairs: the elements of one are looked up in the other."""
    kinds = int(some.elements.max()) + 1
    entry = some.owner * kinds + some.elements
    size = np.diff(some.start)[i]
    pair = np.repeat(np.arange(len(i)), size)
    at = np.arange(len(pair)) - np.repeat(np.cumsum(size) - size, size) + some.start[i][pair]
    wanted = j[pair] * kinds + some.elements[at]
    place = np.minimum(np.searchsorted(entry, wanted), len(entry) - 1)
    shared = np.bincount(pair, some.weight[at] * (entry[place] == wanted), minlength=len(i))
    return shared / (some.total[i] + some.total[j] - shared)


BANDS, BITS = 4, 16
WIDEST = 11  # two bits in each band and three more: 60,000 prints of real photos in 2.5 s (1 core); 7 in 0.7 s
BLOCK = 1 << 20  # pairs compared at once
MOST = 1 << 26  # pairs compared in all; with more, the radius is made smaller
SMALL = 8192  # prints up to which all pairs are compared: 0.2 s at most


def within(prints: np.ndarray, radius: int = WIDEST, most: int = MOST) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs i < j of prints and how many bits they differ in, at most `radius`; sorted by i, then j.

    prints: (n,) uint64.  radius: 0 to WIDEST
    most: pairs to compare, once all are too many. Where bands say little, as all photos have one background, and there
    would be more, the radius shrinks to what one bit a band finds, or none; then bands shared by too many are passed
    over.
    """
    n = len(prints)
    if n <= SMALL and n * n <= 2 * most:
        return _all(prints, radius)
    bands = [_Band(prints, number) for number in range(BANDS)]
    reach = min(radius // BANDS, WIDEST // BANDS)
    while (cost := sum(band.cost(reach) for band in bands)) > most and reach:
        reach -= 1
    each = most if cost <= most else most // BANDS
    radius = min(radius, BANDS * reach + BANDS - 1)
    found, total = [np.zeros(0, np.int64)], 0
    for band in bands:
        for i, j in band.meeting(reach, each):
            near = np.bitwise_count(prints[i] ^ prints[j]) <= radius
            i, j = i[near], j[near]
            found.append(np.minimum(i, j) * n + np.maximum(i, j))
            total += len(i)
            if total > BLOCK:  # a close pair meets in several bands
                found = [distinct(np.concatenate(found))]
                total = 0
    code = distinct(np.concatenate(found))
    i, j = code // max(n, 1), code % max(n, 1)
    return i, j, np.bitwise_count(prints[i] ^ prints[j]).astype(np.int64)


def _all(prints: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Likewise, by looking at all pairs."""
    step = max(1, BLOCK // max(1, len(prints)))
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for start in range(0, len(prints), step):
        bits = np.bitwise_count(prints[start : start + step, None] ^ prints[None, start:])
        i, j = np.nonzero(bits <= radius)
        later = i < j
        i, j = i[later], j[later]
        found.append((i + start, j + start, bits[i, j].astype(np.int64)))
    i, j, bits = (np.concatenate(some) for some in zip(*found, strict=True))
    return i, j, bits


class _Band:
    """The prints by the value of one band."""

    def __init__(self, prints: np.ndarray, number: int):
        value = ((prints >> np.uint64(number * BITS)) & np.uint64(2**BITS - 1)).astype(np.int64)
        self._order = np.argsort(value, kind="stable")
        self._count = np.bincount(value, minlength=2**BITS)
        self._start = np.cumsum(self._count) - self._count
        self._used = np.flatnonzero(self._count)

    def cost(self, reach: int) -> int:
        """Pairs that `meeting` would give."""
        return sum(int(size.sum()) for _, _, size in self._partners(reach))

    def meeting(self, reach: int, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs whose bands differ in at most `reach` bits, BLOCK at a time; the smallest meetings first, up to `most`.

        Each pair once, in either order.
        """
        left = most
        for mine, other, size in self._partners(reach):
            order = np.argsort(size, kind="stable")
            mine, other, size = mine[order], other[order], size[order]
            edge = np.cumsum(size)
            stop = int(np.searchsorted(edge, left, side="right"))
            left -= int(edge[stop - 1]) if stop else 0
            first = 0
            while first < stop:
                passed = int(edge[first - 1]) if first else 0
                last = min(stop, max(first + 1, int(np.searchsorted(edge, passed + BLOCK, side="right"))))
                yield self._crossed(mine[first:last], other[first:last], size[first:last])
                first = last

    def _partners(self, reach: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Values of the band that differ in the same bits, and how many pairs of prints have them."""
        for bits in range(reach + 1):
            for turned in combinations(range(BITS), bits):
                other = self._used ^ sum(1 << bit for bit in turned)
                keep = (self._used <= other) & (self._count[other] > 0)
                mine, other = self._used[keep], other[keep]
                yield mine, other, self._count[mine] * self._count[other]

    def _crossed(self, mine: np.ndarray, other: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        which = np.repeat(np.arange(len(mine)), size)
        number = np.arange(len(which)) - np.repeat(np.cumsum(size) - size, size)
        wide = self._count[other][which]
        i = self._order[self._start[mine][which] + number // wide]
        j = self._order[self._start[other][which] + number % wide]
        once = (mine != other)[which] | (i < j)
        return i[once], j[once]
