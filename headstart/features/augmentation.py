"""Augmented views of a picture. A view is a function of the picture, its number, the policy and a seed: nothing global.

View 0 is the plain one. The same view can be drawn at any size, so that a teacher and its student see the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# RGB -> YIQ (NTSC 1953); turning the I-Q plane turns the hue and keeps the lightness.
YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a view may do to a picture.

    crop:   least share of the area that is kept.  colour: strength of changes of light, contrast, saturation and hue
    gray, blur: shares of views without colour, and out of focus.  mix: share of views blended with another picture
    """

    crop: float = 0.35
    colour: float = 0.2
    gray: float = 0.02
    blur: float = 0.0
    mix: float = 0.0
    flip: bool = True


GENTLE = Policy()
TIMID = Policy(crop=0.5, colour=0.1, gray=0.0)  # for labelled photos: what is on them must stay on them
# Chen et al. 2020, SimCLR, with half of the strength of colour that is for ImageNet at 224 px.
STRONG = Policy(crop=0.2, colour=0.4, gray=0.2, blur=0.3)
# Beyer et al. 2022, "A good teacher is patient and consistent": aggressive crops, and blends as new pictures.
PATIENT = Policy(crop=0.25, colour=0.3, gray=0.05, mix=0.3)


@dataclass(frozen=True, slots=True)
class Look:
    """One view's numbers: box (left, top, right, bottom) in shares, and the changes of colour."""

    box: tuple[float, float, float, float]
    flip: bool
    light: tuple[float, float, float, float]  # brightness, contrast, saturation (factors), hue (radians)
    gray: bool
    blur: float  # share of the side


def dice(seed: int, digest: str, number: int) -> np.random.Generator:
    """The generator of one view of one picture."""
    return np.random.default_rng([seed, number, int(digest[:15], 16)])


def drawn(rng: np.random.Generator, policy: Policy, height: int, width: int) -> Look:
    """A look for a picture of that shape."""
    box = _box(rng, policy.crop, height, width)
    flip = bool(policy.flip and rng.random() < 0.5)
    amount = policy.colour
    light = [1 + amount * rng.uniform(-1, 1) for _ in range(3)]
    hue = 0.25 * amount * rng.uniform(-np.pi, np.pi)
    gray = bool(rng.random() < policy.gray)
    blur = rng.uniform(0.1, 2.0) / 224 if rng.random() < policy.blur else 0.0
    return Look(box, flip, (light[0], light[1], light[2], hue), gray, blur)


def _box(rng: np.random.Generator, least: float, height: int, width: int) -> tuple[float, float, float, float]:
    """A random crop of `least` to all of the area and 3:4 to 4:3 in shape. Source: Szegedy et al. 2015."""
    for _ in range(10):
        area, ratio = rng.uniform(least, 1) * height * width, np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = np.sqrt(area * ratio), np.sqrt(area / ratio)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            return left / width, top / height, (left + w) / width, (top + h) / height
    side = min(height, width)
    left, top = (width - side) / 2 / width, (height - side) / 2 / height
    return left, top, 1 - left, 1 - top


def shown(picture: np.ndarray, look: Look, side: int) -> np.ndarray:
    """(h, w, 3) uint8 -> (side, side, 3) uint8 as that look has it."""
    from PIL import Image, ImageFilter

    height, width = picture.shape[:2]
    left, top, right, bottom = look.box
    box = (left * width, top * height, right * width, bottom * height)
    image = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC, box=box)
    if look.blur:
        image = image.filter(ImageFilter.GaussianBlur(look.blur * side))
    x = np.asarray(image)
    if look.flip:
        x = x[:, ::-1]
    return _lit(x, look)


def _lit(x: np.ndarray, look: Look) -> np.ndarray:
    """Light, contrast, saturation and hue are linear in the pixels: one matrix and one offset do all of them."""
    bright, contrast, saturation, hue = look.light
    if (bright, contrast, saturation, hue) == (1, 1, 1, 0) and not look.gray:
        return np.ascontiguousarray(x)
    plane = np.array([[1, 0, 0], [0, np.cos(hue), -np.sin(hue)], [0, np.sin(hue), np.cos(hue)]], np.float32)
    turn = np.linalg.inv(YIQ).astype(np.float32) @ plane @ YIQ
    gray = np.broadcast_to(LUMA, (3, 3))
    amount = 0.0 if look.gray else saturation
    matrix = (amount * turn + (1 - amount) * gray) * bright
    middle = float(x.reshape(-1, 3).mean(0) @ matrix.T @ LUMA)
    y = x.astype(np.float32) @ (contrast * matrix.T) + (1 - contrast) * middle
    return np.clip(np.rint(y), 0, 255).astype(np.uint8)


def plain(picture: np.ndarray, side: int) -> np.ndarray:
    """View 0: the middle of the picture, shorter edge to `side`."""
    height, width = picture.shape[:2]
    edge = min(height, width)
    left, top = (width - edge) / 2 / width, (height - edge) / 2 / height
    return shown(picture, Look((left, top, 1 - left, 1 - top), False, (1, 1, 1, 0), False, 0.0), side)
