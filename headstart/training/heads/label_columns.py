"""Labels as the columns that logistic regression fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from headstart.core.task import Objective


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Labels as c columns to fit: two classes need one, a class or tag that does not vary has none.

    targets: (c, n) of 0 and 1.  counts: (1 or c, n), what a row counts, on average 1
    truth:   (n,) int64 for softmax, (n, c) for sigmoid, as log-loss wants it
    at:      where in `width` the columns stand.  rest: (width,) bias of the others, NaN where it depends on scores
    """

    link: Literal["softmax", "sigmoid"]
    targets: np.ndarray
    counts: np.ndarray
    truth: np.ndarray
    at: np.ndarray
    rest: np.ndarray

    def spread(self, b: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(c, r) and (c,) to (width, r) and (width,)."""
        weight, whole = np.zeros((len(self.rest), b.shape[1])), self.rest.copy()
        if len(self.at) == 2 and len(b) == 1:
            weight[self.at], whole[self.at] = np.stack([-b[0] / 2, b[0] / 2]), np.stack([-bias[0] / 2, bias[0] / 2])
        else:
            weight[self.at], whole[self.at] = b, bias
        missing = np.isnan(whole)
        if missing.any():
            # Scores of the others about 0 sum to log(count) or more in any row, so that a class without an example
            # is nowhere likelier than the next example to be the first of its kind.
            weight[self.at] -= weight[self.at].mean(0)
            whole[self.at] -= whole[self.at].mean()
            whole[missing] = np.log(len(self.at)) - np.log(self.truth.shape[0] + len(whole))
        return weight, whole


def coded(y: np.ndarray, objective: Objective, weights: str) -> Columns:
    """Labels as the objective encodes them. weights: "none" or "balanced"."""
    n, width = len(y), objective.width
    balanced = weights == "balanced"
    if objective.link == "sigmoid":
        on = (y > 0).T
        share = on.mean(1)
        at = np.flatnonzero((share > 0) & (share < 1))
        rest = np.where(share > 0, 1, -1) * np.log(n + 1.0)
        on, share = on[at], share[at, None]
        counts = np.where(on, 0.5 / share, 0.5 / (1 - share)) if balanced else np.ones((1, n))
        return Columns("sigmoid", on, counts, on.T, at, rest)
    at, code, many = np.unique(y, return_inverse=True, return_counts=True)
    counts = (n / (len(at) * many[code]) if balanced else np.ones(n))[None]
    rest = np.full(width, np.nan)
    if len(at) == 2:
        return Columns("sigmoid", code[None] == 1, counts, code[:, None] == 1, at, rest)
    return Columns("softmax", code == np.arange(len(at))[:, None], counts, code, at, rest)
