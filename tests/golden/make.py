"""Writes the folders beside this file with the code of commit 71ae5d1. What they are for, and how: README.md."""

import csv
import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from headstart.demo.photos import DEFECTS, _defect, photo
from headstart.demo.tickets import tickets
from PIL import Image

import headstart
from headstart import flow, making

MADE, PHOTOS = ("model", "report.html", "plots", "thumbnails"), "own:backbones/photos"
ASKED = {
    "image": [f"inputs/{n}.jpg" for n in range(4)],
    "text": ["where is my parcel?", "The code never arrives, and I cannot log in.", "Please " + "send it back. " * 20],
    "vector": [[1.5, -0.25, 0.5, 0.0, 2.0, -1.0], [0.0, 2.25, -0.5, 1.0, 0.0, 0.0], [-1.0, 0.5, 3.0, 0.25, 0.0, 1.0]],
}


def write_data() -> None:
    """Photos, texts and tables: of each class eight learn, four judge, one is spare; and inputs/ to answer."""
    kinds, files = [_defect(np.random.default_rng([0, i])) for i in range(60)], {}
    for kind in DEFECTS:
        mine = [i for i, k in enumerate(kinds) if k == kind][:13]
        places = (*["photos/train"] * 8, *["photos/test"] * 4, "spare")
        files |= {Path(place, kind, f"{i}.jpg"): i for place, i in zip(places, mine, strict=True)}
    for file, i in (*files.items(), *((Path(f"inputs/{n}.jpg"), 100 + n) for n in range(4))):
        file.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(io.BytesIO(photo(0, i))) as picture:
            picture.resize((48, 48), Image.Resampling.LANCZOS).save(file, "JPEG", quality=80)
    short = sorted(tickets(), key=lambda pair: (len(pair[0]), pair[0]))
    some = [[pair for pair in short if pair[1] == label][:13] for label in sorted({label for _, label in short})]
    write_table("texts/train.csv", "label", [pair for pairs in some for pair in pairs[:8]])
    write_table("texts/test.csv", "label", [pair for pairs in some for pair in pairs[8:12]])
    write_table("spare.csv", "label", [pairs[12] for pairs in some])
    write_table("tags.csv", "tags", [(t, f"{k};{'asked' if '?' in t else 'told'}") for pairs in some for t, k in pairs])
    write_table("number.csv", "letters", [(t, len(t) + 0.5 * t.count(" ")) for pairs in some for t, _ in pairs])


def write_table(file: str, column: str, rows: list) -> None:
    """Texts and what is said of each."""
    Path(file).parent.mkdir(exist_ok=True)
    with open(file, "w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([("text", column), *rows])


def in_memory(what: str) -> tuple | dict:
    """vectors; stripes, on which a LoRA gains over the probe; shapes, on which levels do; coloured stripes in parts."""
    count, seed = {"vectors": (60, 0), "shapes": (120, 0)}.get(what, (90, 3))
    rng, (y, x), kinds = np.random.default_rng(seed), np.mgrid[:32, :32], np.arange(count) % 3
    made, labels = [], [f"k{k}" for k in kinds]
    if what == "vectors":
        return np.float32(rng.standard_normal((60, 6)) + 1.5 * np.eye(6)[kinds]), labels
    for k in kinds:
        if what == "shapes":
            back, radius, (cx, cy), noise = rng.uniform(60, 200), rng.uniform(5, 9), rng.uniform(10, 22, 2), 20
            away = (np.hypot(x - cx, y - cy), np.maximum(abs(x - cx), abs(y - cy)), abs(x - cx) + abs(y - cy))[k]
            light = np.where(away < radius, rng.uniform(0, 255), back)
        else:
            wave = rng.uniform(0.9, 1.3) * (np.cos(np.pi * k / 3) * x + np.sin(np.pi * k / 3) * y)
            light, noise = 128 + 50 * np.sin(wave + rng.uniform(0, 6.3)), 40
        tint = np.eye(3)[k] if what == "parts" else rng.uniform(0.5, 1, 3)
        made.append(np.clip(light[..., None] * tint + rng.normal(0, noise, (32, 32, 3)), 0, 255).astype(np.uint8))
    parts = {"train": slice(0, 21), "val": slice(21, 84), "test": slice(84, 90)}  # enough to choose steps by
    return {p: (made[at], labels[at]) for p, at in parts.items()} if what == "parts" else (np.stack(made), labels)


def write_run(root: Path, name: str, data: str, backbone: str, method: str, *said: str) -> None:
    """runs/NAME: the model, its result, and as expected.json what it answers and how many plots its report has."""
    source, settings = data if Path(data).exists() else in_memory(data), dict(pair.split("=") for pair in said)
    done = headstart.fit(source, into=f"runs/{name}", backbone=backbone, method=method, settings=settings, root=root)
    kind = done.model.facts["kind"]
    inputs = np.float32(ASKED[kind]) if kind == "vector" else ASKED[kind]
    answers = [answer.facts() for answer in headstart.predict(done.folder, inputs)]
    plots = (done.folder / "report.html").read_text("utf-8").count("<svg")
    told = json.dumps({"inputs": ASKED[kind], "answers": answers, "plots": plots}, indent=1)
    (done.folder / "expected.json").write_text(told + "\n", "utf-8")
    prune(done.folder, *MADE[1:], *(() if name == "finetune" else ("journal.jsonl", "plan.toml", "predictions.csv")))


def prune(folder: Path, *gone: str) -> None:
    """Takes files and folders away."""
    for name in gone:
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink(missing_ok=True)


def main() -> None:
    """All of it, in the folder of this file."""
    root = Path(tempfile.mkdtemp())
    write_data()
    making.pretrain(
        ["photos"], pretext="simclr", student="test_efficientnet", into="backbones/photos", steps=60, side=32,
        settings={"batch": "16"}, root=root,
    )  # fmt: skip
    making.pretrain(
        ["texts"], pretext="masked", student="bert:2x64", into="backbones/texts", steps=10,
        settings={"batch": "8", "length": "32", "vocabulary": "300"}, root=root,
    )  # fmt: skip
    for line in Path("runs.txt").read_text("utf-8").splitlines()[1:]:
        write_run(root, *line.split())
    asked = {"methods": ("probe", "bias"), "backbone": PHOTOS, "seeds": 1, "budget": "quick"}
    headstart.compare("photos", into="compared", root=root, **asked)
    prune(Path("compared"), "compare.html", *(f"{run}/{gone}" for run in ("probe-0", "bias-0") for gone in MADE))
    flow.forgot = lambda *given: None  # its reference examples would fill the shelves
    for line in Path("cached.txt").read_text("utf-8").splitlines()[1:]:
        asked = dict(zip(("source", "test", "backbone", "method"), line.split(), strict=True))
        headstart.fit(**asked, budget="quick", into=root / "run", root=Path("cache"))
    prune(Path("cache"), "cards", "engines", "glances", "judged", "reference", "witness")


if __name__ == "__main__":
    os.chdir(Path(__file__).parent)
    main()
