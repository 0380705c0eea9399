"""Silent bugs planted in real runs: which guard catches each, and how often guards cry wolf on clean runs.

    python -m benchmarks.guards.detection [--only NAME,NAME] [--draw N] [--clean | --lost]

Each bug of bugs.py is planted in a run of `fit` on real data and weights, with a cache of its own. --clean runs the
same data, and others, without any bug, and counts stops and warnings. --lost lets nothing stop a run, and tells what
each bug costs in accuracy on more of the same data. Prints one Markdown table.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from benchmarks.guards import bugs, datasets, faults
from benchmarks.paths import MOBILENET, SHARED


def found_in(bug: bugs.Bug) -> tuple[list[tuple[str, str]], float]:
    """[(guard, level)] of what a run with the bug found, and its seconds; a stop ends it."""
    from headstart.core.errors import Stopped
    from headstart.workflows import fit

    said: list[tuple[str, str]] = []

    def hear(event: dict) -> None:
        if event["event"] == "finding":
            said.append((event["guard"], event["level"]))

    data, began = bug.data(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, bug.broken():
        try:
            for n in range(bug.times):
                settings = bug.settings if bug.times == 1 else {"class_weight": "none", "folds": str(n + 2)}
                fit.fit(data, into=Path(folder) / str(n), backbone=bug.backbone, method=bug.method, settings=settings,
                         root=Path(folder) / "cache", echo=hear)  # fmt: skip
        except Stopped:
            pass  # what stopped it was heard
    return said, time.perf_counter() - began


def lost(wanted: set[str]) -> None:
    """What each bug costs when nobody stops it: accuracy without it and with it, on the same examples."""
    from headstart.evaluation import guarding
    from headstart.workflows import fit

    larger = {datasets.photos: lambda: datasets.photos(110, 69), datasets.texts: lambda: datasets.texts(64, 500)}
    right: dict[tuple, float] = {}

    def scored(bug: bugs.Bug, broken: Callable, backbone: str, settings: dict) -> float:
        with (
            tempfile.TemporaryDirectory() as folder,
            broken(),
            patch.object(guarding, "raise_on_stop", lambda findings: None),
        ):
            outcome = fit.fit(larger[bug.data](), into=Path(folder) / "run", backbone=backbone, method=bug.method,
                               settings=settings, root=Path(folder) / "cache")  # fmt: skip
        return outcome.result["metrics"]["accuracy"]["value"]

    print("| planted | backbone | method | without | with | lost |\n|---|---|---|---|---|---|")
    for bug in bugs.BUGS:
        if bug.data not in larger or bug.guard not in ("drift", "preprocess", "rate"):
            continue
        if wanted and bug.guard not in wanted:
            continue
        backbone = bug.backbone.partition("?")[0]
        settings = {k: v for k, v in bug.settings.items() if k != "learning_rate"}
        key = (backbone, bug.data, bug.method, tuple(settings.items()))
        if key not in right:
            right[key] = scored(bug, faults.no_fault, backbone, settings)
        wrong = scored(bug, bug.broken, bug.backbone, bug.settings)
        print(f"| {bug.name} | {bugs.NAMES[backbone]} | {bug.method} | {right[key]:.3f} | {wrong:.3f} | "
              f"{100 * (right[key] - wrong):.1f} |", flush=True)  # fmt: skip


def clean() -> None:
    """Runs without a bug: what guards say of them."""
    from headstart.workflows import check

    sets = ("hymenoptera", "neu_defects", "flowers102_64px", "trashnet", "spoken_digits_spectrogram", "text_trec6",
            "text_sst2", "text_agnews", "text_banking77", "text_sms_spam")  # fmt: skip
    stops = warnings = 0
    for name in sets:
        for backbone in ("own", bugs.BERT) if name.startswith("text") else ("own", MOBILENET):
            with tempfile.TemporaryDirectory() as folder:
                found = check.check(SHARED / "data" / name, into=Path(folder) / "run", backbone=backbone)
            loud = [f for f in found.facts["findings"] if f["level"] != "note"]
            stops += sum(f["level"] == "stop" for f in loud)
            warnings += sum(f["level"] == "warn" for f in loud)
            print(
                f"| {name} | {backbone} | {'; '.join(f['guard'] + ': ' + f['message'][:80] for f in loud)} |",
                flush=True,
            )
    print(f"\n{stops} stops and {warnings} warnings in {2 * len(sets)} runs")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="guards by commas")
    parser.add_argument("--clean", action="store_true")
    parser.add_argument("--lost", action="store_true")
    parser.add_argument("--draw", type=int, default=0, help="other photos and questions")
    given = parser.parse_args()
    datasets.DRAW = given.draw
    os.environ.setdefault("HF_HOME", str(SHARED / "hub"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    wanted = set(filter(None, given.only.split(",")))
    if given.clean or given.lost:
        clean() if given.clean else lost(wanted)
        return
    print("| planted | backbone | guard | caught | also said | seconds |\n|---|---|---|---|---|---|")
    caught = total = 0
    for bug in bugs.BUGS:
        if wanted and bug.guard not in wanted:
            continue
        said, seconds = found_in(bug)
        level = next((level for guard, level in said if guard == bug.guard), "")
        others = ", ".join(dict.fromkeys(guard for guard, _ in said if guard != bug.guard))
        total, caught = total + 1, caught + bool(level)
        short = bugs.NAMES[bug.backbone.partition("?")[0]]
        print(f"| {bug.name} | {short} | {bug.guard} | {level or '**no**'} | {others} | {seconds:.1f} |", flush=True)
    print(f"\n{caught} of {total} caught")


if __name__ == "__main__":
    main()
