"""Features at a cut of a network, one row an example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST_FEATURE = 1e32  # in size: heads hold weights for it in float32, which ends at 3.4e38


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Rows of unequal length, texts at a cut below the top: one row a token of each of a text's windows.

    items:   n arrays, (t_i, d) float16, or (t_i,) int32 token ids at a cut at 0
    windows: of each, the lengths of its windows, which sum to t_i
    """

    items: tuple[np.ndarray, ...]
    windows: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: slice | np.ndarray) -> Ragged:
        if isinstance(index, slice):
            return Ragged(self.items[index], self.windows[index])
        return Ragged(tuple(self.items[i] for i in index), tuple(self.windows[i] for i in index))

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return sum(a.nbytes for a in self.items)


@dataclass(frozen=True, slots=True, eq=False)
class RowView:
    """Rows `index` (int64) of a memory map, read only when they are needed: below the top they are many bytes each."""

    x: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        return self.x[self.index[index]]

    @property
    def nbytes(self) -> int:
        """Bytes of all rows, were they read."""
        return len(self.index) * self.x[:1].nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Rows with their labels.

    x:      (n, d) float32 at the top of a network. Below it (n, t, d) or (n, c, h, w) float16, Ragged for texts; at a
            cut at 0 the prepared inputs, (n, h, w, 3) uint8 or Ragged token ids. May be a memory map
    y:      (n,) int64, (n, k) float32 or (n,) float32, as the objective encodes labels
    ids:    n example ids, in the order of the rows
    groups: n group names ("" = alone), or empty when there are none; a group never stands in two folds
    views:  augmented views of the same rows, each like x; none where nothing learns below the top
    """

    x: Any
    y: np.ndarray
    ids: tuple[str, ...]
    groups: tuple[str, ...] = ()
    views: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: np.ndarray) -> Features:
        """The rows at `index` (int64)."""
        groups = tuple(self.groups[i] for i in index) if self.groups else ()
        views = tuple(take_rows(v, index) for v in self.views)
        return Features(take_rows(self.x, index), self.y[index], tuple(self.ids[i] for i in index), groups, views)


def concatenate_features(a: Features, b: Features) -> Features:
    """Both, one after the other. Where only one has views, the other's plain rows stand in for them."""
    groups = (a.groups or ("",) * len(a)) + (b.groups or ("",) * len(b)) if a.groups or b.groups else ()
    count = max(len(a.views), len(b.views))
    views_a, views_b = ((features.views or (features.x,) * count) for features in (a, b))
    views = tuple(concatenate_rows([v, w]) for v, w in zip(views_a, views_b, strict=True))
    return Features(concatenate_rows([a.x, b.x]), np.concatenate([a.y, b.y]), a.ids + b.ids, groups, views)


def take_rows(x: Any, index: np.ndarray) -> Any:
    """Rows at `index`: a copy at the top, where they are short; below it a view or Ragged maps."""
    if isinstance(x, RowView):
        return RowView(x.x, x.index[index])
    return x[index] if isinstance(x, Ragged) or x.ndim <= 2 else RowView(x, np.asarray(index, np.int64))


def stack_rows(rows: Sequence[np.ndarray], windows: Sequence[tuple[int, ...]] = ()) -> Any:
    """Rows as one array; with their windows as Ragged."""
    return Ragged(tuple(rows), tuple(windows)) if windows else np.stack(rows)


def concatenate_rows(parts: Sequence[Any]) -> Any:
    """Arrays or Ragged, one after the other; empty ones may have any shape."""
    parts = [x for x in parts if len(x)] or list(parts[:1])
    if isinstance(parts[0], Ragged):
        return Ragged(sum((x.items for x in parts), ()), sum((x.windows for x in parts), ()))
    if all(isinstance(x, RowView) and x.x is parts[0].x for x in parts):
        return RowView(parts[0].x, np.concatenate([x.index for x in parts]))
    return np.concatenate([x[:] for x in parts])


def unit_rows(rows: np.ndarray, noise: float = 0.0) -> np.ndarray:
    """Rows (n, d) brought to length 1, whatever their unit; zeros for those that are no longer than the noise."""
    with np.errstate(over="ignore", under="ignore"):
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        unit = rows / np.maximum(length, 1e-12)
    # The squares of very small and very large numbers leave the range of float32.
    odd = np.flatnonzero(~((length > 1e-12) & (length < 1e15)))
    if len(odd):
        wide = rows[odd].astype(np.float64)
        length = np.linalg.norm(wide, axis=1, keepdims=True)
        unit[odd] = np.divide(wide, length, out=np.zeros_like(wide), where=length > noise)
    return unit
