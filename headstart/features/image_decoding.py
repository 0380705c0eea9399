"""Decodes image files to upright RGB images, or says why that is impossible in words that their owner understands."""

from __future__ import annotations

import threading
import warnings
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from headstart.core.errors import Unreadable
from headstart.data.deep_pixels import NPY, deep_pixels, may_be_deep, stored_pixels, to_eight_bits
from headstart.data.image_formats import is_heic, open_image
from headstart.data.pixel_range import lone_range

if TYPE_CHECKING:
    from PIL.Image import Image


LARGE = 25_000_000  # pixels: larger ones are decoded one at a time, as a hundred such at once would exhaust memory
STRIP = 4_000_000  # pixels of a large image that are converted at a time
LOOKS_LIKE = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP file or an office document"),
    (b"\x1f\x8b", "a gzip file"),
    (b"<!DOCTYPE html", "a web page"),
    (b"<html", "a web page"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"RIFF", "a sound or video file"),
    (b"ID3", "a sound file"),
)
_one_large_image = threading.Lock()


def load_decoders() -> None:
    """Imports Pillow's decoders, for the thread that will start others: an import that is interrupted there while a
    worker waits for it would keep that one waiting for ever.
    """
    from PIL import Image

    Image.init()


def decode_image(raw: bytes, min_side: int = 0, pixel_range: tuple[float, float] | None = None) -> Image:
    """The first image in a file as RGB, upright, over white where it is transparent.

    min_side: pixels that the shorter side must keep. A JPEG that has many more is decoded at a half, a quarter or an
    eighth of its size, which libjpeg does in the frequency domain; 0 for the full size
    pixel_range: what black and white are in pictures of more than 8 bits; None: by their format, or each by its own
    Raises Unreadable with the reason, whatever a decoder raises on damaged bytes.
    """
    from PIL import Image, UnidentifiedImageError

    if not raw:
        raise Unreadable("the file is empty (0 bytes)")
    Image.init()  # a format is only known once its plug-in is; the second call costs nothing
    # Pillow warns of odd files in words for programmers. By module, because images are decoded on several threads and a
    # filter that is set and taken back is one for the whole process.
    warnings.filterwarnings("ignore", module=r"PIL\.|headstart\.features\.image_decoding")
    try:
        if raw.startswith(NPY):
            pixels = deep_pixels(raw)
            return _narrowed(pixels, pixel_range or lone_range(pixels))  # type: ignore[arg-type]
        image = open_image(raw)
        if pixel_range is not None and may_be_deep(raw[:26]):
            with _one_large_image if image.width * image.height > LARGE else nullcontext():
                pixels = stored_pixels(raw, image)
                if pixels is not None:
                    return _apply_exif_orientation(_narrowed(pixels, pixel_range), image)
            image = open_image(raw)
        if min_side:
            image.draft(image.mode, (min_side, min_side))
        with _one_large_image if image.width * image.height > LARGE else nullcontext():
            image.load()
            return _to_rgb(_apply_exif_orientation(image))
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable(_describe_unknown(raw)) from None
    except Image.DecompressionBombError:
        raise Unreadable("it claims more than 179 million pixels, like a decompression bomb") from None
    except MemoryError:
        raise Unreadable("decoding it needs more memory than there is") from None
    except Exception as error:  # decoders raise what they like on damaged bytes: OSError, SyntaxError, struct.error …
        raise Unreadable(_describe_damage(error)) from None


def _describe_damage(error: Exception) -> str:
    text = str(error).split("\n")[0]
    if "truncated" in text or "unexpected end" in text.lower() or "broken data" in text:
        return "the file ends early (truncated)"
    return f"the picture is damaged ({text or type(error).__name__})"


def _describe_unknown(raw: bytes) -> str:
    """What kind of file the bytes look like, where they are no known image."""
    start = raw[:512].lstrip()
    if is_heic(raw):
        return "HEIC photos cannot be read: convert it to JPEG first, or install pillow-heif"
    if raw[4:8] == b"ftyp":
        return "not an image: it looks like a video"
    if b"<svg" in start.lower():
        return "SVG is a drawing and no photo: export it as PNG first"
    if start[:4] in (b"%!PS", b"\xc5\xd0\xd3\xc6"):
        return "EPS is a drawing and no photo: export it as PNG first"
    for begin, name in LOOKS_LIKE:
        if start[: len(begin)].lower() == begin.lower():
            return f"not an image: it looks like {name}"
    if raw[:4] in (b"II*\x00", b"MM\x00*") and raw[4:8].strip(b"\0") and len(raw) > 100:
        kinds = "several channels of fractions, 64 bits, half precision"
        return f"a damaged TIFF, or one of a kind that is not read ({kinds}): save it as PNG of 16 bits"
    if raw[:3] == b"\xff\xd8\xff" or raw[:4] == b"\x89PNG" or raw[:4] in (b"GIF8", b"II*\x00", b"MM\x00*"):
        return "the picture is damaged: only the beginning of the file looks like an image"
    if not raw.strip(b"\0"):
        return "the file holds nothing but zeros"
    texty = sum(32 <= c < 127 or c in (9, 10, 13) for c in start) >= 0.95 * len(start)
    return "not an image: it looks like text" if texty else "not an image of a known kind"


def _narrowed(pixels: np.ndarray, pixel_range: tuple[float, float]) -> Image:
    """Numbers of more than 8 bits as an RGB image, over white where it is transparent."""
    from PIL import Image

    return _to_rgb(Image.fromarray(to_eight_bits(pixels, *pixel_range)))


def _apply_exif_orientation(image: Image, stated_by: Image | None = None) -> Image:
    """Rotated or flipped as its EXIF orientation says, or that of the image that it was made of."""
    from PIL import ImageOps

    try:
        orientation = (stated_by or image).getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block says nothing about orientation, and the pixels are fine
        return image
    if orientation not in range(2, 9):
        return image
    if stated_by is not None:
        image.getexif()[0x0112] = orientation
    return ImageOps.exif_transpose(image) or image


def _to_rgb(image: Image) -> Image:
    """The image as RGB; a large one strip by strip, so that what is made on the way stays small."""
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    extent = image.getextrema() if image.mode.startswith("I") or image.mode == "F" else ()
    if image.width * image.height <= LARGE:
        return _strip_to_rgb(image, extent)
    out, rows = Image.new("RGB", image.size), max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(image.height, top + rows)))
        out.paste(_strip_to_rgb(strip, extent), (0, top))
    return out


def _strip_to_rgb(image: Image, extent: tuple) -> Image:
    """extent: the least and the largest pixel of all of the image, where it is gray of more than 8 bits"""
    from PIL import Image

    mode = image.mode
    if extent:
        return Image.fromarray(_to_eight_bits(np.asarray(image), mode, *map(float, extent))).convert("RGB")
    if mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(*profiles, "LAB", "RGB")
        return ImageCms.applyTransform(image, transform) or image
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        full = image.convert("RGBA")
        white = Image.new("RGBA", full.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, full).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(x: np.ndarray, mode: str, low: float, high: float) -> np.ndarray:
    """16-bit, 32-bit and float gray as 0..255: by the range of the format where it has one, else of the image."""
    x = x.astype(np.float64)
    if not np.isfinite(x).all():
        raise Unreadable("its pixels hold NaN or infinite numbers")
    if mode.startswith("I;16") or (mode == "I" and low >= 0 and 255 < high <= 65535):
        scaled = x / 257
    elif low >= 0 and high <= 1 and mode == "F":
        scaled = x * 255
    elif low >= 0 and high <= 255:
        scaled = x
    else:
        scaled = (x - low) * (255 / max(high - low, 1e-12))
    return np.rint(scaled).astype(np.uint8)
