"""Units of one pass through a network together: images as they come, texts by length so that little is padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def batches(units: list[np.ndarray], images: int, tokens: int) -> Iterator[list[int]]:
    """Positions of the units of one pass each.

    images: at most so many pictures.  tokens: at most so many of texts, padding included
    """
    if units and units[0].ndim > 1:
        yield from (list(range(begin, min(begin + images, len(units)))) for begin in range(0, len(units), images))
        return
    batch: list[int] = []
    for i in sorted(range(len(units)), key=lambda i: len(units[i])):
        if batch and (len(batch) + 1) * len(units[i]) > tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def joined(units: list[np.ndarray], index: list[list[int]], rows: list, width: int) -> np.ndarray | list[np.ndarray]:
    """What passes gave, in the order of the units: (u, …) float32, or a list of (t, d) where passes gave lists.

    index: positions of each pass.  rows: what each gave.  width: of a row where there are no units
    """
    if rows and isinstance(rows[0], list):
        whole: list[np.ndarray] = [np.zeros(0)] * len(units)
        for positions, some in zip(index, rows, strict=True):
            for i, row in zip(positions, some, strict=True):
                whole[i] = row
        return whole
    shape = rows[0].shape[1:] if rows else (width,)
    out = np.empty((len(units), *shape), np.float32)
    for positions, row in zip(index, rows, strict=True):
        out[positions] = row
    return out
