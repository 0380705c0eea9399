"""Every call that a small fit makes to write something fails once, with a full disk and with a failing one.

SQLite's pattern: each run must end with the right answer or an error in words, and the next run, with the cache and the
folder that it left, must give the clean run's bits. Prints a table by call; exits with 1 where that does not hold.

    .venv/bin/python -m benchmarks.trust.disk_faults --every 1
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.support.disk_faults import (
    CODES,
    STARTS,
    failing_disk,
    outcome_of_fault,
    prepare,
    small_fit,
    write_pictures,
)

SOUND = ("right", "refused")


def main() -> int:
    """Runs the faults. Gives the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--every", type=int, default=1, help="try only every n-th call")
    every = options.parse_args().every
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    table: Counter[tuple[str, str, str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        data = write_pictures(scratch / "data")
        before = scratch / "before"
        clean = small_fit(data, before / "run", before / "cache")
        for start in STARTS:
            prepare(start, before, scratch / "fault")
            with failing_disk() as disk:
                small_fit(data, scratch / "fault" / "run", scratch / "fault" / "cache")
            print(f"{start}: {len(disk.seen)} calls: {dict(Counter(disk.seen))}", flush=True)
            for said, code in CODES.items():
                for at in range(0, len(disk.seen), every):
                    call, found = outcome_of_fault(data, start, before, scratch / "fault", clean, at, code)
                    table[start, said, call or "not reached", found] += 1
                    if found not in SOUND:
                        print(f"{start}, {said} disk, call {at} ({call}): {found}", flush=True)
    print(f"{'cache':<8} {'disk':<8} {'call':<12} {'outcome':<50} runs")
    for (start, said, call, found), count in sorted(table.items()):
        print(f"{start:<8} {said:<8} {call:<12} {found:<50} {count:>4}")
    return int(any(found not in SOUND for *_, found in table))


if __name__ == "__main__":
    sys.exit(main())
