"""What black and white are in pictures of more than 8 bits, judged over those that are learned from.

16 bits say nothing: cameras fill 10, 12 or 14 of them, scanners of bodies count from -1024, fractions go to 1.02, and
one hot pixel has all bits set. Of each picture the few outermost pixels are left out, and of the pictures the few
outermost ones; what is left is taken to the next range that cameras and programs use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from headstart.core import digest
from headstart.core.arrays import load_or_compute_arrays
from headstart.core.errors import Unreadable
from headstart.core.observations import PictureDepth
from headstart.core.task import Example, TableCell
from headstart.data.contents import iter_contents, read_content
from headstart.data.deep_pixels import UNIT_SLACK, deep_pixels, may_be_deep

FORMAT = 1
HEADERS = 1000  # files whose first bytes are read
TABLES, ROWS = 4, 64  # cells of tables instead: reading one far down reads all before it
LOOKS, LOOK_PIXELS = 200, 200_000_000  # pictures that are decoded, and how many pixels in all
OUTERMOST, FEWEST = 0.005, 4  # of the pixels of a picture at each end; a dead column of 256 is less
ODD_PICTURES = 0.02
FULL_SCALES = (255, 1023, 4095, 16383, 65535)  # of 8, 10, 12, 14 and 16 bits
LEAST_FILLED = 1 / 3  # of such a scale; what fills less is taken to the next power of two
SLACK, FRACTION_SLACK = 1.05, 1 + UNIT_SLACK  # beyond a scale
PEDESTAL = 0.5  # of the largest number: where all are above, the smallest is black, as in pictures of heat
NEGATIVE = 0.05  # of the width: fewer are noise about zero


def judge_depth(examples: Sequence[Example], root: Path) -> PictureDepth:
    """The depth of pictures, from a bounded sample of them. 8-bit ones cost the reading of their first bytes.

    examples: those that are learned from.  root: the cache folder
    """
    sample = _sample(examples)
    heads = _heads(sample)
    deep = [e for e, head in zip(sample, heads, strict=True) if may_be_deep(head)]
    if not deep:
        return PictureDepth(tuple((e.label, False) for e in sample))
    looked = deep[:: math.ceil(len(deep) / LOOKS)]
    key = digest.of_value([FORMAT, [e.digest for e in looked]])
    arrays = load_or_compute_arrays(root / "depth" / f"{key}.npz", lambda: _ends_of_all(looked))
    ends, whole, stored = arrays["ends"], arrays["whole"].astype(bool), arrays["deep"].astype(bool)
    # PNG says it in its head; of others, only those that were decoded are known.
    known = {e.id: bool(d) for e, d in zip(looked, stored, strict=True)}
    known |= {e.id: head[24:25] == b"\x10" for e, head in zip(sample, heads, strict=True) if head[1:4] == b"PNG"}
    known |= {e.id: False for e, head in zip(sample, heads, strict=True) if not may_be_deep(head)}
    labels = tuple((e.label, known[e.id]) for e in sample if e.id in known)
    if not stored.any():
        return PictureDepth(labels)
    ends, whole = ends[stored], whole[stored]
    unit = ~whole & (ends[:, 0] >= -UNIT_SLACK) & (ends[:, 1] <= 1 + UNIT_SLACK)
    if not unit.all():  # fractions beside whole numbers are read as fractions
        ends, whole = ends[~unit], whole[~unit]
    low, high = robust_ends(ends)
    return PictureDepth(
        labels,
        range=full_range(low, high, bool(whole.all())),
        used=(low, high),
        found=(float(ends[:, 2].min()), float(ends[:, 3].max())),
        whole=bool(whole.all()),
    )


def lone_range(pixels: np.ndarray) -> tuple[float, float]:
    """The range of one picture where those that were learned from had 8 bits: 0 to 255, to 65,535, or fractions to 1.

    Raises Unreadable where it fills none of these, so that nobody can say what is white.
    """
    low, high, *_ = _ends(pixels)
    fractions, bits = pixels.dtype.kind == "f", 8 * pixels.dtype.itemsize
    if low >= -UNIT_SLACK and fractions and high <= FRACTION_SLACK:
        return 0.0, 1.0
    if low >= -UNIT_SLACK * min(high, 255) and high <= SLACK * 255 and bits != 16:
        return 0.0, 255.0
    if low >= -UNIT_SLACK * high and LEAST_FILLED * 65535 <= high <= SLACK * 65535:
        return 0.0, 65535.0
    raise Unreadable(
        f"its pixels are numbers from {low:,g} to {high:,g}, and the model learned from pictures of 8 bits: which "
        "number is white is not known. Save it in 8 bits, or fit on such pictures"
    )


def unclear_pictures(examples: Sequence[Example]) -> dict[int, str]:
    """Positions of pictures that have more than 8 bits and no range of their own, and why; of 8-bit ones only heads are
    read."""
    found = {}
    for position, head in enumerate(_heads(examples)):
        if may_be_deep(head):
            try:
                pixels = deep_pixels(read_content(examples[position]))  # type: ignore[arg-type]
                if pixels is not None:
                    lone_range(pixels)
            except Unreadable as reason:
                found[position] = str(reason)
            except Exception:  # decoders raise what they like on damaged bytes; the decoder words it
                continue
    return found


def robust_ends(ends: np.ndarray) -> tuple[float, float]:
    """(n, 2 or more), the least and the largest number of each picture -> those of all but odd pictures."""
    rank = math.ceil((1 - ODD_PICTURES) * (len(ends) - 1))
    return float(np.sort(ends[:, 0])[len(ends) - 1 - rank]), float(np.sort(ends[:, 1])[rank])


def full_range(low: float, high: float, whole: bool) -> tuple[float, float]:
    """(black, white) of pictures whose numbers go from `low` to `high`. whole: whether they are whole numbers"""
    if low < -NEGATIVE * (high - low):
        return -_power(-low, whole, end=0), _power(max(high, 0.0), whole, end=1) if high > 0 else 0.0
    if high <= 0:
        return 0.0, 255.0 if whole else 1.0
    if low > PEDESTAL * high:
        step = 2.0 ** math.floor(math.log2(high - low)) / 8 if high > low else 0.0
        if step:
            return step * math.floor(low / step), step * math.ceil(high / step)
    slack = SLACK if whole else FRACTION_SLACK
    for scale in FULL_SCALES if whole else (1, *FULL_SCALES):
        if LEAST_FILLED * scale <= high <= slack * scale:
            return 0.0, float(scale)
    return 0.0, _power(high, whole, end=1)


def _power(size: float, whole: bool, end: int) -> float:
    """The power of two that holds `size`, less `end` where numbers are whole: 1024 below zero, 1023 above."""
    power = 2.0 ** math.ceil(math.log2(size / (SLACK if whole else FRACTION_SLACK)))
    return max(power - end, 1.0) if whole else power


def _sample(examples: Sequence[Example]) -> list[Example]:
    """Examples whose headers are read: of files some of everywhere, of tables the first rows."""
    files = [e for e in examples if not isinstance(e.content, TableCell)]
    tables: dict[Path, list[Example]] = {}
    for example in examples:
        if isinstance(example.content, TableCell):
            tables.setdefault(example.content.table, []).append(example)
    cells = [sorted(rows, key=_row)[:ROWS] for rows in islice(tables.values(), TABLES)]
    return [*files[:: math.ceil(len(files) / HEADERS) or 1], *(e for rows in cells for e in rows)]


def _row(example: Example) -> int:
    return example.content.index if isinstance(example.content, TableCell) else 0


def _heads(examples: Sequence[Example]) -> list[bytes]:
    """The first bytes of each, b"" where they cannot be read: it is set aside where it is decoded."""
    others = (c for _, c in iter_contents([e for e in examples if not isinstance(e.content, Path)]))
    heads = []
    for example in examples:
        if isinstance(example.content, Path):
            heads.append(_head_of_file(example.content))
        else:
            content = next(others)
            heads.append(content[:26] if isinstance(content, bytes) else b"")
    return heads


def _head_of_file(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(26)
    except (OSError, ValueError):
        return b""


def _ends_of_all(examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """`ends` (n, 4) as `_ends` gives them, `whole` (n,) and `deep` (n,): whether each was read and has over 8 bits."""
    from PIL import Image

    Image.init()
    ends, whole, deep = np.zeros((len(examples), 4)), np.ones(len(examples), np.int8), np.zeros(len(examples), np.int8)
    pixels_read = 0
    for i, (_, content) in enumerate(iter_contents(examples)):
        if isinstance(content, Unreadable | str) or pixels_read > LOOK_PIXELS:
            continue
        try:
            pixels = deep_pixels(content)
        except Exception:  # decoders raise what they like on damaged bytes; it is set aside where it is read
            continue
        if pixels is None or (pixels.dtype.kind == "f" and not np.isfinite(pixels).all()):
            continue
        pixels_read += pixels.shape[0] * pixels.shape[1]
        ends[i], whole[i], deep[i] = _ends(pixels), pixels.dtype.kind != "f", 1
    return {"ends": ends, "whole": whole, "deep": deep}


def _ends(pixels: np.ndarray) -> tuple[float, float, float, float]:
    """(least, largest) without the outermost pixels, and (least, largest) of all."""
    if pixels.ndim == 3:
        pixels = pixels[:, :, :3]
    step = math.ceil((pixels.shape[0] * pixels.shape[1] / 1_000_000) ** 0.5)
    some = pixels[::step, ::step].reshape(-1)
    aside = min(max(FEWEST, math.ceil(OUTERMOST * some.size)), (some.size - 1) // 2)
    ordered = np.partition(some, (aside, some.size - 1 - aside))
    low, high = ordered[aside], ordered[some.size - 1 - aside]
    return float(low), float(high), float(pixels.min()), float(pixels.max())
