"""Copies of photos as people make them: mirrored, turned, cropped, recoloured, resized, saved again. Found on pixels.

1. Who may be a copy of whom: a few nearest by coarse structure under the eight symmetries of the square, a few by the
   backbone's features, and whom a name (copy_names.py) or fingerprint and features (fingerprint_pairs.py) speak for.
2. Each pair seen whole and through windows, crops and small turns of either: the most likely way one lies on the other.
3. From there the two are aligned on their pixels, and only those that agree are copies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headstart.data.duplicates import pixel_descriptors as descriptors
from headstart.data.duplicates.alignment import align
from headstart.data.duplicates.nearest import nearest
from headstart.data.duplicates.pixel_grids import even_out, find_fill

NEAREST_BY_PIXELS, NEAREST_BY_FEATURES = 5, 10
FEATURE_DIM = 256  # of a random projection of wider features
MIN_COARSE = 0.4  # likeness through the best window, from which on a pair is aligned
ALIGNED_PER_PHOTO = 3  # the most promising
# Agreement of copies on their pixels alone: as little as the first where photos that are none hardly come near, as is
# told by the share of pairs that half agree; the last, where many do, such as portraits or bottles on plain ground.
# Told by looking, photos that are no copies reach 0.6 on CIFAR-10, 0.76 on trashnet, 0.84 on portraits of one person.
MIN_AGREEMENT, HALF_AGREEMENT, SHARES_THAT_HALF_AGREE = (0.6, 0.7), (0.4, 0.6), (0.005, 0.02)
MIN_AGREEMENT_HINTED = 0.45  # of pairs that a name, or fingerprints and features, speak for
CERTAIN = 0.9  # likeness of a pair that just agrees, of 1
MIN_OVERLAP = 0.55  # of the smaller with the larger
CHUNK = 1024  # pairs at once
CHUNK_PHOTOS = 512


def find_copies(
    grids: np.ndarray, features: np.ndarray, hints: Sequence[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (m, 2) int64, i < j, and their likeness (m,) float32, of n photos: CERTAIN to 1 on their pixels alone.

    grids: (n, 2, s, s) uint8 of pixel_grids.  features: (n, d) float32 of the backbone
    hints: pairs i < j that something else speaks for
    """
    if len(grids) < 2:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    fill = find_fill(grids[:, 0])
    luma = even_out(grids[:, 0], fill)
    windows = np.zeros((len(luma), len(descriptors.windows()), descriptors.DIM), np.float16)
    for start in range(0, len(luma), CHUNK_PHOTOS):
        photos = slice(start, start + CHUNK_PHOTOS)
        windows[photos] = descriptors.window_descriptors(luma[photos], descriptors.windows())
    i, j = _candidates(windows, features, hints)
    coarse, swapped, symmetry, window = _most_likely(windows, i, j)
    hinted = np.isin(i * len(grids) + j, [p * len(grids) + q for p, q in hints])
    promising = np.flatnonzero((_among_best(i, j, coarse, len(grids)) & (coarse >= MIN_COARSE)) | hinted)
    a, b = np.where(swapped, j, i)[promising], np.where(swapped, i, j)[promising]
    symmetry, window = symmetry[promising], window[promising]
    agreement = np.zeros(len(a), np.float32)
    for start in range(0, len(a), CHUNK):
        p, q, s = a[start : start + CHUNK], b[start : start + CHUNK], symmetry[start : start + CHUNK]
        maps = descriptors.windows()[window[start : start + CHUNK]]
        found = align(_changed(grids[p], s), grids[q], _changed(~fill[p], s), ~fill[q], maps)
        agreement[start : start + CHUNK] = found.agreement * (found.overlap >= MIN_OVERLAP)
    hinted = hinted[promising]
    half = (agreement > HALF_AGREEMENT[0]) & (agreement < HALF_AGREEMENT[1])
    least = np.interp(half[~hinted].mean() if not hinted.all() else 0, SHARES_THAT_HALF_AGREE, MIN_AGREEMENT)
    copies = agreement >= np.where(hinted, MIN_AGREEMENT_HINTED, least)
    likeness = CERTAIN + (agreement - least) * (1 - CERTAIN) / (1 - least)
    return np.stack([i[promising], j[promising]], 1)[copies], likeness[copies].astype(np.float32)


def _candidates(
    windows: np.ndarray, features: np.ndarray, hints: Sequence[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """(i, j) with i < j, each pair once."""
    n, whole = len(windows), windows[:, 0].astype(np.float32)

    def variants(index: np.ndarray) -> np.ndarray:
        turned = windows[index, -descriptors.N_TURNED :].astype(np.float32)
        return np.concatenate([descriptors.symmetric(whole[index]), turned], 1)

    pairs = [nearest(variants, whole, NEAREST_BY_PIXELS, _unit(descriptors.without_symmetry(whole)))]
    rows = _unit(_projected(features))
    pairs.append(nearest(lambda index: rows[index, None], rows, NEAREST_BY_FEATURES, rows))
    more = np.array(hints, np.int64).reshape(-1, 2)
    pairs.append((more[:, 0], more[:, 1]))
    i, j = (np.concatenate(column) for column in zip(*pairs, strict=True))
    code = np.unique(np.minimum(i, j) * n + np.maximum(i, j))
    return code // n, code % n


def _most_likely(windows: np.ndarray, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, ...]:
    """(likeness, swapped, symmetry, window) of each pair: how i, or j where swapped, lies on the other."""
    count = windows.shape[1]
    likeness, code = np.zeros(len(i), np.float32), np.zeros(len(i), np.int64)
    for start in range(0, len(i), CHUNK):
        chunk = slice(start, start + CHUNK)
        first, second = windows[i[chunk]].astype(np.float32), windows[j[chunk]].astype(np.float32)
        ways = [descriptors.symmetric(a[:, 0]) @ b.swapaxes(1, 2) for a, b in ((first, second), (second, first))]
        flat = np.stack(ways, 1).reshape(len(first), -1)
        code[chunk], likeness[chunk] = flat.argmax(1), flat.max(1)
    return (
        likeness,
        code // (descriptors.N_SYMMETRIES * count) > 0,
        code // count % descriptors.N_SYMMETRIES,
        code % count,
    )


def _among_best(i: np.ndarray, j: np.ndarray, likeness: np.ndarray, n: int) -> np.ndarray:
    """Which pairs are among the ALIGNED_PER_PHOTO most likely of either photo."""
    keep = np.zeros(len(i), bool)
    for end in (i, j):
        order = np.lexsort((-likeness, end))
        start = np.searchsorted(end[order], np.arange(n))
        rank = np.arange(len(order)) - start[end[order]]
        keep[order[rank < ALIGNED_PER_PHOTO]] = True
    return keep


def _changed(squares: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    """(m, ..., s, s), each under the symmetry of that number ."""
    out = np.empty_like(squares)
    for number in range(descriptors.N_SYMMETRIES):
        which = symmetry == number
        if which.any():
            out[which] = descriptors.apply_symmetry(squares[which], number)
    return out


def _projected(features: np.ndarray) -> np.ndarray:
    """Standardised features, (n, at most FEATURE_DIM)."""
    mean, std = features.mean(0, dtype=np.float32), features.std(0, dtype=np.float32)
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > 1e-6 * np.maximum(np.abs(mean), 1e-3))
    if features.shape[1] <= FEATURE_DIM:
        return (features - mean) * scale
    # Source: Johnson and Lindenstrauss 1984: cosines survive a projection on a few directions at random.
    projection = np.random.default_rng(0).standard_normal((features.shape[1], FEATURE_DIM)).astype(np.float32)
    projection *= scale[:, None]
    return features @ projection - mean @ projection


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
