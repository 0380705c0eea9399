"""What things are made of: noise, the finishes of metal, and the benches that parts lie on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDE = 256


@dataclass(frozen=True, slots=True)
class Metal:
    """A finish, as it lies under the light.

    tint: (3,) reflectance, linear.  tone: (SIDE, SIDE) factor on it.  relief: (SIDE, SIDE) height in pixels
    gloss: 0 mirrors nothing sharply … 1 polished
    """

    tint: np.ndarray
    tone: np.ndarray
    relief: np.ndarray
    gloss: float


def stretched(small: np.ndarray, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """(height, width) float32: a small array drawn out smoothly."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(small, dtype=np.float32))
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def grain(rng: np.random.Generator, rows: int = SIDE, columns: int = SIDE) -> np.ndarray:
    """(rows, columns) float32 of white noise, mean 0 and spread 1."""
    return rng.standard_normal((rows, columns), dtype=np.float32)


def clouds(rng: np.random.Generator, cells: int, octaves: int = 3) -> np.ndarray:
    """(SIDE, SIDE) of soft noise, mean about 0 and spread about 0.7; `cells` are its largest lumps a side."""
    return sum(stretched(grain(rng, cells << k, cells << k)) * 0.5**k for k in range(octaves)) * 0.8


def turned(tile: np.ndarray, angle: float) -> np.ndarray:
    """The middle (SIDE, SIDE) of a larger square tile, turned by `angle` radians."""
    from PIL import Image

    c, s, middle, half = np.cos(angle), np.sin(angle), tile.shape[0] / 2, SIDE / 2
    matrix = (c, s, middle - half * (c + s), -s, c, middle - half * (c - s))
    picture = Image.fromarray(np.ascontiguousarray(tile, dtype=np.float32))
    size = (SIDE, SIDE)
    return np.asarray(picture.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def lines(rng: np.random.Generator, across: int, along: int, angle: float) -> np.ndarray:
    """(SIDE, SIDE) of streaks under `angle`: `across` of them over the tile, each changing `along` times."""
    wide = SIDE * 3 // 2
    return turned(stretched(grain(rng, across, along), wide, wide), angle)


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, soft between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


TINTS = (
    (0.56, 0.56, 0.58),  # steel
    (0.62, 0.62, 0.61),  # stainless
    (0.78, 0.78, 0.80),  # aluminium
    (0.34, 0.33, 0.33),  # cast iron
    (0.45, 0.46, 0.50),  # zinc
    (0.70, 0.60, 0.38),  # brass
    (0.62, 0.46, 0.36),  # bronze
)


def metal(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, angle: float) -> Metal:
    """A random metal with a random finish. u, v: (SIDE, SIDE) pixel coordinates on the part."""
    tint = np.array(TINTS[rng.choice(len(TINTS), p=(0.26, 0.2, 0.2, 0.12, 0.1, 0.07, 0.05))], np.float32)
    tint = tint * rng.uniform(0.85, 1.15) * rng.uniform(0.98, 1.02, 3).astype(np.float32)
    finish = rng.choice(("brushed", "cast", "polished", "rolled", "turned", "blasted"))
    amount = rng.uniform(0.5, 1.2)
    turn = angle + rng.choice((0, np.pi / 2)) + rng.normal(0, 0.03)
    tone = 1 + 0.05 * clouds(rng, 3)
    if finish == "brushed":
        strands = lines(rng, 380, 5, turn) + 0.6 * lines(rng, 150, 3, turn)
        return Metal(tint, tone + 0.05 * amount * strands, 0.05 * amount * strands, rng.uniform(0.35, 0.6))
    if finish == "cast":
        bumps = clouds(rng, 40, 2) + 0.5 * clouds(rng, 12, 2)
        return Metal(tint * 0.85, tone + 0.04 * bumps, 0.16 * amount * bumps, rng.uniform(0.0, 0.2))
    if finish == "polished":
        waves = clouds(rng, 4, 2)
        return Metal(tint * 1.05, tone, 0.5 * amount * waves, rng.uniform(0.75, 1.0))
    if finish == "rolled":
        bands = lines(rng, 60, 2, turn) + 0.5 * lines(rng, 300, 12, turn)
        return Metal(tint, tone + 0.06 * amount * bands, 0.02 * bands, rng.uniform(0.3, 0.6))
    if finish == "turned":
        far = np.hypot(u - rng.normal(0, 12), v - rng.normal(0, 12))
        rings = np.interp(far, np.arange(0, 400, 1.5), rng.standard_normal(267)).astype(np.float32)
        return Metal(tint, tone + 0.03 * amount * rings, 0.10 * amount * rings, rng.uniform(0.35, 0.65))
    speckle = grain(rng)
    return Metal(tint * 0.95, tone + 0.03 * speckle, 0.05 * amount * speckle, rng.uniform(0.05, 0.3))


def bench(rng: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE, 3) reflectance of what the part lies on: wood, rubber, paint, paper, card or a steel table."""
    kind = rng.choice(("wood", "rubber", "paint", "paper", "card", "steel"), p=(0.15, 0.25, 0.2, 0.08, 0.1, 0.22))
    angle = rng.uniform(0, np.pi)
    if kind == "wood":
        fibres = lines(rng, 90, 3, angle) + 0.5 * lines(rng, 300, 6, angle)
        return _coloured((0.36, 0.27, 0.19), 1 + 0.13 * fibres + 0.08 * clouds(rng, 3), rng)
    if kind == "rubber":
        return _coloured((0.07, 0.075, 0.08), 1 + 0.15 * grain(rng) + 0.15 * clouds(rng, 5), rng)
    if kind == "paint":
        shade = ((0.17, 0.21, 0.26), (0.19, 0.24, 0.21), (0.30, 0.31, 0.31), (0.36, 0.37, 0.36))[rng.integers(4)]
        worn = np.maximum(clouds(rng, 6, 4) - 1.0, 0)
        return _coloured(shade, 1 + 0.06 * clouds(rng, 4) + 0.4 * worn, rng)
    if kind == "paper":
        return _coloured((0.72, 0.71, 0.68), 1 + 0.02 * grain(rng) + 0.03 * clouds(rng, 3), rng)
    if kind == "card":
        flutes = lines(rng, 48, 2, angle)
        return _coloured((0.45, 0.33, 0.21), 1 + 0.05 * flutes + 0.05 * clouds(rng, 20, 2), rng)
    worn = lines(rng, 260, 4, angle)
    return _coloured((0.26, 0.27, 0.28), 1 + 0.10 * worn + 0.10 * clouds(rng, 4), rng)


def _coloured(shade: tuple[float, float, float], tone: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    colour = np.array(shade, np.float32) * rng.uniform(0.8, 1.2) * rng.uniform(0.94, 1.06, 3).astype(np.float32)
    return np.clip(tone, 0.2, 2)[..., None] * colour
