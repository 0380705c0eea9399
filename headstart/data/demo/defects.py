"""The three defects: what a scratch, a dent and a stain change, and what they leave alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np

from headstart.data.demo.shapes import Part
from headstart.data.demo.surfaces import SIDE, fractal_noise, local_coordinates, noise_curve, smoothstep

RUST = (0.24, 0.105, 0.045)
OIL = (0.085, 0.07, 0.05)
SCALE = (0.72, 0.71, 0.66)
# Colours of steel that was hot, from the rim to the middle: straw, brown, purple, blue.
HEAT = ((0.50, 0.41, 0.26), (0.34, 0.20, 0.16), (0.22, 0.16, 0.26), (0.17, 0.21, 0.32))


@dataclass(frozen=True, slots=True)
class Damage:
    """What a defect does to a face; as it stands here, nothing.

    relief: (SIDE, SIDE) height to add, in pixels.  tone: (SIDE, SIDE) factor on the reflectance
    film:   (SIDE, SIDE) how much of the face a layer hides, 0 … 1.  colour: (SIDE, SIDE, 3) reflectance of that layer
    """

    relief: np.ndarray | float = 0.0
    tone: np.ndarray | float = 1.0
    film: np.ndarray | None = None
    colour: np.ndarray | float = 0.0


def _random_position(rng: np.random.Generator, part: Part, depth: float) -> tuple[float, float]:
    """Where a defect sits, from the middle of the photo: `depth` pixels inside the metal, if it is that wide."""
    edge = np.full_like(part.edge, np.inf)
    edge[32:-32, 32:-32] = part.edge[32:-32, 32:-32]
    room = np.flatnonzero(edge <= max(-depth, 0.6 * edge.min()))
    y, x = divmod(int(rng.choice(room)), SIDE)
    return x - SIDE / 2, y - SIDE / 2


def scratch(rng: np.random.Generator, part: Part) -> Damage:
    """One to four long thin grooves with a lit and a shadowed bank; their ground is brighter or darker."""
    x, y = _random_position(rng, part, 22)
    angle, ground = rng.uniform(0, pi), 0.45 if rng.random() < 0.6 else -0.5
    relief, tone = np.zeros((SIDE, SIDE), np.float32), np.ones((SIDE, SIDE), np.float32)
    for k in range(rng.choice(4, p=(0.3, 0.3, 0.25, 0.15)) + 1):
        aside = (0, 0, 0) if k == 0 else rng.normal(0, (14, 14, 0.15))
        along, across = local_coordinates(x + aside[0], y + aside[1], angle + aside[2])
        half, width, bend = rng.uniform(80, 140), rng.uniform(1.1, 2.0), rng.normal(0, 12)
        along = along / half
        away = np.abs(across - bend * (1 - along**2) - 1.2 * noise_curve(rng, along, 1.3, 9)) / width
        pressed = rng.uniform(0.7, 1.5) * (1 if k == 0 else 0.7) * smoothstep(1, 0.75, np.abs(along))
        pressed = pressed * np.clip(0.85 + 0.15 * noise_curve(rng, along, 1, 12), 0.4, 1.2)
        groove, banks = np.exp(-(away**2)), np.exp(-((away - 2) ** 2))
        relief += pressed * width * (0.3 * banks - 1.1 * groove)
        tone *= 1 + ground * pressed * groove
    return Damage(relief=relief, tone=np.clip(tone, 0.2, 1.6))


def dent(rng: np.random.Generator, part: Part) -> Damage:
    """A smooth hollow: bright on one side and dark on the other, as the light falls; its colour is the face's."""
    radius, oval, steep = rng.uniform(34, 72), rng.uniform(1, 1.35), rng.uniform(0.45, 1)
    a, b = local_coordinates(*_random_position(rng, part, 0.6 * radius), rng.uniform(0, pi))
    far = np.hypot(a / oval, b * oval) / radius * (1 + 0.08 * fractal_noise(rng, 3, 1))
    hollow, rim = np.square(np.maximum(1 - far**2, 0)), np.exp(-(((far - 1.05) / 0.2) ** 2))
    return Damage(relief=0.65 * steep * radius * (rng.uniform(0, 0.12) * rim - hollow))


def stain(rng: np.random.Generator, part: Part) -> Damage:
    """An irregular blotch of rust, oil, scale or heat: another colour or darkness on an untouched relief."""
    radius, strength = rng.uniform(48, 92), rng.uniform(0.5, 0.95)
    a, b = local_coordinates(*_random_position(rng, part, 0.5 * radius), rng.uniform(0, pi))
    near = 1 - np.hypot(a * rng.uniform(0.75, 1), b * rng.uniform(1, 1.5)) / radius
    soft = rng.uniform(0.12, 0.5)
    match str(rng.choice(("rust", "oil", "scale", "heat"), p=(0.32, 0.28, 0.22, 0.18))):
        case "rust":
            film = smoothstep(0, soft, near + 0.4 * fractal_noise(rng, 9, 4))
            film = film * np.clip(0.75 + 0.35 * fractal_noise(rng, 40, 2), 0.15, 1)
            return Damage(film=strength * film, colour=_film_colour(RUST, 1 + 0.2 * fractal_noise(rng, 24, 2)))
        case "oil":
            film = smoothstep(0, soft, near + 0.4 * fractal_noise(rng, 7, 3))
            return Damage(film=0.8 * strength * film, colour=_film_colour(OIL, 1 + 0.1 * fractal_noise(rng, 4, 2)))
        case "scale":
            depth = near + 0.3 * fractal_noise(rng, 6, 3)
            shore = smoothstep(0, 0.1, depth) * smoothstep(0.6, 0.1, depth)
            crust = smoothstep(0, 0.3, depth) * np.clip(0.6 + 0.4 * fractal_noise(rng, 24, 3), 0.1, 1)
            colour = _film_colour(SCALE, 0.9 + 0.1 * crust)
            return Damage(tone=1 - 0.5 * strength * shore, film=0.75 * strength * crust, colour=colour)
        case _:
            depth = near + 0.1 + 0.15 * fractal_noise(rng, 6, 3)
            bands, position = np.array(HEAT, np.float32), 3.2 * np.clip(depth, 0, 1)
            colour = np.stack([np.interp(position, np.arange(4), bands[:, c]) for c in range(3)], -1)
            return Damage(film=0.75 * strength * smoothstep(0, 0.6, depth), colour=colour.astype(np.float32))


def _film_colour(colour: tuple[float, float, float], tone: np.ndarray) -> np.ndarray:
    return tone[..., None] * np.array(colour, np.float32)
