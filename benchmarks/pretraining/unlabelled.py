"""What pretraining on unlabelled data alone gives: a linear probe on few labels, beside the same network untrained.

    OMP_NUM_THREADS=1 python -m benchmarks.pretraining.unlabelled [--only images|texts] [--seeds 3] [--scale 1.0]

Images: SimCLR on pictures of CIFAR-10's training part, probed with 100 labels a class on 2,000 pictures of its test
part. Texts: masked tokens on questions (TREC) and paragraphs (WikiText-2), probed with 50 labels a class on TREC's test
part. The untrained network has the same first weights and, for pictures, norms that saw as many batches as need be.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.paths import SHARED

IMAGES = {
    "pretext": "simclr", "student": "test_resnet", "side": 32, "rate": 2e-3,
    "settings": {"batch_size": "128", "temperature": "0.5"},
}  # fmt: skip
TEXTS = {
    "pretext": "masked", "student": "bert:2x128", "rate": 2e-3,
    "settings": {"batch_size": "32", "max_length": "64", "vocabulary_size": "4000"},
}  # fmt: skip


def column(name: str, part: str) -> tuple[list, list]:
    """Inputs and labels of one part of a shared data set."""
    import pyarrow.parquet as pq

    table = pq.read_table(SHARED / "data" / name / f"{part}.parquet")
    inputs = table["image" if "image" in table.column_names else "text"].to_pylist()
    labels = table["label_name"].to_pylist() if "label_name" in table.column_names else [None] * len(inputs)
    return [i["bytes"] if isinstance(i, dict) else i for i in inputs], labels


def few(x: list, y: list, each: int, rng: np.random.Generator) -> tuple[list, list]:
    """`each` examples of every class, or all of a smaller one."""
    chosen = [i for c in sorted(set(y)) for i in rng.permutation([j for j, v in enumerate(y) if v == c])[:each]]
    return [x[i] for i in chosen], [y[i] for i in chosen]


def some(x: list, y: list, most: int, rng: np.random.Generator) -> tuple[list, list]:
    """`most` examples, drawn."""
    chosen = rng.permutation(len(x))[:most]
    return [x[i] for i in chosen], [y[i] for i in chosen]


def probed(place: Path, backbone: str, train: tuple[list, list], test: tuple[list, list], seed: int) -> float:
    """Accuracy on the test part of a logistic head that learned from the train part."""
    from headstart.workflows import fit

    outcome = fit.fit(
        {"train": train, "test": test}, into=place / f"fit-{time.monotonic_ns()}", backbone=backbone, seed=seed,
        root=place / "cache",
    )  # fmt: skip
    return outcome.result["metrics"]["accuracy"]["value"]


def one(place: Path, kind: str, seed: int, scale: float) -> dict:
    """Accuracies of one seed, and what the training took."""
    from headstart.pretraining import pretrain

    rng = np.random.default_rng(seed)
    if kind == "images":
        x, y = column("cifar10", "train")
        train, test = few(x, y, 100, rng), some(*column("cifar10", "test"), 2000, rng)
        data, what, steps, still = [(some(x, y, 10_000, rng)[0], None)], IMAGES, round(500 * scale), 50
    else:
        x, y = column("text_trec6", "train")
        train, test = few(x, y, 50, rng), column("text_trec6", "test")
        data, what, steps, still = [(x + column("text_wikitext2", "train")[0], None)], TEXTS, round(2000 * scale), 1
    common = {"seed": seed, "root": place / "cache"}
    began = time.perf_counter()
    made = pretrain.pretrain(data, into=place / f"{kind}{seed}", steps=steps, **common, **what)
    seconds = time.perf_counter() - began
    untrained = pretrain.pretrain(
        data, into=place / f"{kind}{seed}-untrained", steps=still, **common, **{**what, "rate": 0.0}
    )
    found = [probed(place, f"own:{m.folder}", train, test, seed) for m in (untrained, made)]
    return {
        "seed": seed, "untrained": found[0], "pretrained": found[1], "loss": made.facts["figures"]["loss"],
        "loss_untrained": untrained.facts["figures"]["loss"], "steps": steps, "seconds": round(seconds, 1),
        "labels": len(train[0]), "judged_on": len(test[0]),
    }  # fmt: skip


def told_of(runs: list[dict], base: str, better: str, *more: str) -> dict:
    """Means and standard deviations over the seeds, and of the gain of one over the other."""
    facts: dict = {"runs": runs}
    gains = [r[better] - r[base] for r in runs]
    for name, values in (*((k, [r[k] for r in runs]) for k in (base, better, *more)), ("gain", gains)):
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        facts[name] = {"mean": round(statistics.mean(values), 4), "spread": round(spread, 4)}
    return facts


def main() -> None:
    """Prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("images", "texts"), default=None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of steps")
    asked = parser.parse_args()
    kinds = [k for k in ("images", "texts") if asked.only in (None, k)]
    facts: dict = {"cores": os.cpu_count(), "threads": os.environ.get("OMP_NUM_THREADS", ""), "spread": "stdev"}
    with tempfile.TemporaryDirectory() as place:
        for kind in kinds:
            runs = [one(Path(place), kind, seed, asked.scale) for seed in range(asked.seeds)]
            facts[kind] = told_of(runs, "untrained", "pretrained")
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
