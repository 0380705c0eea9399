"""Image bytes -> the pixels that a vision network was trained on. One path for training and for serving.

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
from headstart.features.image_decoding import decode

if TYPE_CHECKING:
    from PIL.Image import Image


SERVES = ("image",)
NEEDED = ("crop_mode", "crop_pct", "input_size", "interpolation", "mean", "std")
MODES = ("center", "squash", "border")
THREADS = 8
# Large JPEGs are decoded at a part of their size where so many times the pixels remain that are resized to: 85 ms for
# 12 megapixels, not 290; smallest cosine of MobileNetV2's and ViT-tiny's rows 0.9985, on mosaics and grain.
SPARE = 2
THUMBNAIL = 96  # pixels of the longer side: 2 to 4 KB as JPEG
LONGEST = 100  # times as long as wide: what is farther out is cut before resizing, it would be cropped anyway


def look(raws: Sequence[bytes], settings: Preprocess) -> list[tuple[list[np.ndarray] | Unreadable, bytes]]:
    """Each picture's one unit, (h, w, 3) uint8, and its thumbnail, from one decoding; or why there is none.

    Raises PlanError naming a setting that is missing.
    """
    return _each(raws, settings, thumbnails=True)


def prepare(raws: Sequence[bytes], settings: Preprocess) -> list[list[np.ndarray] | Unreadable]:
    """Each picture's one unit, (h, w, 3) uint8, or why there is none. Raises PlanError naming a missing setting."""
    return [unit for unit, _ in _each(raws, settings, thumbnails=False)]


def _each(raws: Sequence[bytes], settings: Preprocess, *, thumbnails: bool):
    facts: dict[str, Any] = dict(settings.settings)
    for name in NEEDED:
        if name not in facts:
            raise PlanError(f"The preprocessing of images lacks {name!r}. All of {', '.join(NEEDED)} are needed.")
    if facts["crop_mode"] not in MODES:
        raise PlanError(f"crop_mode {facts['crop_mode']!r} is not known. There are: {', '.join(MODES)}.")

    least = remaining(settings)

    def one(raw: bytes) -> tuple[list[np.ndarray] | Unreadable, bytes]:
        try:
            picture = decode(raw, least)
            fitted = _fitted(picture, facts)
            return [np.asarray(fitted)], _thumbnail(picture) if thumbnails else b""
        except Unreadable as reason:
            return reason, b""

    if len(raws) < 4:
        return [one(raw) for raw in raws]
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(one, raws))


def remaining(settings: Preprocess) -> int:
    """Pixels that must remain of the shorter side of a JPEG that is decoded at a part of its size."""
    facts: dict[str, Any] = dict(settings.settings)
    return max(THUMBNAIL, math.ceil(SPARE * max(facts["input_size"][1:]) / facts["crop_pct"]))


def batch(units: list[np.ndarray], settings: Preprocess) -> dict[str, np.ndarray]:
    """{"pixels": (b, 3, h, w) float32}, normalised with the weights' own mean and spread."""
    facts = dict(settings.settings)
    x = np.stack(units).transpose(0, 3, 1, 2).astype(np.float32)
    x /= np.float32(255)
    x -= np.array(facts["mean"], np.float32)[:, None, None]
    x /= np.array(facts["std"], np.float32)[:, None, None]
    return {"pixels": np.ascontiguousarray(x)}


def weigh(unit: np.ndarray) -> float:
    """1: a picture is one unit."""
    return 1.0


def beyond(units: list[np.ndarray]) -> float:
    """0: a picture is seen whole."""
    return 0.0


def _fitted(picture: Image, facts: dict) -> Image:
    """Resized and cropped to the network's input."""
    from PIL import Image

    _, height, width = facts["input_size"]
    filter_ = Image.Resampling[facts["interpolation"].upper()]
    scaled_h, scaled_w = math.floor(height / facts["crop_pct"]), math.floor(width / facts["crop_pct"])
    mode = facts["crop_mode"]
    if mode == "squash":
        size = (scaled_w, scaled_h)
    elif mode == "border":
        ratio = max(picture.height / scaled_h, picture.width / scaled_w)
        size = (max(1, round(picture.width / ratio)), max(1, round(picture.height / ratio)))
    else:
        picture = _middle(picture)
        size = _shorter_edge(picture, scaled_h, scaled_w)
    if size != picture.size:
        picture = picture.resize(size, filter_)
    fill = tuple(round(255 * m) for m in facts["mean"]) if mode == "border" else (0, 0, 0)
    return _centre(picture, height, width, fill)


def _shorter_edge(picture: Image, height: int, width: int) -> tuple[int, int]:
    """(width, height) that covers the target and keeps the shape."""
    w, h = picture.size
    if height == width:
        # torchvision's Resize of one edge: the other is rounded down.
        return (width, int(width * h / w)) if w <= h else (int(height * w / h), height)
    ratio = min(h / height, w / width)
    return max(1, round(w / ratio)), max(1, round(h / ratio))


def _middle(picture: Image) -> Image:
    """Without the ends of a picture so long that resizing all of it could exhaust memory."""
    w, h = picture.size
    if max(w, h) <= LONGEST * min(w, h):
        return picture
    keep_w, keep_h = min(w, LONGEST * h), min(h, LONGEST * w)
    left, top = (w - keep_w) // 2, (h - keep_h) // 2
    return picture.crop((left, top, left + keep_w, top + keep_h))


def _centre(picture: Image, height: int, width: int, fill: tuple[int, ...]) -> Image:
    """The middle height x width; what is smaller is padded first, as torchvision's CenterCrop does."""
    from PIL import Image

    w, h = picture.size
    if w < width or h < height:
        padded = Image.new("RGB", (max(w, width), max(h, height)), fill)
        padded.paste(picture, (max(width - w, 0) // 2, max(height - h, 0) // 2))
        picture, (w, h) = padded, padded.size
    top, left = round((h - height) / 2.0), round((w - width) / 2.0)
    return picture.crop((left, top, left + width, top + height))


def _thumbnail(picture: Image) -> bytes:
    from PIL import Image

    longer = max(picture.size)
    if longer >= 4 * THUMBNAIL:
        picture = picture.reduce(longer // (2 * THUMBNAIL))
        longer = max(picture.size)
    if longer > THUMBNAIL:
        size = [max(1, round(side * THUMBNAIL / longer)) for side in picture.size]
        picture = picture.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
