"""Gray photos stored in more than 8 bits: the accuracy of one backbone on each form of the same pictures.

    python -m benchmarks.reading.depths [--backbone timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k]

Writes hymenoptera of the shared folder as gray files of each form, and fits each. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import headstart
from benchmarks.paths import SHARED

NOISE = np.random.default_rng(0)


def with_hot_pixel(numbers: np.ndarray) -> np.ndarray:
    """One pixel with all bits set."""
    numbers[NOISE.integers(numbers.shape[0]), NOISE.integers(numbers.shape[1])] = 65535
    return numbers


FORMS = {
    "8 bits": (".png", lambda a: a),
    "12 bits in 16": (".png", lambda a: a.astype(np.uint16) * 16 + NOISE.integers(0, 16, a.shape, np.uint16)),
    "10 bits in 16": (".png", lambda a: a.astype(np.uint16) * 4 + NOISE.integers(0, 4, a.shape, np.uint16)),
    "8 bits in 16": (".png", lambda a: a.astype(np.uint16)),
    "16 bits": (".png", lambda a: a.astype(np.uint16) * 257),
    "fractions to 1.02": (".tiff", lambda a: (a / 250).astype(np.float32)),
    "12 bits with one hot pixel": (".png", lambda a: with_hot_pixel(a.astype(np.uint16) * 16)),
    "signed, from -1,024": (".tiff", lambda a: a.astype(np.int32) * 16 - 1024),
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k")
    wanted = parser.parse_args()
    photos = SHARED / "data" / "hymenoptera"
    print("| stored as | accuracy | range |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (suffix, write)) in enumerate(FORMS.items()):
            root = Path(folder) / f"form{number}"
            for file in sorted(photos.rglob("*.jpg")):
                gray = np.asarray(Image.open(file).convert("L"))
                target = root / file.relative_to(photos).with_suffix(suffix)
                target.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(write(gray)).save(target)
            outcome = headstart.fit(
                root, backbone=wanted.backbone, into=Path(folder) / f"run{number}", root=Path(folder) / "cache"
            )
            accuracy = outcome.result["metrics"]["accuracy"]["value"]
            print(f"| {name} | {accuracy:.1%} | {outcome.model.backbone.preprocess.pixel_range} |", flush=True)


if __name__ == "__main__":
    main()
