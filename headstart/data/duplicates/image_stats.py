"""Statistics of photos: difference hash, mean colour and size of each, and which are copies. Cached by their digests.

The fingerprint is the difference hash of a 9 x 8 gray thumbnail: one bit for each pair of neighbours, whether it grows
brighter to the right. Source: Krawetz 2013, "Kind of Like That".
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from headstart.core import digest
from headstart.core.arrays import load_or_compute_arrays
from headstart.core.observations import ImageStats
from headstart.core.task import Example
from headstart.data.contents import iter_contents
from headstart.data.duplicates.copies import find_copies
from headstart.data.duplicates.copy_names import name_clues
from headstart.data.duplicates.fingerprint_pairs import find_fingerprint_pairs
from headstart.data.duplicates.pixel_grids import pixel_grid
from headstart.data.image_formats import open_image

FORMAT, COPIES_FORMAT = 1, 4
SHAPES = {"prints": (), "colour": (3,), "size": (2,), "bytes": ()}
DTYPES = {"prints": np.uint64, "colour": np.float32, "size": np.int32, "bytes": np.int64}
COPIES = ("copies", "likeness")
CHUNK = 256  # thumbnails decoded at once
MAX_PHOTOS = 200_000  # among which copies are looked for: 7 KB of memory each

Thumbnails = Callable[[Sequence[int]], list[bytes]]  # positions -> JPEG thumbnails


def load_image_stats(
    examples: Sequence[Example], thumbnails: Thumbnails, features: np.ndarray, root: Path
) -> ImageStats:
    """Of these photos, from the cache folder `root` where the same ones were looked at before.

    features: (n, d) at the top of a backbone, by which copies are looked for too
    """
    digests = [e.digest or e.id for e in examples]
    clues = name_clues([e.id for e in examples])
    arrays = _cached([FORMAT, [e.digest for e in examples]], lambda: _compute(examples, thumbnails), root)
    seen_by = digest.of_arrays([("features", np.asarray(features))])
    copies = _cached(
        [COPIES_FORMAT, digests, clues, seen_by],
        lambda: _copies(digests, arrays["prints"], thumbnails, features, clues),
        root,
    )
    return ImageStats(**{name: arrays[name] for name in SHAPES}, **{name: copies[name] for name in COPIES})


def difference_hash(gray: np.ndarray) -> np.uint64:
    """Of (8, 9) gray values."""
    bits = gray[:, 1:].astype(np.int16) > gray[:, :-1]
    return np.packbits(bits.reshape(-1)).view(">u8").astype(np.uint64)[0]


def _cached(key: list, compute: Callable[[], dict[str, np.ndarray]], root: Path) -> dict[str, np.ndarray]:
    name = digest.of_value(key).replace(":", "-")
    return load_or_compute_arrays(root / "glances" / f"{name}.npz", compute)


def _copies(
    digests: list[str], prints: np.ndarray, thumbnails: Thumbnails, features: np.ndarray, clues: list[tuple[int, int]]
) -> dict[str, np.ndarray]:
    """Of distinct photos that have a thumbnail; told by fingerprints and features alone where they are too many."""
    first = {d: i for i, d in reversed(list(enumerate(digests)))}
    distinct = np.array(sorted(first.values()), np.int64)
    if len(distinct) > MAX_PHOTOS:
        i, j, cosine = find_fingerprint_pairs(prints[distinct], np.asarray(features)[distinct])
        return {"copies": distinct[np.stack([i, j], 1)], "likeness": cosine.astype(np.float32)}
    grids, kept = [], []
    for start in range(0, len(distinct), CHUNK):
        chunk = distinct[start : start + CHUNK].tolist()
        for i, thumbnail in zip(chunk, thumbnails(chunk), strict=True):
            if thumbnail:
                grids.append(pixel_grid(thumbnail))
                kept.append(i)
    if not kept:
        return {"copies": np.zeros((0, 2), np.int64), "likeness": np.zeros(0, np.float32)}
    place = {digests[i]: position for position, i in enumerate(kept)}
    named = [(place.get(digests[i], -1), place.get(digests[j], -1)) for i, j in clues]
    rows = np.asarray(features)[kept]
    i, j, _ = find_fingerprint_pairs(prints[kept], rows)
    hints = {(min(p), max(p)) for p in [*named, *zip(i.tolist(), j.tolist(), strict=True)]}
    pairs, likeness = find_copies(np.stack(grids), rows, sorted(p for p in hints if 0 <= p[0] < p[1]))
    return {"copies": np.array(kept, np.int64)[pairs], "likeness": likeness}


def _compute(examples: Sequence[Example], thumbnails: Thumbnails) -> dict[str, np.ndarray]:
    from PIL import Image

    n = len(examples)
    stats = {name: np.zeros((n, *shape), DTYPES[name]) for name, shape in SHAPES.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, (_, content) in enumerate(iter_contents(examples)):
            if not isinstance(content, bytes):
                continue
            stats["bytes"][i] = len(content)
            try:
                with open_image(content) as image:
                    stats["size"][i] = image.size
            except Exception:  # decoders raise what they like on damaged bytes; such a photo has no size
                continue
    for start in range(0, n, CHUNK):
        for i, thumbnail in enumerate(thumbnails(range(start, min(n, start + CHUNK))), start):
            if thumbnail:
                with Image.open(io.BytesIO(thumbnail)) as image:
                    gray = image.convert("L").resize((9, 8), Image.Resampling.BOX)
                    stats["prints"][i] = difference_hash(np.asarray(gray))
                    stats["colour"][i] = np.asarray(image.convert("RGB"), np.float32).mean((0, 1))
    return stats
