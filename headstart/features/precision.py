"""In which precision a backbone runs fastest here with its answers unchanged: measured once a machine, and remembered.

    <root>/engines/<machine>-<shelf>-<format>.json   rates of each way, how like float32 its rows were, and by task how
                                                     like in what heads answered

They are tried from the fastest to the most exact. One is taken where the smallest cosine to float32 is at least LIKE,
or where heads trained on rows in float32 of the task at hand give the same answers from the other rows for at least
SAME of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest, hardware
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError, Unreadable
from headstart.core.files import read_json, unwritable, write_whole
from headstart.core.plugins import member, names
from headstart.core.task import Example
from headstart.data.contents import stream
from headstart.features.cache import store
from headstart.features.extract import crossing, dtype_of
from headstart.features.runner import start

LIKE = 0.999
SAME = 0.995
KINDS = ("image", "text")
LEAST = 256  # inputs from which float32 is timed
WORTH = 8.0  # seconds in float32 from which a faster precision is looked for: looking costs 2 to 5
PROBED = 16  # inputs on which float32 alone is timed
FEW, SAMPLE = 48, 200  # inputs on which rows are compared, and answers where rows differ: SAME is one of them
TIMED = 0.2  # seconds for which a way is timed
SAID = {"mixed": "mixed (bfloat16, the first layers and depthwise ones in float32)"}
LIBRARIES = ("torch", "openvino")
FORMAT = 2  # of what is remembered


@dataclass(frozen=True, slots=True)
class Way:
    """How a backbone can be run here.

    rate: inputs a second.  cosine: smallest to float32's rows.  same: share of equal answers of a head, NaN unasked
    """

    precision: str
    rate: float
    cosine: float = 1.0
    same: float = float("nan")

    @property
    def open(self) -> bool:
        """Whether only a head of the task at hand can tell."""
        return self.cosine < LIKE and self.same != self.same  # NaN

    @property
    def sound(self) -> bool:
        """Whether its answers may stand for float32's."""
        return self.cosine >= LIKE or self.same >= SAME


def settle(
    card: Backbone,
    cut: Cut,
    examples: Sequence[Example],
    root: Path,
    asked: str = "",
    say: Callable[[str, dict], None] = lambda event, facts: None,
) -> tuple[Cut, list[str]]:
    """The cut with the precision in which what is below it is to be computed, and why in a sentence.

    asked: "ENGINE", "ENGINE:PRECISION" or "" for what is fastest
    Raises PlanError for an engine or a precision that is not there.
    """
    if asked:
        engine, _, precision = asked.partition(":")
        precision = precision or cut.precision
        _check(engine, precision)
        return replace(cut, engine=engine, precision=precision), [f"Engine {engine}, {precision}: as you asked."]
    family = member("backbones", card.family)
    if not cut.top or family.runs(card, cut) != "torch" or card.preprocess.kind not in KINDS:
        return cut, []
    faster = list(dict.fromkeys(p for name in names("engines") for p in member("engines", name).precisions()))
    digests = [e.digest for e in examples]
    missing = store.Shelf(root, card, cut, dtype_of(card.preprocess, cut)).missing(digests)
    if not faster or not missing:
        return cut, []
    file = root / "engines" / f"{hardware.key(*LIBRARIES)}-{store.key(card, cut)}-{FORMAT}.json"
    task = digest.of_value(sorted({str(e.label) for e in examples})[:10_000])
    ways = _recalled(file, task)
    todo = [examples[i] for i in missing]
    if not ways and len(todo) >= LEAST:
        ways = _raced(card, cut, [], todo, root)
        _remember(file, ways, task, root)
    unknown = len(ways) == 1 or any(w.open for w in ways)
    if ways and unknown and len(todo) / ways[0].rate > WORTH:
        say("racing", {"backbone": card.name, "precisions": ["float32", *faster]})
        ways = _raced(card, cut, faster, todo, root)
        _remember(file, ways, task, root)
    return _best(cut, ways) if len(ways) > 1 else (cut, [])


def at_top(card: Backbone, examples: Sequence[Example], root: Path) -> Cut:
    """The cut at the top, as `settle` has it."""
    return settle(card, card.cut(len(card.blocks)), examples, root)[0]


def _check(engine: str, precision: str) -> None:
    if engine not in names("engines"):
        raise PlanError(f"There is no engine {engine!r}. There are: {', '.join(names('engines'))}.")
    able = ("float32", *member("engines", engine).precisions())
    if precision not in able:
        raise PlanError(f"{engine} does not compute in {precision!r} on this machine. It does in: {', '.join(able)}.")


def _recalled(file: Path, task: str) -> list[Way]:
    facts = read_json(file) or {}
    try:
        same = facts["same"].get(task, {})
        return [Way(**way, same=same.get(way["precision"], float("nan"))) for way in facts["ways"]]
    except (KeyError, TypeError, AttributeError):
        return []


def _remember(file: Path, ways: list[Way], task: str, root: Path) -> None:
    facts = [{"precision": w.precision, "rate": w.rate, "cosine": w.cosine} for w in ways]
    known = (read_json(file) or {}).get("same", {})
    same = {w.precision: w.same for w in ways if w.same == w.same}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, {"ways": facts, "same": {**known, task: same}})
    except OSError as error:
        raise unwritable(root, error) from error


def _best(cut: Cut, ways: list[Way]) -> tuple[Cut, list[str]]:
    """The fastest sound way, and what was found of each."""
    exact = next(w for w in ways if w.precision == "float32")
    best = max((w for w in ways if w.sound), key=lambda w: w.rate)
    told = []
    for way in (w for w in ways if w.precision != "float32"):
        like = f"smallest cosine to float32 {way.cosine:.4f}"
        if not way.open and way.cosine < LIKE:
            like += f", heads answer {way.same:.1%} alike"
        fate = "taken" if way is best else "too far off" if not way.sound else "not faster"
        named, times = SAID.get(way.precision, way.precision), way.rate / max(exact.rate, 1e-9)
        told.append(f"{named} is {times:.1f} times as fast here ({like}): {fate}")
    return replace(cut, precision=best.precision), [f"Precision {best.precision}: {'; '.join(told)}."]


def _raced(card: Backbone, cut: Cut, faster: list[str], examples: list[Example], root: Path) -> list[Way]:
    """Each way on the same inputs of the task, spread evenly over it."""
    spread = np.unique(np.linspace(0, len(examples) - 1, SAMPLE if faster else PROBED).astype(int))
    mine, spec = [examples[i] for i in spread], card.preprocess
    prepare = member("preprocess", spec.kind)
    contents = [(e, c) for e, c in stream(mine) if not isinstance(c, Unreadable)]
    looked = zip(contents, prepare.prepare([c for _, c in contents], spec), strict=True)
    ready = [(e, some) for (e, _), some in looked if not isinstance(some, Unreadable)]
    inputs = [some for _, some in ready]
    if not inputs:
        return [Way("float32", 1.0)]
    running = {"float32": start(card, cut, len(examples), root)}
    ways = [Way("float32", _timed(running["float32"], inputs))]
    spaced = inputs[:: max(1, len(inputs) // FEW)]

    def rows(some: list, precision: str) -> np.ndarray:
        at = replace(cut, precision=precision)
        return np.stack([row for row, _ in crossing(some, spec, at, running[precision])])

    exact: np.ndarray | None = None
    for precision in faster:
        running[precision] = start(card, replace(cut, precision=precision), len(examples), root)
        cosine, same = _cosine(rows(spaced, precision), rows(spaced, "float32")), float("nan")
        if cosine < LIKE:
            exact = rows(inputs, "float32") if exact is None else exact
            same = _same(exact, rows(inputs, precision), [str(e.label) for e, _ in ready])
        ways.append(Way(precision, _timed(running[precision], inputs), cosine, same))
        if ways[-1].sound:
            break  # what is more exact is no faster
    return ways


def _timed(running: Any, inputs: list[list[np.ndarray]]) -> float:
    """Inputs a second, of a few after a warm-up."""
    units = [unit for some in inputs for unit in some][:64]
    running.rows(units[:8])
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < TIMED:
        running.rows(units)
        done += len(units)
    return done / (time.perf_counter() - began) * len(inputs) / sum(map(len, inputs))


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(lengths, 1e-12)).min())


def _same(exact: np.ndarray, other: np.ndarray, labels: list[str]) -> float:
    """Share of inputs that heads trained on exact rows (n, d) answer alike from the others; NaN without two labels.

    Two heads, each trained on one half and asked of the other: ridge regression to one column a label, with a tenth of
    the mean eigenvalue as its penalty.
    """
    kinds, y = np.unique(labels, return_inverse=True)
    if len(kinds) < 2 or len(kinds) > len(labels) / 2:
        return float("nan")
    half, alike = np.arange(len(y)) % 2 == 0, 0
    for learn in (half, ~half):
        targets = np.eye(len(kinds))[y[learn]]
        mean, gain = exact[learn].mean(0), 1 / np.maximum(exact[learn].std(0), 1e-6)
        z = ((exact[learn] - mean) * gain).astype(np.float64)
        gram = z @ z.T if len(z) < z.shape[1] else z.T @ z
        gram[np.diag_indices(len(gram))] += 0.1 * np.trace(gram) / len(gram)
        side = targets - targets.mean(0)
        b = z.T @ np.linalg.solve(gram, side) if len(z) < z.shape[1] else np.linalg.solve(gram, z.T @ side)
        said = [((x[~learn] - mean) * gain @ b + targets.mean(0)).argmax(1) for x in (exact, other)]
        alike += (said[0] == said[1]).sum()
    return float(alike / len(y))
