"""Which image formats are opened: a list of those that are allowed, for every file that a stranger may have made."""

from __future__ import annotations

import io
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from headstart.core.errors import Unreadable

if TYPE_CHECKING:
    from PIL.Image import Image

# No EPS or PDF (they start other programs), no format that is told by its file name alone.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
MAX_PIXELS = 178_956_970  # pixels: Pillow's own limit for a decompression bomb


def open_image(raw: bytes) -> Image:
    """The image in a file's bytes, of which only the header was read.

    Raises Unreadable where it has too many pixels, and what Pillow raises on unknown or damaged bytes.
    """
    from PIL import Image

    formats = (*FORMATS, "HEIF") if is_heic(raw) and _open_heic() else FORMATS
    try:
        image = Image.open(io.BytesIO(raw), formats=formats)
    except Image.DecompressionBombError:
        raise Unreadable("it claims more than 179 million pixels, like a decompression bomb") from None
    if image.width * image.height > MAX_PIXELS:
        w, h = image.size
        raise Unreadable(f"{w:,} x {h:,} pixels: more than 179 million, like a decompression bomb")
    return image


def is_heic(raw: object) -> bool:
    """Whether it is a photo as iPhones take it."""
    return isinstance(raw, bytes) and raw[4:8] == b"ftyp" and raw[8:12] in HEIC_BRANDS


@cache
def knows_heic() -> bool:
    """Whether the user installed Pillow's plug-in for such photos."""
    return find_spec("pillow_heif") is not None


@cache
def _open_heic() -> bool:
    """Whether such photos are opened from now on."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True
