"""Pictures in memory as the bytes of files, without a loss."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np

from headstart.core.errors import SourceError
from headstart.data.deep_pixels import array_file


def is_pil_image(item: object) -> bool:
    """A PIL image, told by its module: importing PIL to ask would cost 0.1 s where there is none."""
    return any(c.__module__ == "PIL.Image" and c.__name__ == "Image" for c in type(item).__mro__)


def encode_picture(image: Any) -> bytes:
    """A PIL image as the bytes of a file that holds the same pixels and the same orientation."""
    buffer = io.BytesIO()
    fits_png = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    image.save(buffer, "PNG" if fits_png else "TIFF", **({"exif": image.getexif()} if image.getexif() else {}))
    return buffer.getvalue()


def is_number_array(item: object) -> bool:
    """Whether it is an array of numbers, of any depth."""
    return isinstance(item, np.ndarray) and item.dtype.kind in "buif"


def is_colour(array: np.ndarray) -> bool:
    """Whether it is one picture in colours, and not several gray ones."""
    return array.ndim == 3 and array.shape[2] in (3, 4) and min(array.shape[:2]) > 4


def encode_array(picture: np.ndarray) -> bytes:
    """A picture (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) as the bytes of a file: PNG of 8 or 16 bits, else as numpy's.

    True and False are white and black. Raises SourceError for other shapes.
    """
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] not in (1, 3, 4)) or not picture.size:
        raise SourceError(
            f"X holds a picture of shape {picture.shape}; (height, width) or (height, width, 3) is expected."
        )
    if picture.dtype == bool:
        picture = picture.astype(np.uint8) * np.uint8(255)
    picture = picture[:, :, 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    return _encode_png(picture) if picture.dtype in (np.uint8, np.uint16) else array_file(picture)


def _encode_png(picture: np.ndarray) -> bytes:
    """uint8 or uint16, (h, w), (h, w, 3) or (h, w, 4), as a PNG file.

    Source: PNG specification, third edition, chapters 5 and 11; every row has filter 0.
    """
    colour = {2: 0, 3: 2 if picture.shape[-1] == 3 else 6}[picture.ndim]
    height, width = picture.shape[:2]
    flat = np.ascontiguousarray(picture, picture.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), flat], axis=1)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8 * picture.dtype.itemsize, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(filtered.tobytes(), 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
