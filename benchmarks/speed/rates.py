"""Embedding rates of the engine alone: a plain loop in float32 PyTorch against ours in float32 and bfloat16.

    python -m benchmarks.speed.rates [--quick] [--only MobileNetV2,MiniLM]

Inputs are prepared before; the ways take turns within one process. Beside each of our rates: the smallest cosine to the
plain loop's rows, and the share of answers that a head trained on its rows gives alike from ours.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.speed.harness import environment, facts, parser, repeats, report, row, tried, turns
from benchmarks.speed.workloads import GOALS, Subject, opened

TIMED = 2.0  # seconds at least of each reading
PHOTOS, TEXTS = 240, 1024
BATCHES = (8, 32)


def rate(run: Callable[[list[np.ndarray]], object], units: list[np.ndarray], least: float = TIMED) -> float:
    """Inputs a second."""
    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < least:
        run(units)
        done += len(units)
    return done / took


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The smallest of the rows'."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(lengths, 1e-12)).min())


def alike(exact: np.ndarray, other: np.ndarray, labels: list[str]) -> float:
    """Share of inputs that a head answers alike; it learned from two thirds of the exact rows and is asked the rest."""
    from headstart.core.features import Features
    from headstart.data.objectives.classes import Classes
    from headstart.training.methods.logistic import Settings

    names, y = np.unique(labels, return_inverse=True)
    held = np.arange(len(y)) % 3 == 0
    learn = Features(exact[~held], y[~held].astype(np.int64), tuple(map(str, np.flatnonzero(~held))))
    nothing = learn.rows(np.zeros(0, np.int64))
    objective = Classes(tuple(map(str, names)))
    head = Settings().fit(learn, nothing, objective, above=lambda: None, rng=np.random.default_rng(0))
    answers = [head.scores(rows[held]).argmax(1) for rows in (exact, other)]
    return float((answers[0] == answers[1]).mean())


def ways_of(subject: Subject, work: Path) -> tuple[dict[str, Callable], dict[str, str]]:
    """How it can be run here, by name, and the engine that each of ours took."""
    ways: dict[str, Callable] = {f"plain {b}": lambda units, b=b: subject.plain(units, b) for b in BATCHES}
    engines = {}
    for precision in ("float32", "bfloat16"):
        running = tried(precision, lambda p=precision: [{"running": subject.ours(p, work / "cache")}])[0]
        if "running" in running:
            ways[precision], engines[precision] = running["running"].rows, running["running"].engine
        else:
            engines[precision] = f"missing: {running['missing']}"
    return ways, engines


def measured(name: str, work: Path, times: int, amx: bool, quick: bool) -> list[dict]:
    """Two rows: float32 and bfloat16."""
    subject = opened(name, work, *((96, 256) if quick else (PHOTOS, TEXTS)))
    ways, engines = ways_of(subject, work)
    exact = subject.plain(subject.units, 32)
    rows = {way: run(subject.units) for way, run in ways.items() if not way.startswith("plain")}
    few = subject.units if name == "MiniLM" else subject.units[: 16 if quick else 64]
    found = turns({way: lambda run=run: rate(run, few) for way, run in ways.items()}, times)
    best = max((f"plain {b}" for b in BATCHES), key=lambda way: np.median(found[way]))
    unit = "texts/s" if name == "MiniLM" else "images/s"
    told = []
    for precision in ("float32", "bfloat16"):
        if precision not in rows:
            told.append({**row(f"{name}, {precision}"), "missing": engines[precision].removeprefix("missing: ")})
            continue
        beside = f"{engines[precision]}; smallest cosine {cosine(exact, rows[precision]):.5f}, "
        beside += f"answers alike {alike(exact, rows[precision], subject.labels):.1%}"
        goal = GOALS[name] if amx and precision == "bfloat16" else None
        against = f"PyTorch float32, batch {best.split()[1]}"
        more = {"unit": unit, "n": len(few), "beside": beside, "least": goal, "against": against}
        told.append(row(f"{name}, {precision}", found[precision], found[best], **more))
    return told


def main() -> None:
    """Prints one JSON document."""
    import os

    made = parser(__doc__)
    made.add_argument("--only", default=",".join(GOALS))
    asked = made.parse_args()
    os.environ.update(environment())
    before = facts("openvino", "torch", "timm", "transformers")
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as place:
        for name in asked.only.split(","):
            rows += tried(
                name, lambda name=name: measured(name, Path(place), repeats(asked), before["amx"], asked.quick)
            )
    notes = (
        [] if before["amx"] else ["This processor has no AMX: the goals are for those that have, ratios are as found."]
    )
    report("rates", asked, before, rows, notes=notes)


if __name__ == "__main__":
    main()
