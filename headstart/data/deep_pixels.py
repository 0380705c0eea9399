"""Pictures of more than 8 bits a channel: which files hold such, their stored numbers, and these as 0 to 255.

Pillow gives 16-bit colours as 8 bits, by the upper byte of each; here both are read, and put together.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core.errors import Unreadable
from headstart.data.image_formats import MAX_PIXELS, open_image

if TYPE_CHECKING:
    from PIL.Image import Image

NPY = b"\x93NUMPY"  # an array in memory that no picture format holds is kept as numpy writes it
# How files begin that may hold more than 8 bits a channel, beside PNG, which says it in its first chunk.
MAY_BE_DEEP = (NPY, b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"P5", b"P6", b"Pf", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
UNIT_SLACK = 0.1  # numbers from -0.1 to 1.1 are meant as 0 to 1: sharpening and resizing leave the range a little


def may_be_deep(head: bytes) -> bool:
    """Whether a file that begins so, 26 bytes at least, may hold more than 8 bits a channel; opens nothing."""
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return head[24:25] == b"\x10"
    return head.startswith(MAY_BE_DEEP)


def deep_pixels(raw: bytes) -> np.ndarray | None:
    """Numbers as they are stored, (h, w), or (h, w, 3 or 4) with what is opaque last; None where they have 8 bits.

    Raises Unreadable for an array that is no picture, and what Pillow raises on unknown or damaged bytes.
    """
    if not may_be_deep(raw[:26]):
        return None
    if raw.startswith(NPY):
        return _array_pixels(raw)
    image = open_image(raw)
    return stored_pixels(raw, image)


def stored_pixels(raw: bytes, image: Image) -> np.ndarray | None:
    """As `deep_pixels`, of a file that `open_image` opened and that was not loaded yet."""
    if image.mode == "F" or image.mode.startswith("I"):
        pixels = np.asarray(image)
        tags = getattr(image, "tag_v2", {})
        whole = pixels.dtype == np.int32 and tags.get(258) == (32,) and tags.get(339, (1,)) == (1,)
        pixels = pixels.view(np.uint32) if whole else pixels
        inverted = tags.get(262) == 0 and pixels.dtype.kind == "u"  # TIFF in which white is 0
        return np.iinfo(pixels.dtype).max - pixels if inverted else pixels
    tiles: Any = getattr(image, "tile", [])
    if raw[:2] == b"P6" and tiles and isinstance(tiles[0].args, tuple) and tiles[0].args[1] > 255:
        _, _, offset, (_, full) = tiles[0]
        numbers = np.frombuffer(raw, ">u2", 3 * image.width * image.height, offset).astype(np.float64)
        return np.rint(numbers * (65535 / full)).astype(np.uint16).reshape(image.height, image.width, 3)
    return join_bytes(image, open_image(raw))


def join_bytes(image: Image, again: Image) -> np.ndarray | None:
    """Colours of 16 bits, (h, w, 3 or 4) uint16, of a file that was opened twice; None where it has none."""
    tiles: Any = getattr(image, "tile", [])
    arguments = tiles[0].args if tiles else ""
    raw_mode = arguments[0] if isinstance(arguments, tuple) else arguments
    if not isinstance(raw_mode, str) or raw_mode[-4:-1] != ";16" or image.mode not in ("RGB", "RGBA"):
        return None
    if raw_mode == "LA;16B":  # as four channels of 8 bits: both bytes of the gray, and both of what is opaque
        four = decoded_as(again, "RGBA").astype(np.uint16)
        gray, opaque = 256 * four[:, :, 0] + four[:, :, 1], 256 * four[:, :, 2] + four[:, :, 3]
        return np.stack([gray, gray, gray, opaque], axis=2)
    # Read in the other order of bytes, the lower one is what Pillow keeps.
    other = raw_mode[:-1] + ("L" if raw_mode.endswith("B") else "B")
    return 256 * np.asarray(image).astype(np.uint16) + decoded_as(again, other)


def decoded_as(image: Image, raw_mode: str) -> np.ndarray:
    """The pixels of a file that was opened, its bytes taken for those of another raw mode."""
    from PIL import ImageFile

    opened: Any = image
    codec, extents, offset, arguments = opened.tile[0]
    changed = (raw_mode, *arguments[1:]) if isinstance(arguments, tuple) else raw_mode
    opened.tile = [ImageFile._Tile(codec, extents, offset, changed)]
    return np.asarray(image)


def _array_pixels(raw: bytes) -> np.ndarray:
    stream = io.BytesIO(raw)
    try:
        version = np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream) if version == (1, 0) else ((), False, None)
    except ValueError:
        raise Unreadable("the array is damaged") from None
    channels = shape[2] if len(shape) == 3 else 1
    if len(shape) not in (2, 3) or channels not in (1, 3, 4) or dtype is None or dtype.kind not in "iuf":
        raise Unreadable(f"is an array of shape {shape}: (height, width) or (height, width, 3) of numbers is expected")
    if not 0 < shape[0] * shape[1] <= MAX_PIXELS or len(raw) - stream.tell() != math.prod(shape) * dtype.itemsize:
        raise Unreadable("the array is damaged, empty, or has more than 179 million pixels")
    pixels = np.load(io.BytesIO(raw), allow_pickle=False)
    return pixels[:, :, 0] if channels == 1 and len(shape) == 3 else pixels


def array_file(picture: np.ndarray) -> bytes:
    """A picture in memory, of any numbers, as the bytes of numpy's own format."""
    buffer = io.BytesIO()
    numbers = np.ascontiguousarray(picture.astype(picture.dtype.newbyteorder("<"), copy=False))
    np.lib.format.write_array(buffer, numbers, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def to_eight_bits(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Numbers as they are stored -> uint8 of the same shape, `low` as 0 and `high` as 255; what is beyond is cut off.

    Fractions from 0 to 1 are read as that also where the range is of whole numbers.
    Raises Unreadable for NaN, and where nothing would be seen: most pixels are farther outside than the range is wide,
    or they are fractions about zero.
    """
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise Unreadable("its pixels hold NaN or infinite numbers")
    least, most = float(pixels.min()), float(pixels.max())
    if pixels.dtype.kind == "f" and high > 2 and -UNIT_SLACK <= least and 0 < most <= 1 + UNIT_SLACK:
        low, high = 0.0, 1.0
    sample = pixels[:: 1 + pixels.shape[0] // 256, :: 1 + pixels.shape[1] // 256]
    middle = float(np.median(sample if sample.ndim == 2 else sample[:, :, :3]))
    centred = pixels.dtype.kind == "f" and low >= 0 and high > 2 and -4 < least < -UNIT_SLACK and most < 4
    if middle > 2 * high - low or middle < 2 * low - high or centred:
        raise Unreadable(
            f"its pixels are numbers from {least:g} to {most:g}, and those that were learned from go from {low:g} to "
            f"{high:g}: scale them alike, or save the picture in 8 bits"
        )
    out = np.empty(pixels.shape, np.uint8)
    rows = max(1, 4_000_000 // max(1, pixels[0].size))  # at a time: what is made on the way stays small
    for top in range(0, len(pixels), rows):
        strip = (pixels[top : top + rows].astype(np.float64) - low) * (255 / (high - low))
        out[top : top + rows] = np.rint(np.clip(strip, 0, 255))
    if pixels.ndim == 3 and pixels.shape[2] == 4:  # what is opaque has a range of its own
        full = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind != "f" else 255.0 if most > 2 else 1.0
        out[:, :, 3] = np.rint(np.clip(pixels[:, :, 3] * (255 / full), 0, 255))
    return out
