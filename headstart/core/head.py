"""A head as plain matrices: the form in which every export writes it down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Matrices with ReLU between them: rows (n, d) -> calibrated scores (n, k).

    layers: (weight (d, k), bias (k,)) float64 each.  unit: rows are brought to length 1 first
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    unit: bool = False

    def scores(self, x: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, k) float32."""
        x = x.astype(np.float64)
        if self.unit:
            x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        for i, (weight, bias) in enumerate(self.layers):
            x = (np.maximum(x, 0) if i else x) @ weight + bias
        return x.astype(np.float32)
