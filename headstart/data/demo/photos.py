"""Photos of metal parts with a defect, rendered: data for the demo that nobody had to collect."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from math import cos, pi, sin, tan
from pathlib import Path

import numpy as np

from headstart.core.errors import SourceError
from headstart.core.files import write_atomic
from headstart.data.demo import surfaces
from headstart.data.demo.defects import Damage, dent, scratch, stain
from headstart.data.demo.shapes import Part, random_part
from headstart.data.demo.surfaces import SIDE, Metal

DEFECTS = {"scratch": scratch, "dent": dent, "stain": stain}
SHARES = (0.35, 0.34, 0.31)


def write_photos(into: Path, n: int = 800, seed: int = 0, workers: int | None = None) -> Path:
    """`into`, now holding n photos in scratch/, dent/ and stain/.

    Photo i depends on (seed, i) alone: neither n nor `workers` (threads; None leaves it to Python) changes a byte.
    Those that are there already stay as they are.
    Raises SourceError if `into` holds anything else, which would be taken for photos of the demo.
    """
    names = [f"{_draw_defect(np.random.default_rng([seed, i]))}/part_{i:04d}.jpg" for i in range(n)]
    _refuse_strangers(into, set(names))
    for kind in DEFECTS:
        (into / kind).mkdir(parents=True, exist_ok=True)

    def write(i: int) -> None:
        if not (into / names[i]).exists():  # it is there whole or not at all, so a second demo renders nothing
            write_atomic(into / names[i], render_photo(seed, i))

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(write, range(n)))  # raises what a thread raised
    return into


def render_photo(seed: int, i: int) -> bytes:
    """Photo i as JPEG."""
    rng = np.random.default_rng([seed, i])
    make_damage = DEFECTS[_draw_defect(rng)]
    piece = random_part(rng)
    face = surfaces.random_metal(rng, piece.u, piece.v, piece.angle)
    return _expose(rng, _shade(rng, piece, face, make_damage(rng, piece)))


def _draw_defect(rng: np.random.Generator) -> str:
    # Drawn before all else, so that names are known before the first photo is rendered.
    return list(DEFECTS)[rng.choice(len(DEFECTS), p=SHARES)]


def _refuse_strangers(into: Path, names: set[str]) -> None:
    paths = [*into.glob("*"), *(file for kind in DEFECTS for file in into.glob(f"{kind}/*"))]
    visible = sorted(path.relative_to(into).as_posix() for path in paths if not path.name.startswith("."))
    if strange := [name for name in visible if name not in names | set(DEFECTS)]:
        raise SourceError(
            f"{into} holds {strange[0]}, which is not one of the {len(names)} photos to be rendered "
            f"({len(strange)} such in all). Name another folder, or remove this one first."
        )


def _shade(rng: np.random.Generator, piece: Part, face: Metal, damage: Damage) -> np.ndarray:
    """(SIDE, SIDE, 3) of linear light: the part on its bench, under one lamp, in a room that it mirrors."""
    x, y = surfaces.pixel_grid()
    azimuth, height = rng.uniform(-pi, pi), rng.uniform(0.55, 1.1)
    lamp = cos(azimuth) * cos(height), sin(azimuth) * cos(height), sin(height)
    near = rng.uniform(0.1, 0.5) / SIDE
    lx, ly, lz = lamp[0] - near * x, lamp[1] - near * y, lamp[2]
    far = np.sqrt(lx * lx + ly * ly + lz * lz)

    sy, sx = np.gradient(piece.relief + face.relief + damage.relief)
    steep = 1 + sx * sx + sy * sy
    fill = rng.uniform(0.2, 0.4)
    diffuse = fill + np.maximum(lz - sx * lx - sy * ly, 0) / (np.sqrt(steep) * far)
    reflection = _reflection(rng, lamp, face.gloss, -sx / steep - 0.5 / SIDE * x, -sy / steep - 0.5 / SIDE * y)

    shiny = 0.45 + 0.35 * face.gloss
    tone = np.clip(face.tone * _handling_marks(rng) * damage.tone, 0.05, 2)
    surface = (tone * ((1 - shiny) * diffuse + shiny * reflection))[..., None] * face.tint
    if damage.film is not None:
        layer = (0.85 * diffuse + 0.15 * reflection)[..., None] * damage.colour
        surface += damage.film[..., None] * (layer - surface)

    cover = np.clip(0.5 - piece.edge, 0, 1)
    reach = rng.uniform(4, 14) / tan(height)
    shadow = _shadow(cover, -cos(azimuth) * reach, -sin(azimuth) * reach)
    table = ((1 - 0.75 * shadow) * (fill + lz / far))[..., None] * surfaces.random_bench(rng)
    return table + cover[..., None] * (surface - table)


def _reflection(
    rng: np.random.Generator, lamp: tuple[float, float, float], gloss: float, rx: np.ndarray, ry: np.ndarray
) -> np.ndarray:
    """What a face mirrors in the directions (rx, ry): walls, a window and the lamp, blurred where it is dull."""
    a, b = np.meshgrid(np.linspace(-1, 1, 48, dtype=np.float32), np.linspace(-1, 1, 48, dtype=np.float32))
    walls = np.maximum(0.4 + 0.3 * surfaces.upsample(surfaces.white_noise(rng, 4, 4), 48), 0.05)
    turn, px, py = rng.uniform(0, pi), rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6)
    u, v = cos(turn) * (a - px) + sin(turn) * (b - py), cos(turn) * (b - py) - sin(turn) * (a - px)
    window = rng.uniform(0.2, 0.9) * (np.abs(u) < rng.uniform(0.1, 0.25)) * (np.abs(v) < rng.uniform(0.2, 0.7))
    glow = np.exp(-((a - lamp[0] / 2) ** 2 + (b - lamp[1] / 2) ** 2) / (0.4 - 0.3 * gloss) ** 2)
    room = np.maximum(surfaces.upsample(surfaces.upsample(walls + window + glow, int(5 + 30 * gloss)), 512), 0.02)
    row, column = (np.clip(255.5 * (r + 1), 0, 511).astype(np.intp) for r in (ry, rx))
    return room[row, column]


def _shadow(cover: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """(SIDE, SIDE) how much of the lamp the part keeps from the bench, soft at its border."""
    from PIL import Image, ImageFilter

    mask = Image.fromarray((cover * 255).astype(np.uint8))
    moved = mask.transform(mask.size, Image.Transform.AFFINE, (1, 0, -dx, 0, 1, -dy), Image.Resampling.BILINEAR)
    cast = np.asarray(moved.filter(ImageFilter.GaussianBlur(3)), np.float32)
    contact = np.asarray(mask.filter(ImageFilter.GaussianBlur(9)), np.float32)
    return np.minimum((0.8 * cast + 0.3 * contact) / 255, 1)


def _handling_marks(rng: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE) factor near 1, the traces of ordinary handling: dust, and now and then the ridges of a finger."""
    tone = np.where(surfaces.white_noise(rng) > 3.6, np.float32(0.75), np.float32(1))
    if rng.random() < 0.25:
        a, b = surfaces.local_coordinates(rng.uniform(-70, 70), rng.uniform(-70, 70), rng.uniform(-pi, pi))
        ridges = 1 + np.sin(1.3 * np.hypot(a + 20, 1.4 * b) + 2 * surfaces.fractal_noise(rng, 4, 1))
        tone *= 1 + 0.035 * ridges * surfaces.smoothstep(1, 0.5, np.hypot(a / 16, b / 22))
    return tone


def _expose(rng: np.random.Generator, light: np.ndarray) -> bytes:
    """The JPEG of a camera that meters, has its own white, darkens its corners, blurs and adds noise.

    Brightness and tint are drawn here, after the defect: they tell nothing about it.
    """
    from PIL import Image, ImageFilter

    a, b = surfaces.local_coordinates(rng.normal(0, 20), rng.normal(0, 20), 0)
    corners = 1 - rng.uniform(0, 0.45) * (a * a + b * b) / SIDE**2
    warm, green = rng.normal(0, 0.08), rng.normal(0, 0.025)
    white = np.array((1 + warm, 1 + green, 1 - warm), np.float32)
    exposure = np.maximum(light * (rng.uniform(0.12, 0.32) / float(light.mean()) * corners)[..., None] * white, 0)
    response = 1.25 * exposure * (1 + exposure / 3) / (0.55 + exposure) * surfaces.smoothstep(-0.25, 0.3, exposure)
    coded = (255 * np.clip(response, 0, 1) ** np.float32(1 / 2.2)).astype(np.uint8)
    sharp = Image.fromarray(coded).filter(ImageFilter.GaussianBlur(rng.uniform(0.35, 0.9)))
    noise = rng.uniform(1, 4) * surfaces.white_noise(rng)[..., None]
    noise = noise + rng.uniform(0.5, 1.5) * rng.standard_normal((SIDE, SIDE, 3), dtype=np.float32)
    final = Image.fromarray(np.clip(np.asarray(sharp) + noise, 0, 255).astype(np.uint8))
    file = BytesIO()
    final.save(file, "JPEG", quality=int(rng.integers(86, 91)))
    return file.getvalue()
