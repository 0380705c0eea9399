"""Peak memory of a process that fits with LoRA, beside one that fine-tunes everything; same data, steps and batch.

    python -m benchmarks.memory.lora [--data DATA] [--backbone NAME] [--steps 30] [--batch 16]

LoRA is fitted twice: on half of the blocks, from the cache at the cut, as it is by default, and on all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile

from benchmarks.paths import SHARED

CHILD = """
import json, resource, sys
from headstart.workflows import fit as flow
data, backbone, method, settings, into = json.loads(sys.argv[1])
outcome = flow.fit(data, backbone=backbone, method=method, settings=settings, into=into)
import torch
result = outcome.result
facts = {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
         "trained": result["params"]["trained"], "seconds": result["seconds"]["fit"]}
print(json.dumps(facts))
"""


def main() -> None:
    """Prints one JSON line a way; the probe's process is what all of them have in common."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(SHARED / "data" / "hymenoptera"))
    parser.add_argument("--backbone", default="timm:hf-hub:headstart-test/vit_tiny_patch16_224.augreg_in1k")
    parser.add_argument("--steps", default="30")
    parser.add_argument("--batch", default="16")
    given = parser.parse_args()
    os.environ.setdefault("HF_HOME", str(SHARED / "hub"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    common = {"steps": given.steps, "batch_size": given.batch, "views": "0"}
    ways = {
        "probe": ("probe", {}),
        "lora, half of the blocks": ("lora", common),
        "lora, all blocks": ("lora", {**common, "blocks": "-1"}),
        "full": ("full", common),
    }
    with tempfile.TemporaryDirectory() as place:
        for name, (method, settings) in ways.items():
            if settings.get("blocks") == "-1":
                settings = {**settings, "blocks": str(_blocks(given.backbone))}
            asked = json.dumps([given.data, given.backbone, method, settings, f"{place}/{name.replace(' ', '-')}"])
            done = subprocess.run([sys.executable, "-c", CHILD, asked], capture_output=True, text=True, check=True)
            print(json.dumps({"way": name, **json.loads(done.stdout.splitlines()[-1])}), flush=True)


def _blocks(backbone: str) -> int:
    from headstart.backbones.cards import find_card
    from headstart.features.cache import store

    return len(find_card(backbone, store.default_root()).blocks)


if __name__ == "__main__":
    main()
