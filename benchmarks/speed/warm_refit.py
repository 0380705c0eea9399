"""A warm refit of 800 photos as a whole process, beside `python -c "import torch"`, in turns on the same machine.

    python -m benchmarks.speed.warm_refit [--data DIR] [--backbone NAME] [--repeats 7]

Without --data: 800 photos of the demo. Needs the backbone's weights (default: MobileNetV2 of the shared hub).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.paths import MOBILENET, SHARED


def seconds(line: list[str], environment: dict[str, str]) -> float:
    """Of a whole process, from start to end."""
    start = time.perf_counter()
    subprocess.run(line, check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


def main() -> None:
    """Prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="")
    parser.add_argument("--backbone", default=MOBILENET)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "HEADSTART_CACHE": f"{place}/cache", "HF_HUB_OFFLINE": "1"}
        environment.setdefault("HF_HOME", str(SHARED / "hub"))
        data = asked.data
        if not data:
            from headstart.data.demo.photos import write_photos

            data = str(write_photos(Path(place) / "photos", 800))
        run = f"{place}/run"
        refit = [sys.executable, "-m", "headstart.cli", "fit", data, "--backbone", asked.backbone, "--into", run]
        heavy = [sys.executable, "-c", "import torch"]
        seconds(refit, environment)  # cold: embeds everything
        seconds(refit, environment)
        seconds(heavy, environment)
        pairs = [(seconds(refit, environment), seconds(heavy, environment)) for _ in range(asked.repeats)]
        result = json.loads(Path(run, "result.json").read_text(encoding="utf-8"))
    ratios = sorted(a / b for a, b in pairs)
    facts = {
        "examples": sum(result["task"]["n"].values()),
        "cache": result["cache"],
        "refit_seconds": [round(a, 3) for a, _ in pairs],
        "import_torch_seconds": [round(b, 3) for _, b in pairs],
        "ratio": {"least": ratios[0], "median": statistics.median(ratios), "most": ratios[-1]},
    }
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
