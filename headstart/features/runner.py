"""A frozen network at work: what an engine gives, and which engine takes a backbone."""

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


class Running(Protocol):
    """A frozen network at work.

    engines/ has one file each: takes(backbone, cut, runs, todo, root) -> int, 0 for never and more for faster;
    start(backbone, cut, root); precisions() -> what this machine computes faster than float32.
    engine: which member it is and in which precision it computes, and why not the one before it
    """

    engine: str

    def rows(self, units: list[np.ndarray]) -> Any:
        """(u, d) float32 at the top, (u, ...) below it, a list of (t, d) for texts there; in the order of the units."""
        ...

    def receipt(self) -> Receipt:
        """Digests over everything below the cut, at the start and now."""
        ...


class Untouched:
    """What is at work below a cut at 0: nothing. Prepared inputs are kept as they are."""

    engine = ""

    def rows(self, units: list[np.ndarray]) -> list[np.ndarray]:
        """The units."""
        return units

    def receipt(self) -> Receipt:
        """Of no tensors."""
        nothing = digest.of_value({})
        return Receipt(0, (), nothing, nothing)


class Beside:
    """A network's rows and, after them, the hand-made numbers of the floor for the same units: (u, d + m)."""

    def __init__(self, backbone: Backbone, floor: str, todo: int, root: Path | None):
        plain = member("backbones", floor).card("")
        settings = tuple((k, v) for k, v in backbone.preprocess.settings if k != "beside")
        spec = replace(backbone.preprocess, settings=settings)
        alone = replace(backbone, preprocess=spec, width=backbone.width - plain.width)
        self._network = start(alone, alone.cut(len(alone.blocks)), todo, root)
        self.engine = self._network.engine
        self._floor = start(plain, plain.cut(len(plain.blocks)), todo, root)

    def rows(self, units: list[np.ndarray]) -> np.ndarray:
        """Side by side, float32."""
        return np.concatenate([self._network.rows(units), self._floor.rows(units)], axis=1)

    def receipt(self) -> Receipt:
        """The network's."""
        return self._network.receipt()


def start(backbone: Backbone, cut: Cut, todo: int = 1, root: Path | None = None) -> Running:
    """The backbone at work below the cut, on the engine that is fastest for `todo` inputs, or that the cut names.

    root: the cache folder, where engines keep what they compiled
    Raises PlanError where the engine that was asked for does not run it, and what opening the network raises.
    """
    if cut.at == 0:
        return Untouched()
    beside = dict(backbone.preprocess.settings).get("beside")
    if beside and cut.top:
        return Beside(backbone, str(beside), todo, root)
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
        running = engines[others[0]].start(backbone, cut, root)
        running.engine += f"; {refusal}"
        return running
