"""A glance at each photo without any network: fingerprint, mean colour, size. Kept, so that a photo is glanced at once.

The fingerprint is the difference hash of a 9 x 8 gray thumbnail: one bit for each pair of neighbours, whether it grows
brighter to the right. Source: Krawetz 2013, "Kind of Like That".
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from headstart.core import digest
from headstart.core.files import kept
from headstart.core.observations import Glances
from headstart.core.task import Example
from headstart.data import contents

FORMAT = 1
COLUMNS = {"prints": (), "colour": (3,), "size": (2,), "bytes": ()}
TYPES = {"prints": np.uint64, "colour": np.float32, "size": np.int32, "bytes": np.int64}


def glances(examples: Sequence[Example], previews: Callable[[Sequence[int]], list[bytes]], root: Path) -> Glances:
    """Of these photos, from the cache folder `root` where the same ones were glanced at before.

    previews: positions -> JPEG thumbnails
    Raises CacheError where that folder cannot be written.
    """
    key = digest.of_value([FORMAT, [e.digest for e in examples]]).replace(":", "-")
    path = root / "glances" / f"{key}.npz"
    found = kept(path, root, lambda: asdict(_glanced(examples, previews)))
    return Glances(**{name: found[name] for name in COLUMNS})


def _glanced(examples: Sequence[Example], previews: Callable[[Sequence[int]], list[bytes]]) -> Glances:
    from PIL import Image

    n = len(examples)
    found = Glances(**{name: np.zeros((n, *shape), TYPES[name]) for name, shape in COLUMNS.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, (_, content) in enumerate(contents.stream(examples)):
            if not isinstance(content, bytes):
                continue
            found.bytes[i] = len(content)
            try:
                with Image.open(io.BytesIO(content)) as picture:
                    found.size[i] = picture.size
            except (OSError, ValueError, Image.DecompressionBombError):
                continue
    for start in range(0, n, 256):
        for i, preview in enumerate(previews(range(start, min(n, start + 256))), start):
            if preview:
                with Image.open(io.BytesIO(preview)) as picture:
                    found.prints[i] = fingerprint(np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX)))
                    found.colour[i] = np.asarray(picture.convert("RGB"), np.float32).mean((0, 1))
    return found


def fingerprint(gray: np.ndarray) -> np.uint64:
    """Of (8, 9) gray values."""
    bits = gray[:, 1:].astype(np.int16) > gray[:, :-1]
    return np.packbits(bits.reshape(-1)).view(">u8").astype(np.uint64)[0]
