"""Peak memory while embedding more and more photos of one table: it must not grow with their number.

    python -m benchmarks.memory.embedding [--data ../shared/data/cifar10] [--backbone NAME] [--counts 5000,50000]

Each count is a process of its own with an empty cache. Reported: the most anonymous memory (what the process itself
holds; pages of mapped files are the system's to drop) sampled at every step of progress, and at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.paths import MOBILENET, SHARED


def anonymous() -> int:
    """Megabytes that this process holds beside mapped files."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("RssAnon"))


def embedded(data: str, backbone: str, count: int) -> dict:
    """Embeds the first `count` training photos; gives megabytes at each stage and the rate."""
    from headstart.backbones.cards import find_card
    from headstart.core.run import Run
    from headstart.data.read import read_source
    from headstart.features.extract import embed

    root = Path(os.environ["HEADSTART_CACHE"])
    examples = read_source(data).examples["train"][:count]
    seen: list[int] = []
    before = anonymous()
    run = Run.start(root / "run", root / "cache", lambda event: seen.append(anonymous()))
    card = find_card(backbone, root)
    start = time.perf_counter()
    rows = embed(examples, card, card.cut(len(card.blocks)), root, run)
    took = time.perf_counter() - start
    facts = {
        "photos": count,
        "before": before,
        "peak": max(seen),
        "after": anonymous(),
        "mapped": not rows.x.flags.owndata,
    }
    return {**facts, "photos_per_second": round(count / took, 1), "features_mb": rows.x.nbytes // 2**20}


def main() -> None:
    """Prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(SHARED / "data" / "cifar10"))
    parser.add_argument("--backbone", default=MOBILENET)
    parser.add_argument("--counts", default="5000,50000")
    parser.add_argument("--one", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(embedded(asked.data, asked.backbone, asked.one)))
        return
    found = []
    for count in map(int, asked.counts.split(",")):
        with tempfile.TemporaryDirectory() as place:
            environment = {**os.environ, "HEADSTART_CACHE": place, "HF_HUB_OFFLINE": "1"}
            environment.setdefault("HF_HOME", str(SHARED / "hub"))
            line = [
                sys.executable,
                "-m",
                "benchmarks.memory.embedding",
                "--data",
                asked.data,
                "--backbone",
                asked.backbone,
                "--one",
                str(count),
            ]
            done = subprocess.run(line, check=True, capture_output=True, text=True, env=environment)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
