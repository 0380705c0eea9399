"""What left the frozen part of a network, one row an example."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Rows with their labels.

    x:      (n, d) float32 at the top of a network; (n, t, d) or (n, c, h, w) below it. May be a memory map
    y:      (n,) int64, (n, k) float32 or (n,) float32, as the objective encodes labels
    ids:    n example ids, in the order of the rows
    groups: n group names ("" = alone), or empty when there are none; a group never stands in two folds
    """

    x: np.ndarray
    y: np.ndarray
    ids: tuple[str, ...]
    groups: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: np.ndarray) -> Features:
        """The rows at `index` (int64), as a copy."""
        groups = tuple(self.groups[i] for i in index) if self.groups else ()
        return Features(self.x[index], self.y[index], tuple(self.ids[i] for i in index), groups)


def join(a: Features, b: Features) -> Features:
    """Both, one after the other."""
    groups = (a.groups or ("",) * len(a)) + (b.groups or ("",) * len(b)) if a.groups or b.groups else ()
    return Features(np.concatenate([a.x, b.x]), np.concatenate([a.y, b.y]), a.ids + b.ids, groups)
