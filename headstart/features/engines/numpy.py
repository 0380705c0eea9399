"""numpy: runs backbones that are plain functions, such as the baseline, static embeddings and given vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.plugins import member
from headstart.core.result import Receipt

BATCH_SIZE = 32  # units at a time: bounds memory


def precisions() -> tuple[str, ...]:
    """None but float32."""
    return ()


def takes(backbone: Backbone, cut: Cut, runs: str, todo: int, root: Path | None) -> int:
    """Backbones whose parts are plain functions."""
    return int(runs == "numpy")


def start(backbone: Backbone, cut: Cut, root: Path | None = None) -> NumpyExtractor:
    """Opens the backbone. Raises PlanError below the top: there is nothing above that could be trained."""
    if not cut.top:
        top = len(backbone.blocks)
        raise PlanError(f"{backbone.name} can only be cut at the top, {top}: it has no layers to train.")
    stem, blocks, pool = member("backbones", backbone.family).parts(backbone)
    return NumpyExtractor(backbone, (stem, *blocks, pool))


class NumpyExtractor:
    """A row of functions. Those that hold pretrained numbers name them as `tensors`."""

    def __init__(self, backbone: Backbone, functions: tuple[Callable, ...]):
        self.backbone, self.functions = backbone, functions
        self.engine = "numpy float32"
        self._before = self._digests()

    def rows(self, units: list[np.ndarray]) -> np.ndarray:
        """(u, d) float32, in the order of the units."""
        spec = self.backbone.preprocess
        prepare = member("preprocess", spec.kind)
        out = np.empty((len(units), self.backbone.width), np.float32)
        for first in range(0, len(units), BATCH_SIZE):
            batch = units[first : first + BATCH_SIZE]
            x = prepare.batch(batch, spec)
            for function in self.functions:
                x = function(x)
            out[first : first + len(batch)] = x
        return out

    def receipt(self) -> Receipt:
        """Digests over every array, at the start and now; of the recipe alone where there is none."""
        if not self._before:
            return Receipt(0, (), self.backbone.weights, self.backbone.weights, engine=self.engine)
        now = self._digests()
        moved = tuple(sorted(name for name in now if now[name] != self._before[name]))
        return Receipt(len(now), moved, digest.of_value(self._before), digest.of_value(now), engine=self.engine)

    def _digests(self) -> dict[str, str]:
        tensors = [getattr(function, "tensors", {}) for function in self.functions]
        return {name: digest.of_arrays([(name, a)]) for arrays in tensors for name, a in arrays.items()}
