"""Labels as the columns of targets that logistic regression fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from headstart.core.task import Objective


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Labels as c columns to fit: two classes need one, a class or tag that does not vary has none.

    targets:       (c, n) of 0 and 1
    sample_weight: (1 or c, n), 1 on average
    labels:        (n,) int64 for softmax, (n, c) for sigmoid, as log-loss takes them
    outputs:       which of the `width` outputs the columns are
    fixed_bias:    (width,) bias of the other outputs, NaN where it depends on the logits
    """

    link: Literal["softmax", "sigmoid"]
    targets: np.ndarray
    sample_weight: np.ndarray
    labels: np.ndarray
    outputs: np.ndarray
    fixed_bias: np.ndarray

    def expand(self, b: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (c, r) and intercepts (c,) of the columns -> those of all outputs, (width, r) and (width,)."""
        weight, all_bias = np.zeros((len(self.fixed_bias), b.shape[1])), self.fixed_bias.copy()
        if len(self.outputs) == 2 and len(b) == 1:
            weight[self.outputs] = np.stack([-b[0] / 2, b[0] / 2])
            all_bias[self.outputs] = np.stack([-bias[0] / 2, bias[0] / 2])
        else:
            weight[self.outputs], all_bias[self.outputs] = b, bias
        missing = np.isnan(all_bias)
        if missing.any():
            # Logits of the others about 0 sum to log(count) or more in any row, so that a class without an example
            # is nowhere likelier than the next example to be the first of its kind.
            weight[self.outputs] -= weight[self.outputs].mean(0)
            all_bias[self.outputs] -= all_bias[self.outputs].mean()
            all_bias[missing] = np.log(len(self.outputs)) - np.log(self.labels.shape[0] + len(all_bias))
        return weight, all_bias


def encode_columns(y: np.ndarray, objective: Objective, class_weight: str) -> Columns:
    """Columns of labels as the objective encodes them. class_weight: "none" or "balanced"."""
    n, width = len(y), objective.width
    balanced = class_weight == "balanced"
    if objective.link == "sigmoid":
        on = (y > 0).T
        share = on.mean(1)
        varying = np.flatnonzero((share > 0) & (share < 1))
        fixed_bias = np.where(share > 0, 1, -1) * np.log(n + 1.0)
        on, share = on[varying], share[varying, None]
        weight = np.where(on, 0.5 / share, 0.5 / (1 - share)) if balanced else np.ones((1, n))
        return Columns("sigmoid", on, weight, on.T, varying, fixed_bias)
    classes, code, count = np.unique(y, return_inverse=True, return_counts=True)
    weight = (n / (len(classes) * count[code]) if balanced else np.ones(n))[None]
    fixed_bias = np.full(width, np.nan)
    if len(classes) == 2:
        return Columns("sigmoid", code[None] == 1, weight, code[:, None] == 1, classes, fixed_bias)
    return Columns("softmax", code == np.arange(len(classes))[:, None], weight, code, classes, fixed_bias)
