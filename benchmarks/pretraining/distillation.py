"""Does a teacher help? The same small student, the same labels, the same steps, with a teacher and without.

    OMP_NUM_THREADS=1 python -m benchmarks.pretraining.distillation [--seeds 3] [--steps 500] [--unlabelled 5000]

CIFAR-10, 100 labels a class, judged on 2,000 pictures of its test part; student: timm's test_resnet at 32 px.
with a teacher:    learns MobileNetV2's features of pictures without labels, then a linear head on the labels
without a teacher: all of it learns from the labels (method full), from the same first weights, steps and batch
untrained:         a linear head on the first weights
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.pretraining.unlabelled import SHARED, column, few, probed, some, told_of

TEACHER = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k?input_size=128"
STUDENT = {"student": "test_resnet", "side": 32, "rate": 3e-3}
BATCH = 64


def one(place: Path, seed: int, steps: int, unlabelled: int) -> dict:
    """Accuracies of one seed."""
    from headstart.pretraining import pretrain
    from headstart.workflows import fit

    rng = np.random.default_rng(seed)
    x, y = column("cifar10", "train")
    train, test = few(x, y, 100, rng), some(*column("cifar10", "test"), 2000, rng)
    data = [(some(x, y, unlabelled, rng)[0], None)]
    common = {"seed": seed, "root": place / "cache", "teachers": [TEACHER], "settings": {"batch_size": str(BATCH)}}
    first = pretrain.distill(data, into=place / f"{seed}-first", steps=1, **common, **{**STUDENT, "rate": 0.0})
    made = pretrain.distill(data, into=place / f"{seed}-made", steps=steps, **common, **STUDENT)
    alone = fit.fit(
        {"train": train, "test": test}, into=place / f"{seed}-alone", backbone=f"own:{first.folder}", method="full",
        settings={
            "steps": str(steps), "batch_size": str(BATCH), "learning_rate": "0.001", "layer_decay": "1.0",
            "batch_norm": "adapt",
        },
        seed=seed, root=place / "cache",
    )  # fmt: skip
    return {
        "seed": seed,
        "untrained": probed(place, f"own:{first.folder}", train, test, seed),
        "without a teacher": alone.result["metrics"]["accuracy"]["value"],
        "with a teacher": probed(place, f"own:{made.folder}", train, test, seed),
    }


def main() -> None:
    """Prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--unlabelled", type=int, default=5000)
    asked = parser.parse_args()
    os.environ.setdefault("HF_HOME", str(SHARED / "hub"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as place:
        runs = [one(Path(place), seed, asked.steps, asked.unlabelled) for seed in range(asked.seeds)]
    print(json.dumps(told_of(runs, "without a teacher", "with a teacher", "untrained"), indent=1))


if __name__ == "__main__":
    main()
