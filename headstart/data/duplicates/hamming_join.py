"""Hamming radius join: all pairs of 64-bit fingerprints that differ in few bits, without comparing all pairs.

Fingerprints that differ in few bits differ in fewer still in one of four bands of 16: each is compared only with those
whose band it has, with a bit or two of it flipped. Source: Norouzi, Punjani and Fleet 2012, "Fast search in Hamming
space with multi-index hashing".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from headstart.data.duplicates.jaccard_join import sorted_unique

N_BANDS, BAND_BITS = 4, 16
MAX_RADIUS = 11  # 2 bits in each band and 3 more: 60,000 fingerprints of real photos in 2.5 s (1 core); 7 in 0.7 s
CHUNK_PAIRS = 1 << 20  # pairs compared at once
MAX_PAIRS = 1 << 26  # pairs compared in all; with more, the radius is made smaller
BRUTE_FORCE_SIZE = 8192  # fingerprints up to which all pairs are compared: 0.2 s at most


def hamming_join(
    fingerprints: np.ndarray, radius: int = MAX_RADIUS, max_pairs: int = MAX_PAIRS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs i < j of fingerprints and how many bits they differ in, at most `radius`; sorted by i, then j.

    fingerprints: (n,) uint64.  radius: 0 to MAX_RADIUS
    max_pairs: compared at most, once all are too many. Where bands say little, as all photos have one background, and
    there would be more, the radius shrinks to what one bit a band finds, or none; then bands shared by too many are
    passed over.
    """
    n = len(fingerprints)
    if n <= BRUTE_FORCE_SIZE and n * n <= 2 * max_pairs:
        return _brute_force(fingerprints, radius)
    bands = [_Band(fingerprints, number) for number in range(N_BANDS)]
    band_radius = min(radius // N_BANDS, MAX_RADIUS // N_BANDS)
    while (n_pairs := sum(band.count_pairs(band_radius) for band in bands)) > max_pairs and band_radius:
        band_radius -= 1
    max_per_band = max_pairs if n_pairs <= max_pairs else max_pairs // N_BANDS
    radius = min(radius, N_BANDS * band_radius + N_BANDS - 1)
    codes, pending = [np.zeros(0, np.int64)], 0
    for band in bands:
        for i, j in band.candidates(band_radius, max_per_band):
            near = np.bitwise_count(fingerprints[i] ^ fingerprints[j]) <= radius
            i, j = i[near], j[near]
            codes.append(np.minimum(i, j) * n + np.maximum(i, j))
            pending += len(i)
            if pending > CHUNK_PAIRS:  # a close pair meets in several bands
                codes, pending = [sorted_unique(np.concatenate(codes))], 0
    code = sorted_unique(np.concatenate(codes))
    i, j = code // max(n, 1), code % max(n, 1)
    return i, j, np.bitwise_count(fingerprints[i] ^ fingerprints[j]).astype(np.int64)


def _brute_force(fingerprints: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    step = max(1, CHUNK_PAIRS // max(1, len(fingerprints)))
    chunks = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for start in range(0, len(fingerprints), step):
        distance = np.bitwise_count(fingerprints[start : start + step, None] ^ fingerprints[None, start:])
        i, j = np.nonzero(distance <= radius)
        later = i < j
        i, j = i[later], j[later]
        chunks.append((i + start, j + start, distance[i, j].astype(np.int64)))
    i, j, distance = (np.concatenate(column) for column in zip(*chunks, strict=True))
    return i, j, distance


class _Band:
    """The fingerprints by the value of one band."""

    def __init__(self, fingerprints: np.ndarray, number: int):
        value = ((fingerprints >> np.uint64(number * BAND_BITS)) & np.uint64(2**BAND_BITS - 1)).astype(np.int64)
        self._order = np.argsort(value, kind="stable")
        self._count = np.bincount(value, minlength=2**BAND_BITS)
        self._start = np.cumsum(self._count) - self._count
        self._used = np.flatnonzero(self._count)

    def count_pairs(self, band_radius: int) -> int:
        """Pairs that `candidates` would give."""
        return sum(int(size.sum()) for _, _, size in self._partners(band_radius))

    def candidates(self, band_radius: int, max_pairs: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs whose bands differ in at most `band_radius` bits, CHUNK_PAIRS at a time; the smallest buckets first.

        Each pair once, in either order, up to `max_pairs`.
        """
        budget = max_pairs
        for value, partner, size in self._partners(band_radius):
            order = np.argsort(size, kind="stable")
            value, partner, size = value[order], partner[order], size[order]
            end = np.cumsum(size)
            stop = int(np.searchsorted(end, budget, side="right"))
            budget -= int(end[stop - 1]) if stop else 0
            first = 0
            while first < stop:
                done = int(end[first - 1]) if first else 0
                last = min(stop, max(first + 1, int(np.searchsorted(end, done + CHUNK_PAIRS, side="right"))))
                yield self._cross(value[first:last], partner[first:last], size[first:last])
                first = last

    def _partners(self, band_radius: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Values of the band that differ in the same bits, and how many pairs of fingerprints have them."""
        for n_bits in range(band_radius + 1):
            for flipped in combinations(range(BAND_BITS), n_bits):
                partner = self._used ^ sum(1 << bit for bit in flipped)
                keep = (self._used <= partner) & (self._count[partner] > 0)
                value, partner = self._used[keep], partner[keep]
                yield value, partner, self._count[value] * self._count[partner]

    def _cross(self, value: np.ndarray, partner: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All pairs of positions between each value's fingerprints and its partner's, each pair once."""
        bucket = np.repeat(np.arange(len(value)), size)
        number = np.arange(len(bucket)) - np.repeat(np.cumsum(size) - size, size)
        width = self._count[partner][bucket]
        i = self._order[self._start[value][bucket] + number // width]
        j = self._order[self._start[partner][bucket] + number % width]
        once = (value != partner)[bucket] | (i < j)
        return i[once], j[once]
