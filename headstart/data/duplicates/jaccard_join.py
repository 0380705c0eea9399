"""Jaccard similarity join: all pairs of sets above a similarity threshold, exactly, without comparing all pairs.

Two sets of similarity t share more than what each has beyond its first rare elements (its prefix), so they share one
of these: only sets that do are compared. Source: Chaudhuri, Ganti and Kaushik 2006, "A primitive operator for
similarity joins in data cleaning"; Bayardo, Ma and Srikant 2007, "Scaling up all pairs similarity search". Exact where
MinHash (Broder 1997) misses some by chance, and no slower for texts, whose rare words are very rare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CHUNK_PAIRS = 1 << 16  # pairs compared at once
MAX_PAIRS = 1 << 22  # pairs compared in all: elements in more prefixes are passed over, the most frequent first


@dataclass(frozen=True, slots=True, eq=False)
class WeightedSets:
    """n sets of numbered elements, the rarest element 0. An element of h sets weighs log(1 + n / h).

    elements:  (m,) int64, each set's in ascending order, without repeats.  offsets: (n + 1,) int64, where each begins
    owners:    (m,) int64, the set of each entry.  frequency: (m,) int64, how many sets have the element
    weights:   (m,) float64 of each entry.  totals: (n,) float64 of each set
    """

    elements: np.ndarray
    offsets: np.ndarray
    owners: np.ndarray
    frequency: np.ndarray
    weights: np.ndarray
    totals: np.ndarray


def build_sets(owners: np.ndarray, elements: np.ndarray, n: int) -> WeightedSets:
    """From (set, element) entries in any order, (m,) int64 each."""
    vocabulary = int(elements.max()) + 1 if len(elements) else 1
    entries = sorted_unique(owners * vocabulary + elements)
    frequency = np.bincount(entries % vocabulary, minlength=vocabulary)
    rank = np.empty(vocabulary, np.int64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(vocabulary)
    frequency = np.sort(frequency)
    entries = entries // vocabulary * vocabulary + rank[entries % vocabulary]
    entries.sort()
    owners, elements = entries // vocabulary, entries % vocabulary
    weights = np.log1p(n / frequency[elements])
    totals = np.bincount(owners, weights, minlength=n)
    offsets = np.searchsorted(owners, np.arange(n + 1))
    return WeightedSets(elements, offsets, owners, frequency[elements], weights, totals)


def jaccard_join(sets: WeightedSets, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs i < j and their weighted Jaccard similarity, at least `threshold` > 0; by i, then j. Empty sets have none.

    Where very many sets have the same prefix, pairs that share only its most frequent elements may be missed: see
    MAX_PAIRS.
    """
    n = len(sets.totals)
    weight_before = np.cumsum(sets.weights) - sets.weights
    weight_before -= weight_before[sets.offsets[sets.owners]]
    totals = sets.totals[sets.owners]
    in_prefix = (sets.frequency > 1) & (totals - weight_before >= threshold * totals - 1e-9)
    owners, elements = sets.owners[in_prefix], sets.elements[in_prefix]
    order = np.argsort(elements, kind="stable")
    candidates = _pairs_sharing_an_element(owners[order], elements[order], n)
    i, j = candidates // max(n, 1), candidates % max(n, 1)
    smaller, larger = np.minimum(sets.totals[i], sets.totals[j]), np.maximum(sets.totals[i], sets.totals[j])
    can_match = smaller >= threshold * larger - 1e-9
    i, j = i[can_match], j[can_match]
    chunks = [slice(start, start + CHUNK_PAIRS) for start in range(0, len(i), CHUNK_PAIRS)]
    similarity = np.concatenate([np.zeros(0), *(_similarity(sets, i[chunk], j[chunk]) for chunk in chunks)])
    keep = similarity >= threshold - 1e-9
    return i[keep], j[keep], np.minimum(similarity[keep], 1.0)


def sorted_unique(values: np.ndarray) -> np.ndarray:
    """Sorted, each once. np.unique takes ten times as long (numpy 2.4, a million whole numbers)."""
    values = np.sort(values)
    is_first = np.ones(len(values), bool)
    is_first[1:] = values[1:] != values[:-1]
    return values[is_first]


def _pairs_sharing_an_element(owners: np.ndarray, elements: np.ndarray, n: int) -> np.ndarray:
    """i * n + j of all i < j that share an element, each once, sorted. Entries are sorted by element, then owner."""
    _, begin, size = np.unique(elements, return_index=True, return_counts=True)
    order = np.argsort(size, kind="stable")
    n_pairs = np.cumsum(size[order] * (size[order] - 1) // 2)
    compared = order[: int(np.searchsorted(n_pairs, MAX_PAIRS, side="right"))]
    codes = [np.zeros(0, np.int64)]
    for length in np.unique(size[compared]):
        if length > 1:
            members = owners[begin[compared[size[compared] == length]][:, None] + np.arange(length)]
            a, b = np.triu_indices(int(length), 1)
            codes.append((members[:, a] * n + members[:, b]).reshape(-1))
    return sorted_unique(np.concatenate(codes))


def _similarity(sets: WeightedSets, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Weighted Jaccard similarity of the pairs: the elements of one are looked up in the other."""
    vocabulary = int(sets.elements.max()) + 1
    entries = sets.owners * vocabulary + sets.elements
    size = np.diff(sets.offsets)[i]
    pair = np.repeat(np.arange(len(i)), size)
    index = np.arange(len(pair)) - np.repeat(np.cumsum(size) - size, size) + sets.offsets[i][pair]
    wanted = j[pair] * vocabulary + sets.elements[index]
    position = np.minimum(np.searchsorted(entries, wanted), len(entries) - 1)
    shared = np.bincount(pair, sets.weights[index] * (entries[position] == wanted), minlength=len(i))
    return shared / (sets.totals[i] + sets.totals[j] - shared)
