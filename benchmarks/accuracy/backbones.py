"""Linear probes on frozen features, one protocol for every backbone: what a backbone is worth, and what it costs.

    python -m benchmarks.accuracy.backbones --own own:FOLDER [--sets hymenoptera,neu_defects,...]

random: the same architecture as --own with random weights, without the floor's numbers. gain: accuracy over
random's; kept: --own's gain as a share of MobileNetV2's, the mean over the sets. Needs the shared data and hub.
Features are kept in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.paths import MOBILENET, SHARED, VIT

# Set -> training examples a class, at most.
SETS = {
    "hymenoptera": 1000,
    "neu_defects": 1000,
    "trashnet": 1000,
    "flowers102_64px": 10,
    "cifar10": 100,
    "spoken_digits_spectrogram": 100,
    "pacs/sketch.parquet": 40,
}
JUDGED = 2000  # test examples, at most


def chosen(name: str, most: int):
    """Examples and positions to learn from and to be judged on, the same for every backbone."""
    from headstart.core.options import DataOptions
    from headstart.data.read import read

    task = read(SHARED / "data" / name, DataOptions(seed=0))
    labels = task.objective.encode([e.label for e in task.examples])
    rng = np.random.default_rng(0)
    pool = rng.permutation(task.parts["train"])
    learn = np.concatenate([pool[labels[pool] == k][:most] for k in np.unique(labels)])
    judge = rng.permutation(task.parts["test"])[:JUDGED]
    return task, labels, learn, judge


def probe(backbone: str, name: str, most: int, root: Path) -> dict:
    """Accuracy, log-loss and pictures a second of one backbone on one set."""
    from headstart.backbones.cards import find_card
    from headstart.core.features import Features
    from headstart.features.extract import embed
    from headstart.training.methods.logistic import Settings

    task, labels, learn, judge = chosen(name, most)
    card = find_card(backbone, root)
    examples = [task.examples[i] for i in (*learn, *judge)]
    start = time.perf_counter()
    rows = embed(examples, card, card.cut(len(card.blocks)), root)
    took = time.perf_counter() - start
    y = labels[np.concatenate([learn, judge])][rows.index]
    first = rows.index < len(learn)
    train = Features(rows.x[first], y[first], tuple(map(str, range(int(first.sum())))))
    nothing = train.rows(np.zeros(0, np.int64))
    head = Settings().fit(train, nothing, task.objective, above=lambda: None, rng=np.random.default_rng(0))
    scores = head.scores(rows.x[~first])
    p = task.objective.probabilities(scores)
    loss = float(-np.log(np.maximum(p[np.arange(len(p)), y[~first]], 1e-12)).mean())
    facts = {
        "accuracy": task.objective.score(scores, y[~first]),
        "log_loss": loss,
        "learned_from": len(train),
        "judged": len(p),
    }
    return {**facts, "a_second": round(rows.misses / took, 1) if rows.misses else None}


def random_twin(own: str, folder: Path) -> str:
    """The architecture of --own with random weights, as a backbone of its own."""
    import torch

    from headstart.backbones.providers import own as own_family
    from headstart.backbones.timm_trunk import build_trunk
    from headstart.core.backbone import Preprocess
    from headstart.pretraining import publish

    card = own_family.card(own.partition(":")[2])
    facts = json.loads(
        next(f for f in own_family.files(own.partition(":")[2]) if f.name == "card.json").read_text("utf-8")
    )
    torch.manual_seed(0)
    model = build_trunk("random", facts["architecture"], facts.get("arguments") or {})
    spec = Preprocess(card.preprocess.kind, tuple((k, v) for k, v in card.preprocess.settings if k != "beside"))
    publish.save_timm_backbone(folder, model, facts["architecture"], facts.get("arguments") or {}, spec, {})
    return f"own:{folder}"


def main() -> None:
    """Prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--own", required=True, help="own:FOLDER")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--backbones", default="", help="others to judge, by commas")
    asked = parser.parse_args()
    os.environ.setdefault("HF_HOME", str(SHARED / "hub"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from headstart.features.cache import store

    root = store.default_root()
    with tempfile.TemporaryDirectory() as place:
        names = {"random": random_twin(asked.own, Path(place)), "stats": "stats", "own": asked.own}
        names |= {"mobilenetv2": MOBILENET, "vit_tiny": VIT} | {b: b for b in asked.backbones.split(",") if b}
        sets = asked.sets.split(",")
        table = {s: {n: probe(b, s, SETS.get(s, 100), root) for n, b in names.items()} for s in sets}
    kept = {}
    for name, row in table.items():
        floor = row["random"]["accuracy"]
        kept[name] = (row["own"]["accuracy"] - floor) / max(row["mobilenetv2"]["accuracy"] - floor, 1e-9)
    facts = {"sets": table, "kept_of_mobilenets_gain": kept, "kept_on_average": float(np.mean(list(kept.values())))}
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
