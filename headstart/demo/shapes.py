"""Metal parts as distances: how far each pixel is from the edge, and what stands out of or is cut into the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.demo.surfaces import SIDE, smoothstep


@dataclass(frozen=True, slots=True)
class Part:
    """One part, seen from above.

    edge:   (SIDE, SIDE) pixels to the outline, negative inside the metal
    relief: (SIDE, SIDE) height in pixels.  u, v: (SIDE, SIDE) coordinates on the part, in pixels.  angle: radians
    """

    edge: np.ndarray
    relief: np.ndarray
    u: np.ndarray
    v: np.ndarray
    angle: float


def grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of every pixel, from the middle of the photo."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) - (SIDE - 1) / 2
    return x, y


def local(x: float, y: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel's coordinates in a frame that stands at (x, y) and is turned by `angle` radians."""
    gx, gy = grid()
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    gx, gy = gx - np.float32(x), gy - np.float32(y)
    return c * gx + s * gy, c * gy - s * gx


def box(u: np.ndarray, v: np.ndarray, half_u: float, half_v: float, corner: float) -> np.ndarray:
    """Signed distance to a rectangle with round corners."""
    du, dv = np.abs(u) - (half_u - corner), np.abs(v) - (half_v - corner)
    return np.hypot(np.maximum(du, 0), np.maximum(dv, 0)) + np.minimum(np.maximum(du, dv), 0) - corner


def part(rng: np.random.Generator) -> Part:
    """A random part in a random place, metal over most of the photo."""
    while True:
        piece = _part(rng)
        if np.mean(piece.edge < 0) > 0.7:
            return piece


def _part(rng: np.random.Generator) -> Part:
    angle = rng.uniform(-np.pi, np.pi)
    zoom = np.float32(rng.uniform(1.35, 2.3))
    u, v = (axis / zoom for axis in local(*rng.normal(0, 45, 2), angle))
    outline = rng.choice((_plate, _disc, _bracket, _gear, _pipe, _link, _sheet, _nut))
    edge, relief, spots = outline(rng, u, v)
    holes = rng.uniform(4, 7)
    bolted = rng.random() < 0.3
    for a, b in spots:
        if bolted and rng.random() < 0.8:
            relief = relief + _bolt(rng, u - a, v - b, holes)
        else:
            edge = np.maximum(edge, holes - np.hypot(u - a, v - b))
    bevel = rng.uniform(1.5, 4)
    rise = smoothstep(0, 1, -edge / bevel) * bevel * rng.uniform(0.5, 1)
    return Part(edge * zoom, (relief + rise + _marks(rng, u, v)) * zoom, u, v, angle)


def _plate(rng: np.random.Generator, u: np.ndarray, v: np.ndarray):
    a, b = rng.uniform(85, 125), rng.uniform(70, 105)
    edge = box(u, v, a, b, rng.uniform(2, 22))
    inset = rng.uniform(15, 20)
    spots = [(i * (a - inset), j * (b - inset)) for i in (-1, 1) for j in (-1, 1)]
    return edge, np.float32(0), spots if rng.random() < 0.7 else []


def _disc(rng: np.random.Generator, u: np.ndarray, v: np.ndarray):
    far, radius = np.hypot(u, v), rng.uniform(88, 122)
    bore = rng.uniform(8, 0.2 * radius)
    edge = np.maximum(far - radius, bore - far)
    hub = rng.uniform(1, 3) * smoothstep(-2, 2, bore + rng.uniform(6, 12) - far) * (rng.random() < 0.5)
    n, ring = rng.integers(3, 9), radius - rng.uniform(14, 20)
    turn = rng.uniform(0, np.pi) + 2 * np.pi * np.arange(n) / n
    return edge, hub, list(zip(ring * np.cos(turn), ring * np.sin(turn), strict=True)) if rng.random() < 0.75 else []


def _bracket(rng: np.random.Generator, u: np.ndarray, v: np.ndarray):
    a, width = rng.uniform(95, 120), rng.uniform(80, 105)
    corner = rng.uniform(3, 10)
    foot = box(u, v - (a - width / 2), a, width / 2, corner)
    leg = box(u + (a - width / 2), v, width / 2, a, corner)
    spots = [(a - 18, a - width / 2), (-a + width / 2, -a + 18)]
    fold = rng.uniform(1, 3) * smoothstep(-3, 3, v - (a - width)) * (rng.random() < 0.5)
    return np.minimum(foot, leg), fold, spots


def _gear(rng: np.random.Generator, u: np.ndarray, v: np.ndarray):
    far, around = np.hypot(u, v), np.arctan2(v, u)
    radius, n = rng.uniform(95, 118), rng.integers(12, 30)
    teeth = np.tanh(3 * np.sin(n * around)) * min(0.06 * radius, 95 / n)
    bore = rng.uniform(0.1, 0.2) * radius
    rim = rng.uniform(0.72, 0.8) * radius
    web = -rng.uniform(1, 3) * smoothstep(-2, 2, rim - far) * smoothstep(-2, 2, far - bore - 9) * (rng.random() < 0.5)
    return np.maximum(far - radius - teeth, bore - far), web, []


def _pipe(rng: np.random.Generator, u: np.ndarray, v: np.ndarray):
    radius, half = rng.uniform(58, 88), rng.uniform(100, 190)
    wall = np.sqrt(np.maximum(radius**2 - v**2, 1))
    collar = 3 * smoothstep(-1, 1, np.abs(u) - (half - rng.uniform(14, 26))) * (rng.random() < 0.6)
    return box(u, v, half, radius, 2), wall * rng.uniform(0.3, 0.6) + collar, []


def _link(rng: np.random.Generator, u: np.ndarray, v: np.ndarray):
    reach, big, small = rng.uniform(75, 100), rng.uniform(58, 72), rng.uniform(48, 60)
    waist = box(u, v, reach, rng.uniform(38, 48), 1)
    ends = np.minimum(np.hypot(u + reach - 15, v) - big, np.hypot(u - reach, v) - small)
    bores = np.maximum(big * 0.3 - np.hypot(u + reach - 15, v), small * 0.3 - np.hypot(u - reach, v))
    return np.maximum(np.minimum(waist, ends), bores), np.float32(0), []


def _sheet(rng: np.random.Generator, u: np.ndarray, v: np.ndarray):
    edge = np.maximum(v - rng.uniform(60, 180), u - rng.uniform(80, 220))
    row = rng.uniform(35, 60)
    spots = [(k * row, rng.uniform(40, 90)) for k in (-2, -1, 0, 1, 2)] if rng.random() < 0.3 else []
    return edge, np.float32(0), [(a, spots[0][1]) for a, _ in spots]


def _nut(rng: np.random.Generator, u: np.ndarray, v: np.ndarray):
    far, size = np.hypot(u, v), rng.uniform(80, 105)
    sides = np.maximum(np.abs(v), np.abs(v) / 2 + np.abs(u) * np.float32(3**0.5 / 2)) - size
    bore = rng.uniform(0.12, 0.24) * size
    chamfer = -0.25 * np.maximum(far - size, 0)
    return np.maximum(sides, bore - far), chamfer, []


def _bolt(rng: np.random.Generator, u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    turn = rng.uniform(0, np.pi)
    a, b = np.cos(turn) * u + np.sin(turn) * v, np.cos(turn) * v - np.sin(turn) * u
    hexagon = np.maximum(np.abs(b), np.abs(b) / 2 + np.abs(a) * 0.866) - radius
    washer = np.hypot(u, v) - radius * 1.5
    return 2.5 * smoothstep(-1, 1, -hexagon) + 1.2 * smoothstep(-1, 1, -washer)


def _marks(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """What was cut in on purpose: ruled lines along the part, a stamped number, or nothing."""
    kind, depth = rng.random(), rng.uniform(0.5, 1.1)
    if kind < 0.08:
        first, step, n = rng.uniform(-70, 40), rng.uniform(8, 16), rng.integers(2, 5)
        along, across = (u, v) if rng.random() < 0.5 else (v, u)
        away = np.min([np.abs(across - first - step * k) for k in range(n)], axis=0)
        return -depth * smoothstep(-0.7, 0.7, 1.3 - away) * (np.abs(along) < rng.uniform(40, 200))
    if kind < 0.22:
        return -depth * _stamped(rng, u - rng.uniform(-60, 10), v - rng.uniform(-60, 40))
    return np.zeros_like(u)


def _stamped(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A serial number in the part's own direction, 1 where the stamp went in."""
    from PIL import Image, ImageDraw, ImageFont

    words = f"{''.join(rng.choice(list('ABCEHKMNPRT'), 2))}-{rng.integers(100, 9999)}"
    plate = Image.new("L", (110, 28))
    ImageDraw.Draw(plate).text((4, 4), words, fill=255, font=ImageFont.load_default(rng.integers(13, 19)))
    ink = np.pad(np.asarray(plate, np.float32) / 255, 1)
    row, column = np.clip(v + 15, 0, 29).astype(int), np.clip(u + 55, 0, 111).astype(int)
    return ink[row, column]
