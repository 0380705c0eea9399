"""Chooses the engine that runs a backbone below a cut, and says what every engine gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError
from headstart.core.plugins import member, names
from headstart.core.result import Receipt


class Extractor(Protocol):
    """A frozen network that extracts features.

    engines/ has one file each: takes(backbone, cut, runs, todo, root) -> int, 0 for never and more for faster;
    start(backbone, cut, root) -> Extractor; precisions() -> what this machine computes faster than float32.
    engine: which member it is and in which precision it computes, and why not the one before it
    A unit is one network input: an image's pixels, or one window of a text's token ids.
    """

    engine: str

    def rows(self, units: list[np.ndarray]) -> Any:
        """(u, d) float32 at the top, (u, ...) below it, a list of (t, d) for texts there; in the order of the units."""

    def receipt(self) -> Receipt:
        """Digests over everything below the cut, at the start and now."""


class IdentityExtractor:
    """Below a cut at 0 there is no network: prepared inputs are kept as they are."""

    engine = ""

    def rows(self, units: list[np.ndarray]) -> list[np.ndarray]:
        """The units."""
        return units

    def receipt(self) -> Receipt:
        """Of no tensors."""
        empty = digest.of_value({})
        return Receipt(0, (), empty, empty)


class ConcatExtractor:
    """A network's embeddings and, after them, the baseline's statistics of the same units: (u, d + m)."""

    def __init__(self, backbone: Backbone, baseline: str, todo: int, root: Path | None):
        statistics = member("backbones", baseline).card("")
        settings = tuple((k, v) for k, v in backbone.preprocess.settings if k != "beside")
        spec = replace(backbone.preprocess, settings=settings)
        network = replace(backbone, preprocess=spec, width=backbone.width - statistics.width)
        self._network = start_engine(network, network.cut(len(network.blocks)), todo, root)
        self.engine = self._network.engine
        self._statistics = start_engine(statistics, statistics.cut(len(statistics.blocks)), todo, root)

    def rows(self, units: list[np.ndarray]) -> np.ndarray:
        """Side by side, float32."""
        return np.concatenate([self._network.rows(units), self._statistics.rows(units)], axis=1)

    def receipt(self) -> Receipt:
        """The network's."""
        return self._network.receipt()


def start_engine(backbone: Backbone, cut: Cut, todo: int = 1, root: Path | None = None) -> Extractor:
    """The backbone below the cut on the engine that is fastest for `todo` inputs, or that the cut names.

    root: the cache folder, where engines keep what they compiled
    Raises PlanError where the engine that was asked for does not run it, and what opening the network raises.
    """
    if cut.at == 0:
        return IdentityExtractor()
    baseline = dict(backbone.preprocess.settings).get("beside")
    if baseline and cut.top:
        return ConcatExtractor(backbone, str(baseline), todo, root)
    runs = member("backbones", backbone.family).runs(backbone, cut)
    engines = {name: member("engines", name) for name in names("engines")}
    ranks = {name: engine.takes(backbone, cut, runs, todo, root) for name, engine in engines.items()}
    able = sorted((name for name in ranks if ranks[name]), key=lambda name: -ranks[name])
    if cut.engine and cut.engine not in able:
        raise PlanError(f"The engine {cut.engine!r} does not run {backbone.name} here. What does: {', '.join(able)}.")
    first, *others = [cut.engine] if cut.engine else able
    try:
        return engines[first].start(backbone, cut, root)
    except PlanError as refusal:
        if not others:
            raise
        extractor = engines[others[0]].start(backbone, cut, root)
        extractor.engine += f"; {refusal}"
        return extractor
