"""What things are made of: noise, the finishes of metal, and the benches that parts lie on."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

SIDE = 256
TINTS = {
    "steel": (0.56, 0.56, 0.58),
    "stainless": (0.62, 0.62, 0.61),
    "aluminium": (0.78, 0.78, 0.80),
    "cast iron": (0.34, 0.33, 0.33),
    "zinc": (0.45, 0.46, 0.50),
    "brass": (0.70, 0.60, 0.38),
    "bronze": (0.62, 0.46, 0.36),
}
METAL_SHARES = (0.26, 0.20, 0.20, 0.12, 0.10, 0.07, 0.05)


@dataclass(frozen=True, slots=True)
class Metal:
    """A face as it was made, before anything happened to it.

    tint: (3,) reflectance, linear.  tone: (SIDE, SIDE) factor on it.  relief: (SIDE, SIDE) height in pixels
    gloss: 0 mirrors nothing sharply … 1 polished
    """

    tint: np.ndarray
    tone: np.ndarray
    relief: np.ndarray
    gloss: float


def pixel_grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of every pixel, from the middle of the photo."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) - (SIDE - 1) / 2
    return x, y


def local_coordinates(x: float, y: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel's coordinates in a frame that stands at (x, y) and is turned by `angle` radians."""
    right, down = pixel_grid()
    right, down = right - float(x), down - float(y)
    return cos(angle) * right + sin(angle) * down, cos(angle) * down - sin(angle) * right


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 at `low`, 1 at `high`, soft between and level beyond."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def noise_curve(rng: np.random.Generator, x: np.ndarray, span: float, knots: int) -> np.ndarray:
    """White noise along a line: its value at every x, drawn at `knots` places between -span and span."""
    return np.interp(x, np.linspace(-span, span, knots), rng.standard_normal(knots)).astype(np.float32)


def white_noise(rng: np.random.Generator, rows: int = SIDE, columns: int = SIDE) -> np.ndarray:
    """(rows, columns) float32 of white noise, mean 0 and spread 1."""
    return rng.standard_normal((rows, columns), dtype=np.float32)


def upsample(small: np.ndarray, side: int = SIDE) -> np.ndarray:
    """(side, side) float32: a small array drawn out smoothly."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(small, dtype=np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))


def fractal_noise(rng: np.random.Generator, cells: int, octaves: int) -> np.ndarray:
    """(SIDE, SIDE) of soft noise, mean 0 and spread near 0.6; its largest lumps are 1/cells of the photo."""
    total = np.zeros((SIDE, SIDE), np.float32)
    for k in range(octaves):
        total += 0.8 * 0.5**k * upsample(white_noise(rng, cells << k, cells << k))
    return total


def directional_noise(rng: np.random.Generator, across: int, along: int, angle: float) -> np.ndarray:
    """(SIDE, SIDE) of lines under `angle` radians: about `across` of them, each changing `along` times."""
    from PIL import Image

    wide = SIDE * 3 // 2  # a square of this side covers the photo under every angle
    tile = Image.fromarray(upsample(white_noise(rng, across, along), wide))
    c, s, half = cos(angle), sin(angle), SIDE / 2
    matrix = (c, s, wide / 2 - half * (c + s), -s, c, wide / 2 - half * (c - s))
    return np.asarray(tile.transform((SIDE, SIDE), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def random_metal(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, angle: float) -> Metal:
    """A random metal with a random finish. u, v: (SIDE, SIDE) coordinates on the part; angle: of the part, radians."""
    tint = np.array(list(TINTS.values())[rng.choice(len(TINTS), p=METAL_SHARES)], np.float32)
    tint *= rng.uniform(0.85, 1.15, 1).astype(np.float32) * rng.uniform(0.98, 1.02, 3).astype(np.float32)
    amount, turn = rng.uniform(0.5, 1.2), angle + rng.integers(2) * pi / 2 + rng.normal(0, 0.03)
    tone = 1 + 0.05 * fractal_noise(rng, 3, 3)
    match str(rng.choice(("brushed", "cast", "polished", "rolled", "turned", "blasted"))):
        case "brushed":
            strands = amount * (directional_noise(rng, 380, 5, turn) + 0.6 * directional_noise(rng, 150, 3, turn))
            return Metal(tint, tone + 0.05 * strands, 0.05 * strands, rng.uniform(0.35, 0.6))
        case "cast":
            bumps = fractal_noise(rng, 40, 2) + 0.5 * fractal_noise(rng, 12, 2)
            return Metal(0.85 * tint, tone + 0.04 * bumps, 0.16 * amount * bumps, rng.uniform(0, 0.2))
        case "polished":
            return Metal(1.05 * tint, tone, 0.5 * amount * fractal_noise(rng, 4, 2), rng.uniform(0.75, 1))
        case "rolled":
            bands = directional_noise(rng, 60, 2, turn) + 0.5 * directional_noise(rng, 300, 12, turn)
            return Metal(tint, tone + 0.06 * amount * bands, 0.02 * bands, rng.uniform(0.3, 0.6))
        case "turned":
            far = np.hypot(u - rng.normal(0, 12), v - rng.normal(0, 12))
            rings = amount * noise_curve(rng, far, 400, 534)
            return Metal(tint, tone + 0.03 * rings, 0.1 * rings, rng.uniform(0.35, 0.65))
        case _:
            speckle = white_noise(rng)
            return Metal(0.95 * tint, tone + 0.03 * speckle, 0.05 * amount * speckle, rng.uniform(0.05, 0.3))


def random_bench(rng: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE, 3) reflectance of what the part lies on: wood, rubber, paint, paper, card or steel."""
    angle = rng.uniform(0, pi)
    kinds = ("wood", "rubber", "paint", "paper", "card", "steel")
    match str(rng.choice(kinds, p=(0.15, 0.25, 0.2, 0.08, 0.1, 0.22))):
        case "wood":
            fibres = directional_noise(rng, 90, 3, angle) + 0.5 * directional_noise(rng, 300, 6, angle)
            shade, tone = (0.36, 0.27, 0.19), 1 + 0.13 * fibres + 0.08 * fractal_noise(rng, 3, 3)
        case "rubber":
            shade, tone = (0.07, 0.075, 0.08), 1 + 0.15 * white_noise(rng) + 0.15 * fractal_noise(rng, 5, 3)
        case "paint":
            shades = ((0.17, 0.21, 0.26), (0.19, 0.24, 0.21), (0.30, 0.31, 0.31), (0.36, 0.37, 0.36))
            worn = np.maximum(fractal_noise(rng, 6, 4) - 1, 0)
            shade, tone = shades[rng.integers(4)], 1 + 0.06 * fractal_noise(rng, 4, 3) + 0.4 * worn
        case "paper":
            shade, tone = (0.72, 0.71, 0.68), 1 + 0.02 * white_noise(rng) + 0.03 * fractal_noise(rng, 3, 3)
        case "card":
            flutes = directional_noise(rng, 48, 2, angle)
            shade, tone = (0.45, 0.33, 0.21), 1 + 0.05 * flutes + 0.05 * fractal_noise(rng, 20, 2)
        case _:
            strands = directional_noise(rng, 260, 4, angle)
            shade, tone = (0.26, 0.27, 0.28), 1 + 0.1 * strands + 0.1 * fractal_noise(rng, 4, 3)
    colour = np.array(shade, np.float32) * rng.uniform(0.8, 1.2, 1).astype(np.float32)
    return np.clip(tone, 0.2, 2)[..., None] * colour * rng.uniform(0.94, 1.06, 3).astype(np.float32)
