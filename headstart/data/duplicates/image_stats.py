"""Statistics of each photo without any network: difference hash, mean colour, size. Cached by the photos' digests.

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
from headstart.core.arrays import load_or_compute_arrays
from headstart.core.observations import ImageStats
from headstart.core.task import Example
from headstart.data.contents import iter_contents
from headstart.data.image_formats import open_image

FORMAT = 1
SHAPES = {"prints": (), "colour": (3,), "size": (2,), "bytes": ()}
DTYPES = {"prints": np.uint64, "colour": np.float32, "size": np.int32, "bytes": np.int64}
CHUNK = 256  # thumbnails decoded at once

Thumbnails = Callable[[Sequence[int]], list[bytes]]  # positions -> JPEG thumbnails


def load_image_stats(examples: Sequence[Example], thumbnails: Thumbnails, root: Path) -> ImageStats:
    """Of these photos, from the cache folder `root` where the same ones were looked at before."""
    key = digest.of_value([FORMAT, [e.digest for e in examples]]).replace(":", "-")
    path = root / "glances" / f"{key}.npz"
    arrays = load_or_compute_arrays(path, lambda: asdict(_compute(examples, thumbnails)))
    return ImageStats(**{name: arrays[name] for name in SHAPES})


def difference_hash(gray: np.ndarray) -> np.uint64:
    """Of (8, 9) gray values."""
    bits = gray[:, 1:].astype(np.int16) > gray[:, :-1]
    return np.packbits(bits.reshape(-1)).view(">u8").astype(np.uint64)[0]


def _compute(examples: Sequence[Example], thumbnails: Thumbnails) -> ImageStats:
    from PIL import Image

    n = len(examples)
    stats = ImageStats(**{name: np.zeros((n, *shape), DTYPES[name]) for name, shape in SHAPES.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, (_, content) in enumerate(iter_contents(examples)):
            if not isinstance(content, bytes):
                continue
            stats.bytes[i] = len(content)
            try:
                with open_image(content) as image:
                    stats.size[i] = image.size
            except Exception:  # decoders raise what they like on damaged bytes; such a photo has no size
                continue
    for start in range(0, n, CHUNK):
        for i, thumbnail in enumerate(thumbnails(range(start, min(n, start + CHUNK))), start):
            if thumbnail:
                with Image.open(io.BytesIO(thumbnail)) as image:
                    gray = image.convert("L").resize((9, 8), Image.Resampling.BOX)
                    stats.prints[i] = difference_hash(np.asarray(gray))
                    stats.colour[i] = np.asarray(image.convert("RGB"), np.float32).mean((0, 1))
    return stats
