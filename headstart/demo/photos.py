"""Photos of metal parts with a defect, rendered: data for the demo that nobody had to collect."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from headstart.demo.defects import Damage, dent, scratch, stain
from headstart.demo.shapes import Part, grid, part
from headstart.demo.surfaces import SIDE, Metal, bench, clouds, grain, metal, smoothstep, stretched, turned
from headstart.errors import SourceError

DEFECTS = {"scratch": scratch, "dent": dent, "stain": stain}
SHARES = (0.35, 0.34, 0.31)


def photos(into: Path, n: int = 800, seed: int = 0, workers: int | None = None) -> Path:
    """`into`, now holding n photos in scratch/, dent/ and stain/.

    Photo i depends on (seed, i) alone, so neither n nor the number of workers changes it.
    workers: threads; None means one a core
    Raises SourceError if the three folders hold files that would be mistaken for photos of this call.
    """
    names = [f"{_kind(np.random.default_rng([seed, i]))}/part_{i:04d}.jpg" for i in range(n)]
    _refuse_strangers(into, set(names))
    for kind in DEFECTS:
        (into / kind).mkdir(parents=True, exist_ok=True)

    def write(i: int) -> None:
        into.joinpath(names[i]).write_bytes(photo(seed, i)[1])

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        list(pool.map(write, range(n)))
    return into


def _refuse_strangers(into: Path, names: set[str]) -> None:
    found = {f"{kind}/{file.name}" for kind in DEFECTS for file in into.glob(f"{kind}/*")}
    if strange := sorted(found - names):
        raise SourceError(
            f"{into} already holds {strange[0]}, which is not one of the {len(names)} photos to be rendered "
            f"({len(strange)} such files). Name an empty folder, or remove this one first."
        )


def photo(seed: int, i: int) -> tuple[str, bytes]:
    """The defect and the JPEG bytes of photo i."""
    rng = np.random.default_rng([seed, i])
    kind = _kind(rng)
    piece = part(rng)
    face = metal(rng, piece.u, piece.v, piece.angle)
    light = _rendered(rng, piece, face, DEFECTS[kind](rng, piece))
    return kind, _exposed(rng, light)


def _kind(rng: np.random.Generator) -> str:
    return str(rng.choice(list(DEFECTS), p=SHARES))


def _rendered(rng: np.random.Generator, piece: Part, face: Metal, damage: Damage) -> np.ndarray:
    """(SIDE, SIDE, 3) of linear light: the part on its bench under one lamp in a room."""
    x, y = grid()
    azimuth, height = rng.uniform(-np.pi, np.pi), rng.uniform(0.55, 1.1)
    lamp = np.array((np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)))
    near = rng.uniform(0.1, 0.5) / SIDE
    lx, ly, lz = lamp[0] - near * x, lamp[1] - near * y, lamp[2]
    length = np.sqrt(lx * lx + ly * ly + lz * lz)

    relief = piece.relief + face.relief + damage.relief
    sy, sx = np.gradient(relief.astype(np.float32))
    steep = np.sqrt(1 + sx * sx + sy * sy)
    facing = np.maximum((-sx * lx - sy * ly + lz) / (steep * length), 0)
    mirrored = _room(rng, lamp, face.gloss, -sx / steep**2 - x / SIDE * 0.5, -sy / steep**2 - y / SIDE * 0.5)

    film = np.asarray(damage.film, np.float32)
    fill, mirror = rng.uniform(0.2, 0.4), 0.45 + 0.35 * face.gloss
    dull = (1 - mirror) * (fill + facing)
    tone = np.clip(face.tone * _handled(rng) * damage.tone, 0.05, 2)
    bare = (tone * (dull + mirror * mirrored))[..., None] * face.tint
    layer = damage.colour * (0.85 * (fill + facing) + 0.15 * mirrored)[..., None]
    metal_light = bare + film[..., None] * (layer - bare) if film.ndim else bare

    cover = np.clip(0.5 - piece.edge, 0, 1)
    reach = rng.uniform(4, 14) / np.tan(height)
    shadow = _shadow(cover, -np.cos(azimuth) * reach, -np.sin(azimuth) * reach)
    table = bench(rng) * ((1 - 0.75 * shadow) * (fill + lz / length) )[..., None]
    return table + cover[..., None] * (metal_light - table)


def _room(rng: np.random.Generator, lamp: np.ndarray, gloss: float, rx: np.ndarray, ry: np.ndarray) -> np.ndarray:
    """What the metal mirrors in the directions (rx, ry): walls, a window and the lamp, blurred on a dull finish."""
    cells = 48
    a, b = np.meshgrid(np.linspace(-1, 1, cells), np.linspace(-1, 1, cells))
    walls = 0.4 + 0.3 * stretched(grain(rng, 4, 4), cells, cells)
    turn, px, py = rng.uniform(0, np.pi), rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6)
    u, v = np.cos(turn) * (a - px) + np.sin(turn) * (b - py), np.cos(turn) * (b - py) - np.sin(turn) * (a - px)
    window = rng.uniform(0.2, 0.9) * (np.abs(u) < rng.uniform(0.1, 0.25)) * (np.abs(v) < rng.uniform(0.2, 0.7))
    spread = 0.10 + 0.3 * (1 - gloss)
    glow = 1.0 * np.exp(-((a - lamp[0] / 2) ** 2 + (b - lamp[1] / 2) ** 2) / spread**2)
    coarse = int(5 + 30 * gloss)
    seen = stretched(stretched(np.maximum(walls, 0.05) + window + glow, coarse, coarse), 512, 512)
    column = np.clip((rx + 1) * 255.5, 0, 511).astype(np.intp)
    return np.maximum(seen, 0.02)[np.clip((ry + 1) * 255.5, 0, 511).astype(np.intp), column]


def _shadow(cover: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """What the part keeps from the lamp, (SIDE, SIDE), soft at its border."""
    from PIL import Image, ImageFilter

    mask = Image.fromarray((cover * 255).astype(np.uint8))
    moved = mask.transform(mask.size, Image.Transform.AFFINE, (1, 0, -dx, 0, 1, -dy), Image.Resampling.BILINEAR)
    near = np.asarray(moved.filter(ImageFilter.GaussianBlur(3)), np.float32)
    wide = np.asarray(mask.filter(ImageFilter.GaussianBlur(9)), np.float32)
    return np.clip((0.8 * near + 0.3 * wide) / 255, 0, 1)


def _handled(rng: np.random.Generator) -> np.ndarray:
    """Traces of ordinary handling, a factor near 1: dust, and now and then the ridges of a finger."""
    tone = 1 - 0.25 * (grain(rng) > 3.6)
    if rng.random() < 0.25:
        x, y = grid()
        a, b = x - rng.uniform(-70, 70), y - rng.uniform(-70, 70)
        ridges = np.sin(np.hypot(a + 20, 1.4 * b) * 1.3 + 2 * clouds(rng, 4, 1))
        tone = tone * (1 + 0.035 * (1 + ridges) * smoothstep(1, 0.5, np.hypot(a / 16, b / 22)))
    return tone


def _exposed(rng: np.random.Generator, light: np.ndarray) -> bytes:
    """The JPEG of a camera that meters, tints, darkens towards its corners, blurs and adds noise."""
    from PIL import Image, ImageFilter

    x, y = grid()
    warm = rng.normal(0, 0.10)
    tint = np.array((1 + warm, 1 + rng.normal(0, 0.025), 1 - warm), np.float32)
    corner = 1 - rng.uniform(0, 0.45) * ((x - rng.normal(0, 20)) ** 2 + (y - rng.normal(0, 20)) ** 2) / SIDE**2
    level = rng.uniform(0.16, 0.36) / light.mean()
    seen = light * (level * corner)[..., None] * tint
    seen = np.maximum(seen, 0)
    seen = 1.25 * seen * (1 + seen / 3) / (0.55 + seen) * smoothstep(-0.25, 0.3, seen)
    coded = np.clip(seen, 0, 1) ** (1 / 2.2) * 255
    sharp = Image.fromarray(coded.astype(np.uint8)).filter(ImageFilter.GaussianBlur(rng.uniform(0.35, 0.9)))
    noise = rng.uniform(1, 4) * grain(rng)[..., None] + rng.uniform(0.5, 1.5) * rng.standard_normal((SIDE, SIDE, 3), np.float32)
    final = np.clip(np.asarray(sharp, np.float32) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(final).save(file, "JPEG", quality=int(rng.integers(86, 91)))
    return file.getvalue()
