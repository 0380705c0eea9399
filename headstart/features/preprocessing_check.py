"""Is what we feed a network what its library would? A few inputs of our own, answered by the library's own code.

Rendered photos, wider than high, and support tickets with capitals and marks: wrong means, channels, crops, scales,
tokenizers, cases and poolings all move the rows. The library is asked once a backbone; the answer is kept.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Backbone
from headstart.core.files import kept
from headstart.core.plugins import member
from headstart.data.demo.photos import photo, photos
from headstart.data.demo.tickets import tickets

FORMAT = 3  # of what is kept; a higher number asks anew
COUNT = 4
LEAST = 0.999  # cosine. Nearest to it of what was planted: bicubic for bilinear resizing, 0.996
RENDERED = 96  # photos of the reference that forgetting is measured on too


def folder(root: Path) -> Path:
    """Where the rendered photos lie; they are made when they are not there."""
    where = root / "reference" / f"photos-{RENDERED}"
    if not where.is_dir():
        photos(where, RENDERED)
    return where


@cache
def inputs(kind: str) -> tuple[bytes | str, ...]:
    """COUNT photos as files, or texts."""
    if kind == "text":
        return tuple(
            f"{text.capitalize()} – ÄRGERLICH, Order No. {n}!" for n, (text, _) in enumerate(tickets()[:COUNT])
        )
    from PIL import Image

    found: list[bytes | str] = []
    for i in range(COUNT):
        with Image.open(io.BytesIO(photo(0, i))) as picture:
            width, height = picture.size
            buffer = io.BytesIO()
            picture.convert("RGB").crop((0, height // 6, width, height)).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return tuple(found)


def expected(card: Backbone, root: Path) -> np.ndarray | None:
    """(n, d) float32 of `inputs` by the library's own code; None where there is no library but us.

    Raises CacheError where the cache folder cannot be written, and what opening the network raises.
    """
    family = member("backbones", card.family)

    def asked() -> dict[str, np.ndarray]:
        rows = family.reference(card, lambda: list(inputs(card.preprocess.kind)))
        return {} if rows is None else {"rows": rows.astype(np.float32)}

    name = digest.of_value([FORMAT, card.name, card.weights])
    return kept(root / "reference" / f"{name}.npz", root, asked).get("rows")


def agreement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The smallest cosine between rows of the same inputs; -1 where they are not of one width."""
    if ours.shape != theirs.shape:
        return -1.0
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours * theirs).sum(1) / np.maximum(lengths, 1e-12)).min())
