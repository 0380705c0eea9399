"""Checks our preprocessing against the library's: embeddings of a few reference inputs by our code and by its own.

Rendered photos, wider than high, and support tickets with capitals and marks: wrong means, channels, crops, scales,
tokenizers, cases and poolings all change the embeddings. The library runs once a backbone; the result is cached.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np

from headstart.core import digest
from headstart.core.arrays import load_or_compute_arrays
from headstart.core.backbone import Backbone
from headstart.core.checked_folder import read_manifest, write_manifest
from headstart.core.files import move, remove_folder, temporary_path, writing_cache
from headstart.core.plugins import member
from headstart.data.demo.photos import render_photo, write_photos
from headstart.data.demo.tickets import tickets

FORMAT = 3  # of the cached result; a higher number computes it again
N_INPUTS = 4
MIN_COSINE = 0.999  # of planted bugs, bicubic for bilinear resizing comes nearest: 0.996
N_PHOTOS = 96  # rendered ones, on which forgetting is measured


def reference_photos(root: Path) -> Path:
    """The folder of the rendered photos, which are made where they are missing or damaged.

    Raises CacheError where they cannot be written.
    """
    folder = root / "reference" / f"photos-{N_PHOTOS}"
    manifest = folder.with_suffix(".json")
    if read_manifest(manifest, folder) is None:
        temporary = temporary_path(folder)
        with writing_cache(root):
            write_photos(temporary, N_PHOTOS)
            remove_folder(folder)
            move(temporary, folder)
            write_manifest(manifest, folder)
    return folder


@cache
def reference_inputs(kind: str) -> tuple[bytes | str, ...]:
    """N_INPUTS photos as PNG files, or texts."""
    if kind == "text":
        texts = enumerate(text for text, _ in tickets()[:N_INPUTS])
        return tuple(f"{text.capitalize()} – ÄRGERLICH, Order No. {n}!" for n, text in texts)
    from PIL import Image

    files: list[bytes | str] = []
    for i in range(N_INPUTS):
        with Image.open(io.BytesIO(render_photo(0, i))) as image:
            width, height = image.size
            buffer = io.BytesIO()
            image.convert("RGB").crop((0, height // 6, width, height)).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return tuple(files)


def library_embeddings(card: Backbone, root: Path) -> np.ndarray | None:
    """(n, d) float32 of `reference_inputs` by the library's own code; None where there is none.

    Raises what opening the network raises.
    """
    family = member("backbones", card.family)

    def compute() -> dict[str, np.ndarray]:
        rows = family.reference(card, lambda: list(reference_inputs(card.preprocess.kind)))
        return {} if rows is None else {"rows": rows.astype(np.float32)}

    name = digest.of_value([FORMAT, card.name, card.identity or card.weights])
    return load_or_compute_arrays(root / "reference" / f"{name}.npz", compute).get("rows")


def min_cosine(ours: np.ndarray, expected: np.ndarray) -> float:
    """The smallest cosine between rows of the same inputs; -1 where they are not of one width."""
    if ours.shape != expected.shape:
        return -1.0
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((ours * expected).sum(1) / np.maximum(lengths, 1e-12)).min())
