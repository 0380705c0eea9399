"""Pairs of photos whose fingerprints and features are both close: one photo saved twice, or two of one moment.

Fingerprints (image_stats.py) that differ in few bits, and standardised embeddings of high cosine similarity; both also
relative to what either has with the rest of the data, as flat, dark or drawn pictures are all alike. Photos that were
mirrored, turned, recoloured or cropped by more than a few per cent are not among them, and some simple drawings, digits
of one kind and gray surfaces that differ in grain alone are: copies.py looks at each pair once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from headstart.data.duplicates.hamming_join import hamming_join

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
REFERENCE_PHOTOS = 512  # photos that stand for the rest
MAX_FINGERPRINT_PAIRS = 300_000  # pairs of fingerprints that are looked at, the closest
PROJECTION_DIM, PROJECTION_SLACK = 128, 0.1  # of a first look at cosines, and four times its error at a cosine of 0.85
MAX_PAIRS, PAIRS_PER_PHOTO = 10_000, 2  # pairs compared in full, the most promising: so many, or so many a photo
CHUNK_PAIRS = 2048  # pairs whose rows are held at once


def find_fingerprint_pairs(fingerprints: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(i, j, cosine) of n photos, i < j. fingerprints: (n,) uint64.  features: (n, d) float32 of a backbone"""
    i, j, bits = hamming_join(fingerprints)
    closest = np.argsort(bits, kind="stable")[:MAX_FINGERPRINT_PAIRS]
    i, j, bits = i[closest], j[closest], bits[closest]
    if not len(i):
        return i, j, bits.astype(np.float64)
    # The same numbers are drawn at every call: a finding is a function of the data.
    rng = np.random.default_rng(0)
    sample = rng.permutation(len(features))[:REFERENCE_PHOTOS]
    reference = features[sample]
    mean, std = reference.mean(0), reference.std(0)
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > 1e-6 * np.maximum(np.abs(mean), 1e-3))

    def standardized(index: np.ndarray) -> np.ndarray:
        return _normalize((features[index] - mean) * scale)

    # Source: Johnson and Lindenstrauss 1984: cosines survive a projection on a few directions at random.
    projection = rng.standard_normal((len(mean), PROJECTION_DIM)).astype(np.float32)
    required = np.where(bits <= EQUAL_BITS, RELAXED, MIN_COSINE + COSINE_PER_BIT * bits)
    projected = np.zeros((len(features), PROJECTION_DIM), np.float32)
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
    neighbour_distance, neighbour_bits = np.zeros(len(features)), np.zeros(len(features))
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
