"""Metal parts as distances: how far each pixel is from the outline, and what stands out of the face."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from headstart.data.demo.surfaces import local_coordinates, smoothstep

# An outline: (SIDE, SIDE) distances to the edge, negative in the metal; the height of the face; where holes may be.
Outline = tuple[np.ndarray, np.ndarray | float, list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class Part:
    """One part, seen from above.

    edge:   (SIDE, SIDE) pixels to the outline, negative inside the metal
    relief: (SIDE, SIDE) height in pixels.  u, v: (SIDE, SIDE) coordinates on the part.  angle: radians
    """

    edge: np.ndarray
    relief: np.ndarray
    u: np.ndarray
    v: np.ndarray
    angle: float


def random_part(rng: np.random.Generator) -> Part:
    """A random part in a random place, metal over most of the photo."""
    while True:
        piece = _random_placement(rng)
        if np.mean(piece.edge < 0) > 0.7:
            return piece


def _random_placement(rng: np.random.Generator) -> Part:
    angle, zoom = rng.uniform(-pi, pi), rng.uniform(1.35, 2.3)
    u, v = (axis / zoom for axis in local_coordinates(rng.normal(0, 45), rng.normal(0, 45), angle))
    outlines = (_plate, _disc, _bracket, _gear, _pipe, _link, _sheet, _nut)
    edge, relief, spots = outlines[rng.integers(len(outlines))](rng, u, v)
    size, bolted = rng.uniform(4, 7), rng.random() < 0.3
    for a, b in spots:
        if bolted and rng.random() < 0.8:
            relief = relief + _bolt(rng, u - a, v - b, 1.3 * size)
        else:
            edge = np.maximum(edge, size - np.hypot(u - a, v - b))
    bevel = rng.uniform(1.5, 4)
    rise = bevel * rng.uniform(0.5, 1) * smoothstep(0, bevel, -edge)
    return Part(edge * zoom, (relief + rise + _engraving(rng, u, v, zoom)) * zoom, u, v, angle)


def _box(u: np.ndarray, v: np.ndarray, half_u: float, half_v: float, corner: float) -> np.ndarray:
    du, dv = np.abs(u) - (half_u - corner), np.abs(v) - (half_v - corner)
    return np.hypot(np.maximum(du, 0), np.maximum(dv, 0)) + np.minimum(np.maximum(du, dv), 0) - corner


def _hexagon(u: np.ndarray, v: np.ndarray, size: float) -> np.ndarray:
    return np.maximum(np.abs(v), 0.5 * np.abs(v) + 0.75**0.5 * np.abs(u)) - size


def _plate(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Outline:
    a, b, inset = rng.uniform(85, 125), rng.uniform(70, 105), rng.uniform(15, 20)
    spots = [(i * (a - inset), j * (b - inset)) for i in (-1, 1) for j in (-1, 1)]
    return _box(u, v, a, b, rng.uniform(2, 22)), 0.0, spots if rng.random() < 0.7 else []


def _disc(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Outline:
    far, radius = np.hypot(u, v), rng.uniform(88, 122)
    bore = rng.uniform(8, 0.2 * radius)
    hub = rng.uniform(1, 3) * (rng.random() < 0.5) * smoothstep(2, -2, far - bore - rng.uniform(6, 12))
    n, ring, turn = int(rng.integers(3, 9)), radius - rng.uniform(14, 20), rng.uniform(0, pi)
    spots = [(ring * cos(turn + 2 * pi * k / n), ring * sin(turn + 2 * pi * k / n)) for k in range(n)]
    return np.maximum(far - radius, bore - far), hub, spots if rng.random() < 0.75 else []


def _bracket(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Outline:
    a, width, corner = rng.uniform(95, 120), rng.uniform(80, 105), rng.uniform(3, 10)
    foot = _box(u, v - (a - width / 2), a, width / 2, corner)
    leg = _box(u + (a - width / 2), v, width / 2, a, corner)
    fold = rng.uniform(1, 3) * (rng.random() < 0.5) * smoothstep(-3, 3, v - (a - width))
    return np.minimum(foot, leg), fold, [(a - 18, a - width / 2), (width / 2 - a, 18 - a)]


def _gear(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Outline:
    far, around = np.hypot(u, v), np.arctan2(v, u)
    radius, n = rng.uniform(95, 118), int(rng.integers(12, 30))
    bore, rim = rng.uniform(0.1, 0.2) * radius, rng.uniform(0.72, 0.8) * radius
    teeth = np.tanh(3 * np.sin(n * around)) * min(0.06 * radius, 95 / n)
    sunk = rng.uniform(1, 3) * (rng.random() < 0.5)
    web = -sunk * smoothstep(2, -2, far - rim) * smoothstep(-2, 2, far - bore - 9)
    return np.maximum(far - radius - teeth, bore - far), web, []


def _pipe(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Outline:
    radius, half = rng.uniform(58, 88), rng.uniform(100, 190)
    wall = rng.uniform(0.3, 0.6) * np.sqrt(np.maximum(radius**2 - v**2, 1))
    collar = 3.0 * (rng.random() < 0.6) * smoothstep(-1, 1, np.abs(u) - half + rng.uniform(14, 26))
    return _box(u, v, half, radius, 2), wall + collar, []


def _link(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Outline:
    reach, big, small = rng.uniform(75, 100), rng.uniform(58, 72), rng.uniform(48, 60)
    left, right = np.hypot(u + reach - 15, v), np.hypot(u - reach, v)
    body = np.minimum(np.minimum(left - big, right - small), _box(u, v, reach, rng.uniform(38, 48), 1))
    return np.maximum(body, np.maximum(0.3 * big - left, 0.3 * small - right)), 0.0, []


def _sheet(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Outline:
    edge = np.maximum(v - rng.uniform(60, 180), u - rng.uniform(80, 220))
    gap, row = rng.uniform(35, 60), rng.uniform(40, 90)
    return edge, 0.0, [(k * gap, row) for k in (-2, -1, 0, 1, 2)] if rng.random() < 0.3 else []


def _nut(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> Outline:
    far, size = np.hypot(u, v), rng.uniform(80, 105)
    bore = rng.uniform(0.12, 0.24) * size - far
    return np.maximum(_hexagon(u, v, size), bore), -0.25 * np.maximum(far - size, 0), []


def _bolt(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, size: float) -> np.ndarray:
    turn = rng.uniform(0, pi)
    head = _hexagon(cos(turn) * u + sin(turn) * v, cos(turn) * v - sin(turn) * u, size)
    return 2.5 * smoothstep(1, -1, head) + 1.2 * smoothstep(1, -1, np.hypot(u, v) - 1.5 * size)


def _engraving(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, zoom: float) -> np.ndarray | float:
    """What was cut in on purpose: ruled lines along the part, a stamped number, or nothing."""
    kind, depth = rng.random(), rng.uniform(0.5, 1.1)
    if kind < 0.08:
        along, across = (u, v) if rng.random() < 0.5 else (v, u)
        first, step, n = rng.uniform(-70, 40), rng.uniform(8, 16), int(rng.integers(2, 5))
        away = np.abs(across - first - step * np.clip(np.rint((across - first) / step), 0, n - 1))
        return -depth * smoothstep(2, 0.6, away) * smoothstep(1, -1, np.abs(along) - rng.uniform(40, 200))
    if kind < 0.22:
        return -depth * _stamped_number(rng, u - rng.uniform(-60, 10), v - rng.uniform(-50, 40), zoom)
    return 0.0


def _stamped_number(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, zoom: float) -> np.ndarray:
    """A serial number in the part's own direction, 1 where the stamp went in. zoom: photo pixels in a unit of u."""
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    words = f"{''.join(rng.choice(list('ABCEHKMNPRT'), 2))}-{rng.integers(100, 9999)}"
    plate = Image.new("L", (330, 90))
    ImageDraw.Draw(plate).text((12, 12), words, fill=255, font=ImageFont.load_default(int(rng.integers(36, 54))))
    ink = np.asarray(plate.filter(ImageFilter.GaussianBlur(3 / zoom)), np.float32) / 255
    row, column = np.clip(3 * v, 0, 89).astype(np.intp), np.clip(3 * u, 0, 329).astype(np.intp)
    return ink[row, column]
