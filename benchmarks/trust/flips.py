"""One bit of a random file of every kind that Headstart writes turned over, and what the verb that reads it says.

    .venv/bin/python -m benchmarks.trust.flips --flips 300

Prints a table by kind: answers that were right (what was damaged did not count, or was made again), refusals in words,
wrong answers in silence, tracebacks and hangs, and how often `cache verify` found the damage. Exits with 1 where there
is one of the last three. Pages, plots, result.json and plan.toml are for people to read and to change: there only a
traceback is a fault. Needs torch and OpenVINO for the kinds that they write; --quick leaves those out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from tests.support.bit_flips import build, outcome_of_flip, restore

COLUMNS = ("right", "refused", "SILENT", "TRACEBACK", "HANG", "no words")


def main() -> int:
    """Runs the flips. Gives the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--flips", type=int, default=300)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--quick", action="store_true", help="leave out what needs torch and OpenVINO")
    asked = options.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rng = np.random.default_rng(asked.seed)
    table: dict[str, Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory() as scratch:
        live, clean = Path(scratch) / "live", Path(scratch) / "clean"
        os.environ["HEADSTART_CACHE"] = str(live / "cache")
        kinds, expected = build(live, slow=not asked.quick), {}
        live.rename(clean)
        for name, kind in kinds.items():
            restore(live, clean)
            expected[name] = kind.value(live)
        for number in range(asked.flips):
            name = list(kinds)[number % len(kinds)]
            found, verified = outcome_of_flip(live, clean, kinds[name], expected[name], rng)
            table[name][found.partition(":")[0]] += 1
            table[name][verified] += 1
            if found not in ("right", "refused") or verified == "missed":
                print(f"{name}: {found} (verify: {verified})", flush=True)
    total = sum(table.values(), Counter())
    print(f"{'kind':<32} {' '.join(f'{c:>9}' for c in COLUMNS)}  verify found")
    for name, counts in [*table.items(), ("all", total)]:
        verified = f"{counts['found']} of {counts['found'] + counts['missed']}"
        print(f"{name:<32} {' '.join(f'{counts[c]:>9}' for c in COLUMNS)}  {verified:>12}")
    return int(any(total[c] for c in COLUMNS[2:]) or total["missed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
