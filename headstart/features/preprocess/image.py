"""Image bytes -> the pixels that a vision network was trained on. One code path for training and serving.

Equal to timm's evaluation transform (timm 1.0, transforms_imagenet_eval) in all three of its crop modes.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core.backbone import Preprocess
from headstart.core.errors import PlanError, Unreadable
from headstart.features import one_unit
from headstart.features.image_decoding import decode_image

if TYPE_CHECKING:
    from PIL.Image import Image


SERVES = ("image",)
weigh, beyond = one_unit.weigh, one_unit.beyond
REQUIRED = ("crop_mode", "crop_pct", "input_size", "interpolation", "mean", "std")
CROP_MODES = ("center", "squash", "border")
THREADS = 8
# Large JPEGs are decoded at a fraction of their size where that keeps this many times the pixels to which each side is
# resized: 85 ms for 12 megapixels, not 290; smallest cosine of MobileNetV2's and ViT-tiny's rows 0.9985.
OVERSAMPLING = 2
THUMBNAIL = 96  # pixels of the longer side: 2 to 4 KB as JPEG
MAX_ASPECT_RATIO = 100  # what is farther out is cropped before resizing; it would be cropped afterwards anyway


def look(raws: Sequence[bytes], settings: Preprocess) -> list[tuple[list[np.ndarray] | Unreadable, bytes]]:
    """Each image's one unit, (h, w, 3) uint8, and its JPEG thumbnail, decoded once; or why there is none.

    Raises PlanError naming a setting that is missing.
    """
    return _prepare_all(raws, settings, thumbnails=True)


def prepare(raws: Sequence[bytes], settings: Preprocess) -> list[list[np.ndarray] | Unreadable]:
    """Each image's one unit, (h, w, 3) uint8, or why there is none. Raises PlanError naming a missing setting."""
    return [unit for unit, _ in _prepare_all(raws, settings, thumbnails=False)]


def min_decoded_side(settings: Preprocess) -> int:
    """Pixels that the shorter side of a JPEG must keep when it is decoded at a fraction of its size."""
    facts: dict[str, Any] = dict(settings.settings)
    return max(THUMBNAIL, math.ceil(OVERSAMPLING * max(facts["input_size"][1:]) / facts["crop_pct"]))


def batch(units: list[np.ndarray], settings: Preprocess) -> dict[str, np.ndarray]:
    """{"pixels": (b, 3, h, w) float32}, normalized with the weights' own mean and standard deviation."""
    facts = dict(settings.settings)
    x = np.stack(units).transpose(0, 3, 1, 2).astype(np.float32)
    x /= np.float32(255)
    x -= np.array(facts["mean"], np.float32)[:, None, None]
    x /= np.array(facts["std"], np.float32)[:, None, None]
    return {"pixels": np.ascontiguousarray(x)}


def _prepare_all(raws: Sequence[bytes], settings: Preprocess, *, thumbnails: bool):
    facts: dict[str, Any] = dict(settings.settings)
    for name in REQUIRED:
        if name not in facts:
            raise PlanError(f"The preprocessing of images lacks {name!r}. All of {', '.join(REQUIRED)} are needed.")
    if facts["crop_mode"] not in CROP_MODES:
        raise PlanError(f"crop_mode {facts['crop_mode']!r} is not known. There are: {', '.join(CROP_MODES)}.")

    min_side = min_decoded_side(settings)

    def prepare_one(raw: bytes) -> tuple[list[np.ndarray] | Unreadable, bytes]:
        try:
            image = decode_image(raw, min_side, settings.pixel_range)
            return [np.asarray(_resize_and_crop(image, facts))], _thumbnail(image) if thumbnails else b""
        except Unreadable as reason:
            return reason, b""

    if len(raws) < 4:
        return [prepare_one(raw) for raw in raws]
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as executor:
        return list(executor.map(prepare_one, raws))


def _resize_and_crop(image: Image, facts: dict) -> Image:
    """The image resized and cropped to the network's input."""
    from PIL import Image

    _, height, width = facts["input_size"]
    filter_ = Image.Resampling[facts["interpolation"].upper()]
    scaled_h, scaled_w = math.floor(height / facts["crop_pct"]), math.floor(width / facts["crop_pct"])
    mode = facts["crop_mode"]
    if mode == "squash":
        size = (scaled_w, scaled_h)
    elif mode == "border":
        ratio = max(image.height / scaled_h, image.width / scaled_w)
        size = (max(1, round(image.width / ratio)), max(1, round(image.height / ratio)))
    else:
        image = _limit_aspect_ratio(image)
        size = _shorter_edge(image, scaled_h, scaled_w)
    if size != image.size:
        image = image.resize(size, filter_)
    fill = tuple(round(255 * m) for m in facts["mean"]) if mode == "border" else (0, 0, 0)
    return _center_crop(image, height, width, fill)


def _shorter_edge(image: Image, height: int, width: int) -> tuple[int, int]:
    """(width, height) that covers the target and keeps the aspect ratio."""
    w, h = image.size
    if height == width:
        # torchvision's Resize of one edge: the other is rounded down.
        return (width, int(width * h / w)) if w <= h else (int(height * w / h), height)
    ratio = min(h / height, w / width)
    return max(1, round(w / ratio)), max(1, round(h / ratio))


def _limit_aspect_ratio(image: Image) -> Image:
    """Without the ends of an image so long that resizing all of it could exhaust memory."""
    w, h = image.size
    if max(w, h) <= MAX_ASPECT_RATIO * min(w, h):
        return image
    keep_w, keep_h = min(w, MAX_ASPECT_RATIO * h), min(h, MAX_ASPECT_RATIO * w)
    left, top = (w - keep_w) // 2, (h - keep_h) // 2
    return image.crop((left, top, left + keep_w, top + keep_h))


def _center_crop(image: Image, height: int, width: int, fill: tuple[int, ...]) -> Image:
    """The middle height x width; what is smaller is padded first, as torchvision's CenterCrop does."""
    from PIL import Image

    w, h = image.size
    if w < width or h < height:
        padded = Image.new("RGB", (max(w, width), max(h, height)), fill)
        padded.paste(image, (max(width - w, 0) // 2, max(height - h, 0) // 2))
        image, (w, h) = padded, padded.size
    top, left = round((h - height) / 2.0), round((w - width) / 2.0)
    return image.crop((left, top, left + width, top + height))


def _thumbnail(image: Image) -> bytes:
    from PIL import Image

    longer = max(image.size)
    if longer >= 4 * THUMBNAIL:
        image = image.reduce(longer // (2 * THUMBNAIL))
        longer = max(image.size)
    if longer > THUMBNAIL:
        size = [max(1, round(side * THUMBNAIL / longer)) for side in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
