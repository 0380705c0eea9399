"""Which 64-bit fingerprints differ in few bits: all such pairs, without looking at all pairs.

Prints that differ in few bits differ in fewer still in one of four bands of 16: a print is compared only with those
whose band it has, with a bit or two of it turned. Source: Norouzi, Punjani and Fleet 2012, "Fast search in Hamming
space with multi-index hashing".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from headstart.jaccard import distinct

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
