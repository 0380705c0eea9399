"""Connected components of a graph: which examples hang together through groups, equal bytes or near-duplicates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def connected_components(n: int, edges: Iterable[tuple[int, int]]) -> np.ndarray:
    """(n,) int64, the smallest node of each node's component, by union-find. edges: pairs of nodes 0 to n - 1"""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for i, j in edges:
        a, b = root(i), root(j)
        parent[max(a, b)] = min(a, b)
    return np.array([root(i) for i in range(n)], np.int64)
