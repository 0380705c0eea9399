"""What it costs to decode a photo of the witness, told from its header: a file of 20 KB can be 169 megapixels.

A model decodes its witnesses at every load, whoever made it. So `fit` takes only photos that cost little, and `load`
refuses others before memory is taken.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Sequence

from headstart.core.backbone import Preprocess
from headstart.data.image_formats import open_image
from headstart.features.preprocess.image import min_decoded_side

MAX_BYTES = 400 << 20  # of memory while one photo is decoded
MAX_PIXELS = 300_000_000  # of all witnesses together, a second for each 50 to 100 million
SURELY_SMALL = 12_500_000  # pixels: twelve of these are within both, of any kind
# Bytes that decoding takes for a pixel: Pillow holds RGB in four, and turning a photo upright holds it twice. With
# transparency it is laid over white, and grey levels of more than eight bits are scaled in double precision.
PLAIN_BYTES, WHOLE_BYTES, OTHER_BYTES, PROGRESSIVE_BYTES = 8, 18, 32, 6
PLAIN_MODES = ("1", "L", "P", "RGB", "CMYK", "YCbCr")
PLAIN_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM", "TIFF")
WHOLE_FORMATS = ("WEBP", "AVIF")  # whose libraries hold a photo beside Pillow's
SLOWNESS = {"JPEG2000": 6, "AVIF": 3, "ICO": 3}  # times a pixel of PNG


def cost(raw: bytes, min_side: int) -> tuple[int, int]:
    """(bytes of memory, pixels by their time) that decoding a photo takes; (0, 0) for what is no photo: it says so.

    min_side: as `decode_image` takes it
    """
    from PIL import Image

    Image.init()
    # As decode_image does: Pillow warns of large photos, and here their size is the question.
    warnings.filterwarnings("ignore", module=r"PIL\.|headstart\.deployment\.witness_images")
    try:
        image = open_image(raw)
        whole = image.width * image.height
        if min_side:
            image.draft(image.mode, (min_side, min_side))
    except Exception:  # decoders raise what they like on damaged bytes, and decode_image words it
        return 0, 0
    opaque = image.mode in PLAIN_MODES and "transparency" not in image.info
    formats = {**dict.fromkeys(PLAIN_FORMATS, PLAIN_BYTES), **dict.fromkeys(WHOLE_FORMATS, WHOLE_BYTES)}
    memory = image.width * image.height * (formats.get(image.format or "", OTHER_BYTES) if opaque else OTHER_BYTES)
    memory += whole * PROGRESSIVE_BYTES if image.info.get("progressive") else 0
    return memory, whole * SLOWNESS.get(image.format or "", 1)


def affordable(contents: Sequence[bytes | str], spec: Preprocess) -> list[int]:
    """Positions of the inputs that can be witnesses together: all but costly photos.

    Opens no image library where all are surely small.
    """
    photos = [raw for raw in contents if isinstance(raw, bytes)] if spec.kind == "image" else []
    if all(map(is_surely_small, photos)):
        return list(range(len(contents)))
    taken, total, min_side = [], 0, min_decoded_side(spec)
    for position, raw in enumerate(photos):
        memory, pixels = cost(raw, min_side)
        if memory <= MAX_BYTES and total + pixels <= MAX_PIXELS:
            taken.append(position)
            total += pixels
    return taken


def is_surely_small(raw: bytes) -> bool:
    """Whether a photo takes little, whatever its kind: told without an image library."""
    return 0 < _pixels(raw) <= SURELY_SMALL


def fits_whole(raw: bytes) -> bool:
    """Whether a photo may be decoded at its full size."""
    return is_surely_small(raw) or cost(raw, 0)[0] <= MAX_BYTES


def shrunk(raw: bytes, spec: Preprocess) -> bytes:
    """A photo too large for a witness as a PNG of twice the size that the network reads."""
    from headstart.features.image_decoding import decode_image

    image, side = decode_image(raw, min_decoded_side(spec), spec.pixel_range), min_decoded_side(spec)
    image.thumbnail((4 * side, 4 * side))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _pixels(raw: bytes) -> int:
    """Pixels of a PNG or a JPEG, by its header; 0 where it is neither, or damaged."""
    try:
        if raw[:8] == b"\x89PNG\r\n\x1a\n" and raw[12:16] == b"IHDR":
            width, height = struct.unpack(">II", raw[16:24])
            return width * height
        at = 2 if raw[:2] == b"\xff\xd8" else len(raw)
        while raw[at] == 0xFF:
            if raw[at + 1] in (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)):
                height, width = struct.unpack(">HH", raw[at + 5 : at + 9])
                return width * height
            at += 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    except (IndexError, struct.error):
        pass
    return 0
