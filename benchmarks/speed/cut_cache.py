"""One epoch of fine-tuning the top quarter of the blocks: from cached activations at the cut, and without the cache.

    python -m benchmarks.speed.cut_cache [--data hymenoptera] [--photos 240] [--trainer] [--fastai PYTHON]

Without: every photo is decoded, resized, and goes through the frozen blocks in every epoch, as other libraries do it.
--trainer: the same blocks learn in Hugging Face's Trainer too, with the same batch size, from decoded photos.
--fastai: in fastai too, run by the Python of an environment that has it (uv pip install fastai timm): the same weights,
files, batch size and blocks, frozen parts run again in every epoch.
All but that in one process, in turn, on the machine as it is; quote the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.paths import MOBILENET, ROOT, SHARED, VIT

BACKBONES = (MOBILENET, VIT)
BATCH = 16


def epochs(name: str, data: str, photos: int, trainer: bool, fastai: str, root: Path) -> dict:
    """Seconds an epoch of each way, best of two after a first one that warms up."""
    import torch
    from torch import nn

    from headstart.backbones.cards import find_card
    from headstart.backbones.network import open_above
    from headstart.core.features import Features
    from headstart.core.options import DataOptions
    from headstart.core.plugins import member
    from headstart.data import contents
    from headstart.data.read import read
    from headstart.features.extract import embed, features_at_cut, start_engine
    from headstart.training.shared_settings import cut_below
    from headstart.training.tuning import loop, tuned

    task = read(SHARED / "data" / data, DataOptions(seed=0))
    examples = [task.examples[i] for i in task.parts["train"][:photos]]
    y = task.objective.encode([e.label for e in examples])
    card = find_card(name, root)
    cut = cut_below(card, 0)
    began = time.perf_counter()
    x = embed(examples, card, cut, root).x
    filled = time.perf_counter() - began
    learner, _ = tuned.open_learner(
        lambda: open_above(card, cut), task.objective, Features(x, y, tuple(e.id for e in examples))
    )
    learner.body.requires_grad_(True)
    optimizer = torch.optim.AdamW(learner.parameters(), 1e-5)
    below, prepare = start_engine(card, cut), member("preprocess", card.preprocess.kind)
    batches = [np.arange(i, min(i + BATCH, len(x))) for i in range(0, len(x), BATCH)]

    precise = loop.mixed_precision(learner)  # as training is, with the cache and without

    def step(rows, index) -> None:
        fed = {"x": torch.from_numpy(np.ascontiguousarray(rows))}
        with precise(fed):
            loss = nn.functional.cross_entropy(learner(fed).float(), torch.from_numpy(y[index]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def cached() -> None:
        for index in batches:
            step(x[index], index)

    def uncached() -> None:
        for index in batches:
            photos = [content for _, content in contents.iter_contents([examples[i] for i in index])]
            units = prepare.prepare(photos, card.preprocess)
            rows = np.stack([row for row, _ in features_at_cut(units, card.preprocess, cut, below)])
            step(rows, index)

    ways = {"cached": cached, "uncached": uncached}
    if trainer:
        ways["trainer"] = _trainer(card, cut, examples, y, task.objective.width, prepare)
    took = {way: [] for way in ways}
    for lap in range(3):
        for way, run in ways.items():
            began = time.perf_counter()
            run()
            if lap:
                took[way].append(time.perf_counter() - began)
    best = {way: round(min(some), 3) for way, some in took.items()}
    if fastai:
        best["fastai"] = round(_fastai(fastai, card, cut, examples, root), 3)
    facts = {"backbone": name, "cut": cut.at, "blocks": len(card.blocks), "photos": len(x), "seconds_an_epoch": best}
    facts |= {f"{way}_over_cached": round(best[way] / best["cached"], 2) for way in best if way != "cached"}
    return {**facts, "filling_the_cache": round(filled, 2), "bytes": int(x.nbytes)}


def _trainer(card, cut, examples, y, width, prepare):
    """An epoch of Hugging Face's Trainer on the whole network, its lower blocks frozen, from files."""
    import torch
    from torch import nn
    from transformers import Trainer, TrainingArguments

    from headstart.backbones.network import open_network
    from headstart.data import contents

    network = open_network(card)
    whole = network.above(card.cut(0))
    for part in list(whole)[: cut.at + 1]:
        part.requires_grad_(False)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = whole, nn.Linear(card.width, width)

        def forward(self, pixels, labels):
            scores = self.head(self.body({"pixels": pixels}))
            return {"loss": nn.functional.cross_entropy(scores, labels), "logits": scores}

    class Photos(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(examples)

        def __getitem__(self, i: int) -> dict:
            unit = prepare.prepare([contents.read_content(examples[i])], card.preprocess)[0]
            return {"pixels": torch.from_numpy(prepare.batch(unit, card.preprocess)["pixels"][0]), "labels": int(y[i])}

    arguments = TrainingArguments(
        tempfile.mkdtemp(), per_device_train_batch_size=BATCH, num_train_epochs=1, report_to=[], save_strategy="no",
        logging_strategy="no", disable_tqdm=True, learning_rate=1e-5, use_cpu=True,
    )  # fmt: skip
    model = Model()
    return lambda: Trainer(model, arguments, train_dataset=Photos()).train()


def _fastai(python: str, card, cut, examples, root: Path) -> float:
    """Seconds of an epoch of fastai, the blocks above the cut and what stands behind them learning."""
    learns = [block.name for block in card.blocks[cut.at :]]
    learns += ["conv_head", "bn2", "norm.", "fc_norm", "classifier", "head"]
    job = {
        "model": card.local, "files": [str(e.content) for e in examples], "labels": [str(e.label) for e in examples],
        "learns": learns, "batch": BATCH, "size": card.preprocess["input_size"][1],
    }  # fmt: skip
    (root / "job.json").write_text(json.dumps(job), encoding="utf-8")
    script = ROOT / "benchmarks" / "peers" / "fastai_epoch.py"
    done = subprocess.run([python, str(script), str(root / "job.json")], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])["seconds"]


def main() -> None:
    """Prints one JSON line a backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="hymenoptera")
    parser.add_argument("--photos", type=int, default=240)
    parser.add_argument("--trainer", action="store_true")
    parser.add_argument("--fastai", default="", help="the Python that has it")
    given = parser.parse_args()
    os.environ.setdefault("HF_HOME", str(SHARED / "hub"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as root:
        for name in BACKBONES:
            print(
                json.dumps(epochs(name, given.data, given.photos, given.trainer, given.fastai, Path(root))), flush=True
            )


if __name__ == "__main__":
    main()
