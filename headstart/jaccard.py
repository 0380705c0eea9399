"""Which sets have most in common: all pairs of a Jaccard likeness above a bound, exactly, without looking at all pairs.

Two sets of likeness t share more than what each has beyond the first rare elements, so they share one of these: only
sets that do are compared. Source: Chaudhuri, Ganti and Kaushik 2006, "A primitive operator for similarity joins in data
cleaning"; Bayardo, Ma and Srikant 2007, "Scaling up all pairs similarity search". Exact where MinHash (Broder 1997)
misses some by chance, and no slower for texts, whose rare words are very rare.
"""

from __future__ import annotations

from dataclasses import dataclass

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
