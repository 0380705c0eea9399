"""Augmented views of an image. A view is a function of the image, its number, the policy and a seed: nothing global.

View 0 is the centre crop. A view can be drawn at any size, so that a teacher and its student see the same crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
Box = tuple[float, float, float, float]  # left, top, right, bottom, in shares of the image
# RGB -> YIQ (NTSC 1953); turning the I-Q rotation turns the hue and keeps the lightness.
YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)


@dataclass(frozen=True, slots=True)
class Policy:
    """An augmentation policy.

    crop:   smallest share of the area that a random crop keeps.  colour: strength of the colour jitter
    gray, blur: probabilities of gray-scale and of a Gaussian blur.  mix: share of views blended with another image
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
# Beyer et al. 2022, "A good teacher is patient and consistent": aggressive crops, and mixup.
PATIENT = Policy(crop=0.25, colour=0.3, gray=0.05, mix=0.3)


@dataclass(frozen=True, slots=True)
class ViewParameters:
    """The parameters of one view: crop box and colour jitter."""

    box: Box
    flip: bool
    jitter: tuple[float, float, float, float]  # brightness, contrast, saturation (factors), hue (radians)
    gray: bool
    blur: float  # share of the side


def rng_for_view(seed: int, digest: str, view: int) -> np.random.Generator:
    """The random generator of one view of the image with that digest."""
    return np.random.default_rng([seed, view, int(digest[:15], 16)])


def sample_view(rng: np.random.Generator, policy: Policy, height: int, width: int) -> ViewParameters:
    """Random parameters for a view of an image of that shape."""
    box = _random_box(rng, policy.crop, height, width)
    flip = bool(policy.flip and rng.random() < 0.5)
    strength = policy.colour
    factors = [1 + strength * rng.uniform(-1, 1) for _ in range(3)]
    hue = 0.25 * strength * rng.uniform(-np.pi, np.pi)
    gray = bool(rng.random() < policy.gray)
    blur = rng.uniform(0.1, 2.0) / 224 if rng.random() < policy.blur else 0.0
    return ViewParameters(box, flip, (factors[0], factors[1], factors[2], hue), gray, blur)


def apply_view(image: np.ndarray, view: ViewParameters, side: int) -> np.ndarray:
    """(h, w, 3) uint8 -> (side, side, 3) uint8 with these parameters."""
    from PIL import Image, ImageFilter

    height, width = image.shape[:2]
    left, top, right, bottom = view.box
    box = (left * width, top * height, right * width, bottom * height)
    resized = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC, box=box)
    if view.blur:
        resized = resized.filter(ImageFilter.GaussianBlur(view.blur * side))
    x = np.asarray(resized)
    if view.flip:
        x = x[:, ::-1]
    return _jitter_colour(x, view)


def center_view(image: np.ndarray, side: int) -> np.ndarray:
    """View 0: the middle of the image, shorter edge to `side`."""
    height, width = image.shape[:2]
    edge = min(height, width)
    left, top = (width - edge) / 2 / width, (height - edge) / 2 / height
    return apply_view(image, ViewParameters((left, top, 1 - left, 1 - top), False, (1, 1, 1, 0), False, 0.0), side)


def _random_box(rng: np.random.Generator, smallest: float, height: int, width: int) -> Box:
    """A random crop of `smallest` to all of the area and 3:4 to 4:3 in aspect. Source: Szegedy et al. 2015."""
    for _ in range(10):
        area, ratio = rng.uniform(smallest, 1) * height * width, np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = np.sqrt(area * ratio), np.sqrt(area / ratio)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            return left / width, top / height, (left + w) / width, (top + h) / height
    side = min(height, width)
    left, top = (width - side) / 2 / width, (height - side) / 2 / height
    return left, top, 1 - left, 1 - top


def _jitter_colour(x: np.ndarray, view: ViewParameters) -> np.ndarray:
    """Brightness, contrast, saturation and hue are linear in the pixels: one matrix and one offset do them all."""
    bright, contrast, saturation, hue = view.jitter
    if (bright, contrast, saturation, hue) == (1, 1, 1, 0) and not view.gray:
        return np.ascontiguousarray(x)
    rotation = np.array([[1, 0, 0], [0, np.cos(hue), -np.sin(hue)], [0, np.sin(hue), np.cos(hue)]], np.float32)
    hue_matrix = np.linalg.inv(YIQ).astype(np.float32) @ rotation @ YIQ
    gray = np.broadcast_to(LUMA, (3, 3))
    if view.gray:
        saturation = 0.0
    matrix = (saturation * hue_matrix + (1 - saturation) * gray) * bright
    mean = float(x.reshape(-1, 3).mean(0) @ matrix.T @ LUMA)
    y = x.astype(np.float32) @ (contrast * matrix.T) + (1 - contrast) * mean
    return np.clip(np.rint(y), 0, 255).astype(np.uint8)
