"""Units grouped into batches: images in their order, texts by length so that little is padding."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np


def batch_indices(units: list[np.ndarray], max_images: int, max_tokens: int) -> Iterator[list[int]]:
    """The positions of each batch's units.

    max_images: of a batch of images.  max_tokens: of a batch of texts, padding included
    """
    if units and units[0].ndim > 1:
        positions = range(len(units))
        yield from (list(positions[start : start + max_images]) for start in positions[::max_images])
        return
    batch: list[int] = []
    for i in sorted(range(len(units)), key=lambda i: len(units[i])):
        if batch and (len(batch) + 1) * len(units[i]) > max_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def gather_rows(units: list, index: list[list[int]], rows: list, width: int) -> np.ndarray | list[np.ndarray]:
    """Rows of all batches in the order of the units: (u, …) float32, or a list of (t, d) where batches gave lists.

    index: positions of each batch.  rows: of each batch.  width: of a row where there are no units
    """
    if rows and isinstance(rows[0], list):
        row_of = dict(zip(chain(*index), chain(*rows), strict=True))
        return [row_of[i] for i in range(len(units))]
    shape = rows[0].shape[1:] if rows else (width,)
    out = np.empty((len(units), *shape), np.float32)
    for positions, row in zip(index, rows, strict=True):
        out[positions] = row
    return out
