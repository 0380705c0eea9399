"""Seconds and peak memory as examples grow: photos embedded from a table, and rows learned from in a memory map.

    python -m benchmarks.speed.scaling [--quick]

Each count is a process of its own with an empty cache. Memory is anonymous memory (RssAnon: what the process itself
holds; pages of mapped files are the system's to drop), sampled fifty times a second from the start of the work.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.speed.harness import MOBILENET, data, facts, fresh, parser, process, report, row, tried

PHOTOS, ROWS, WIDTH, CLASSES = (1_000, 5_000, 10_000, 60_000), (10_000, 50_000, 200_000, 500_000, 1_000_000), 384, 10
QUICK = 10_000, 200_000
BASE = {"photos": 5_000, "rows": 50_000}  # from here on memory is to be flat; fewer rows are held whole
FLAT, LINEAR = 1.25, 1.25  # times: the most memory from there to the last count, and seconds an example likewise


def anonymous() -> float:
    """Megabytes that this process holds beside mapped files."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


class Watched:
    """The most memory held while it is open, looked at from a thread of its own."""

    def __enter__(self) -> Watched:
        self.before, self.peak, self._open, self.began = anonymous(), 0.0, True, time.perf_counter()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        while self._open:
            now = anonymous()
            self.peak = max(self.peak, now)
            time.sleep(0.02)

    def __exit__(self, *error: object) -> None:
        self.seconds, self._open = time.perf_counter() - self.began, False
        self.after = anonymous()
        self._thread.join()

    def facts(self) -> dict:
        """Seconds, and megabytes before, at most, and after."""
        return {"seconds": self.seconds, "before": self.before, "peak": self.peak, "after": self.after}


def photos(count: int) -> dict:
    """Embeds the first `count` photos of cifar10, both parts, reading the table included."""
    from headstart.backbones.cards import find_card
    from headstart.data.read import read_source
    from headstart.features.extract import embed

    root = Path(os.environ["HEADSTART_CACHE"])
    card = find_card(f"timm:{MOBILENET}", root)
    with Watched() as watched:
        parts = read_source(str(data("cifar10"))).examples
        examples = [e for name in ("train", "test") for e in parts[name]][:count]
        rows = embed(examples, card, card.cut(len(card.blocks)), root)
    return {**watched.facts(), "mapped": not rows.x.flags.owndata, "n": len(rows.x)}


def features(count: int) -> dict:
    """Fits the logistic head to `count` rows of 384 numbers in a memory map."""
    from headstart.core.features import Features
    from headstart.data.objectives.classes import Classes
    from headstart.training.methods.logistic import Settings

    file = Path(os.environ["HEADSTART_CACHE"]) / "rows.npy"
    dice = np.random.default_rng(0)
    y = np.arange(count) % CLASSES
    middle = 0.25 * dice.standard_normal((CLASSES, WIDTH)).astype(np.float32)
    written = np.lib.format.open_memmap(file, "w+", np.float32, (count, WIDTH))
    for first in range(0, count, 10_000):
        some = y[first : first + 10_000]
        written[first : first + 10_000] = middle[some] + dice.standard_normal((len(some), WIDTH), dtype=np.float32)
    written.flush()
    del written
    rows = Features(np.load(file, mmap_mode="r"), y.astype(np.int64), tuple(map(str, range(count))))
    nothing = Features(np.zeros((0, WIDTH), np.float32), np.zeros(0, np.int64), ())
    objective = Classes(tuple(map(str, range(CLASSES))))
    with Watched() as watched:
        Settings().fit(rows, nothing, objective, above=lambda: None, rng=np.random.default_rng(0))
    return {**watched.facts(), "n": count}


def measured(kind: str, counts: tuple[int, ...], what: str, unit: str) -> tuple[list[dict], list[dict]]:
    """Rows of the table, and the two curves."""
    found = []
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            done = process(
                [sys.executable, "-m", "benchmarks.speed.scaling", "--one", f"{kind}:{count}"],
                fresh(Path(place) / "cache"),
            )
        found.append(done.document())
        print(kind, json.dumps(found[-1]), file=sys.stderr, flush=True)
    rows = []
    for facts_ in found:
        beside = f"anonymous memory {facts_['before']:.0f} MB before, {facts_['peak']:.0f} at most, "
        beside += f"{facts_['after']:.0f} after; {facts_['n'] / facts_['seconds']:,.0f} {unit} a second"
        rows.append(
            {**row(f"{facts_['n']:,} {unit}", [facts_["seconds"]], n=facts_["n"], beside=beside), "figure": False}
        )
    late = [f for f in found if f["n"] >= BASE[kind]]
    if len(late) > 1:
        own = [f["peak"] - f["before"] for f in late]  # labels and names are the caller's
        memory = max(own) / own[0]
        pace = late[-1]["seconds"] / late[-1]["n"] * late[0]["n"] / late[0]["seconds"]
        told, more = f"from {late[0]['n']:,} to {late[-1]['n']:,} {unit}", {"unit": "×", "n": late[-1]["n"]}
        rows.append(
            {**row(f"memory beyond what was held before, {told}", [memory], most=FLAT, **more), "figure": False}
        )
        rows.append({**row(f"seconds an example, {told}", [pace], most=LINEAR, **more), "figure": False})
    curves = [
        {"name": f"{kind}-seconds", "title": f"Seconds {what}", "x": unit, "y": "seconds",
         "points": [[f["n"], f["seconds"]] for f in found]},
        {"name": f"{kind}-memory", "title": f"Peak memory {what}", "x": unit, "y": "MB, anonymous",
         "points": [[f["n"], f["peak"]] for f in found]},
    ]  # fmt: skip
    return rows, curves


def main() -> None:
    """Prints one JSON document."""
    made = parser(__doc__)
    made.add_argument("--one", default="", help="KIND:COUNT, photos or rows: a count in this process")
    asked = made.parse_args()
    if asked.one:
        kind, _, count = asked.one.partition(":")
        print(json.dumps({"photos": photos, "rows": features}[kind](int(count))))
        return
    before, rows, curves = facts("openvino", "pyarrow"), [], []
    jobs = {
        "photos": (PHOTOS, QUICK[0], "to embed photos of cifar10, MobileNetV2", "photos"),
        "rows": (ROWS, QUICK[1], "to fit the head to rows of 384 numbers, 10 classes", "rows"),
    }
    for kind, (counts, most, what, unit) in jobs.items():
        some = tuple(c for c in counts if c <= most) if asked.quick else counts

        def both(kind=kind, some=some, what=what, unit=unit) -> list[dict]:
            told, drawn = measured(kind, some, what, unit)
            curves.extend(drawn)
            return told

        rows += tried(kind, both)
    report("scaling", asked, before, rows, curves=curves)


if __name__ == "__main__":
    main()
