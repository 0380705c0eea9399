"""For each vector its nearest others, at a cost that grows with the square of their number only up to a point."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

MAX_COMPARED = 1 << 15  # others that each is compared with: beyond, those nearest to the same few landmarks
PROBES = 3  # landmarks whose vectors a query is compared with
CHUNK_VALUES = 1 << 22  # similarities held at once


def nearest(
    variants: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, k: int, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (i, j) of each row and its k most similar others under any variant of it, by products.

    variants: positions -> (m, v, d) float32, those of each row.  rows: (n, d) float32
    places: (n, e) float32 unit vectors, the same for all variants, that tell who is worth comparing among very many
    """
    n = len(rows)
    if n < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    count = 1 if n <= MAX_COMPARED else int(np.ceil(PROBES * n / MAX_COMPARED))
    # The same landmarks are drawn at every call: a finding is a function of the data.
    near = places @ places[np.random.default_rng(0).permutation(n)[:count]].T
    probes = min(PROBES, count)
    asked = np.argpartition(-near, probes - 1, axis=1)[:, :probes]
    home = near.argmax(1)
    found, likeness = np.full((n, probes, k), -1), np.full((n, probes, k), -np.inf, np.float32)
    for landmark in range(count):
        members = np.flatnonzero(home == landmark)
        asking, probe = np.nonzero(asked == landmark)
        take = min(k, len(members))
        step = max(1, CHUNK_VALUES // max(1, len(members)))
        for start in range(0, len(asking) if take else 0, step):
            index = asking[start : start + step]
            similar = _similarity(variants(index), rows[members])
            similar[index[:, None] == members] = -np.inf
            best = np.argpartition(-similar, take - 1, axis=1)[:, :take]
            found[index, probe[start : start + step], :take] = members[best]
            likeness[index, probe[start : start + step], :take] = np.take_along_axis(similar, best, 1)
    all_found, all_likeness = found.reshape(n, -1), likeness.reshape(n, -1)
    best = np.argsort(-all_likeness, axis=1, kind="stable")[:, :k]
    i, j = np.repeat(np.arange(n), k), np.take_along_axis(all_found, best, 1).reshape(-1)
    real = np.isfinite(np.take_along_axis(all_likeness, best, 1).reshape(-1))
    return i[real], j[real]


def _similarity(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(m, n), the most over the variants."""
    best = queries[:, 0] @ rows.T
    for variant in range(1, queries.shape[1]):
        np.maximum(best, queries[:, variant] @ rows.T, out=best)
    return best
