"""The three defects: what a scratch, a dent and a stain change, and what they leave alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.demo.shapes import Part, local
from headstart.demo.surfaces import SIDE, clouds, smoothstep


@dataclass(frozen=True, slots=True)
class Damage:
    """What a defect does to the metal; a fresh one does nothing.

    relief: height to add, pixels.  tone: factor on the reflectance
    film:   how much of the metal a layer of the reflectance `colour` covers, 0 … 1
    """

    relief: np.ndarray | float = 0.0
    tone: np.ndarray | float = 1.0
    film: np.ndarray | float = 0.0
    colour: np.ndarray | float = 0.0


def place(rng: np.random.Generator, part: Part, margin: float) -> tuple[float, float]:
    """Where a defect sits, from the middle of the photo: `margin` pixels inside the metal if the part is that wide."""
    edge = np.full_like(part.edge, np.inf)
    edge[32:-32, 32:-32] = part.edge[32:-32, 32:-32]
    room = np.flatnonzero(edge <= max(-margin, 0.6 * edge.min()))
    y, x = divmod(int(rng.choice(room)), SIDE)
    return x - SIDE / 2, y - SIDE / 2


def scratch(rng: np.random.Generator, part: Part) -> Damage:
    """One to three long thin grooves with a lit and a shadowed bank, their ground brighter or darker than the face."""
    x, y = place(rng, part, 22)
    angle, bright = rng.uniform(0, np.pi), rng.choice((-1, 1), p=(0.4, 0.6))
    relief, tone = np.zeros((SIDE, SIDE), np.float32), np.ones((SIDE, SIDE), np.float32)
    for k in range(rng.choice((1, 2, 3, 4), p=(0.3, 0.3, 0.25, 0.15))):
        s, t = local(x + k * rng.normal(0, 14), y + k * rng.normal(0, 14), angle + k * rng.normal(0, 0.12))
        half, width, bend = rng.uniform(80, 140), rng.uniform(1.1, 2.0), rng.normal(0, 12)
        position = s / half
        wander = np.interp(s, np.linspace(-140, 140, 9), rng.normal(0, 1.2, 9)).astype(np.float32)
        away = np.abs(t - bend * (1 - position**2) - wander) / width
        fades = np.interp(position, np.linspace(-1, 1, 12), rng.uniform(0.6, 1, 12)).astype(np.float32)
        strength = rng.uniform(0.7, 1.5) * fades * smoothstep(1, 0.75, np.abs(position)) * (0.7 if k else 1)
        groove, banks = np.exp(-(away**2)), np.exp(-((away - 2) ** 2))
        relief += strength * width * (0.3 * banks - 1.1 * groove)
        tone *= 1 + bright * strength * (0.45 if bright > 0 else 0.5) * groove
    return Damage(relief=relief, tone=np.clip(tone, 0.2, 1.6))


def dent(rng: np.random.Generator, part: Part) -> Damage:
    """A smooth hollow: bright on one side and dark on the other, as the light falls; its colour is the face's."""
    radius = rng.uniform(34, 72)
    x, y = place(rng, part, 0.6 * radius)
    s, t = local(x, y, rng.uniform(0, np.pi))
    oval = rng.uniform(1, 1.35)
    far = np.hypot(s / oval, t * oval) / radius * (1 + 0.08 * clouds(rng, 3, 1))
    steep = rng.uniform(0.45, 1.0)
    hollow = np.square(np.maximum(1 - far**2, 0))
    rim = rng.uniform(0, 0.12) * np.exp(-(((far - 1.05) / 0.2) ** 2))
    return Damage(relief=0.65 * steep * radius * (rim - hollow))


def stain(rng: np.random.Generator, part: Part) -> Damage:
    """An irregular blotch of rust, oil, scale or heat: another colour or darkness on an untouched relief."""
    radius = rng.uniform(48, 92)
    x, y = place(rng, part, 0.5 * radius)
    s, t = local(x, y, rng.uniform(0, np.pi))
    far = np.hypot(s * rng.uniform(0.75, 1), t * rng.uniform(1, 1.5)) / radius
    depth = 1 - far + 0.4 * clouds(rng, 9, 4)
    patch, strength = smoothstep(0, rng.uniform(0.12, 0.5), depth), rng.uniform(0.5, 0.95)
    kind = rng.choice(("rust", "oil", "scale", "heat"), p=(0.32, 0.28, 0.22, 0.18))
    if kind == "rust":
        spots = np.clip(0.75 + 0.35 * clouds(rng, 40, 2), 0.15, 1)
        return Damage(film=patch * spots * strength, colour=_layer((0.24, 0.105, 0.045), 1 + 0.2 * clouds(rng, 24, 2)))
    if kind == "oil":
        return Damage(film=0.8 * patch * strength, colour=_layer((0.085, 0.07, 0.05), np.ones((SIDE, SIDE))))
    if kind == "scale":
        shore = smoothstep(0, 0.12, depth) * smoothstep(0.5, 0.15, depth)
        crust = np.clip(0.7 + 0.3 * clouds(rng, 30, 2), 0, 1) * patch
        return Damage(tone=1 - 0.5 * strength * shore, film=0.5 * strength * crust, colour=_layer((0.75, 0.74, 0.68), 0.9 + 0.1 * patch))
    bands = np.array(((0.5, 0.41, 0.26), (0.34, 0.2, 0.16), (0.22, 0.16, 0.26), (0.17, 0.21, 0.32)), np.float32)
    depth = 1.1 - far + 0.15 * clouds(rng, 6, 3)
    at = np.clip(depth, 0, 1) * 3.2
    colour = np.stack([np.interp(at, np.arange(4), bands[:, c]) for c in range(3)], -1).astype(np.float32)
    return Damage(film=0.75 * smoothstep(0, 0.6, depth) * strength, colour=colour)


def _layer(colour: tuple[float, float, float], tone: np.ndarray) -> np.ndarray:
    return np.array(colour, np.float32) * tone[..., None]
