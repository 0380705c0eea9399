"""Lays one small photo over another, by an affine map, until they agree best; and tells how well they do.

Lucas and Kanade 1981, "An iterative image registration technique", for many pairs at once: each step solves for the
map, the gain and the offset of the brightness that least squares ask for, first on half the pixels a side, then on all.

How well they agree is told by their gradients, which different photos of one scene do not share as they share tones.
Each gradient counts by its direction more than by its length, so that one bright edge does not outvote the rest; and
what is the same along a whole row or column (an even slope of light, one straight bar) does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headstart.data.duplicates.pixel_descriptors import sample

# (pixels averaged along each side, steps) of the levels, and the agreement after each below which a pair is given up.
LEVELS = ((2, 3, 0.15), (2, 4, 0.4), (1, 4, 0.0))
CHUNK = 256  # pairs at once
MAX_STEP = 0.25  # of a coefficient of the map, per step
DAMPING = 1e-4  # more makes smooth surfaces creep
MIN_GAIN = 0.05  # of brightness: a negative is no copy
FLAT = 2.0  # gray levels between two neighbours of a pixel, from which on its gradient has a direction
LESS_ACROSS = 0.1  # that two may agree across the main direction of their gradients
MIN_COMPARED = 0.2  # share of a template that is photo in both


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """How m pairs agree once aligned; zeros for those given up.

    agreement: (m,) float32, 1 is the most; of the luma or the brightest channel, whichever agrees more
    overlap:   (m,) float32, share of the template that lies within the image
    """

    agreement: np.ndarray
    overlap: np.ndarray


def align(
    templates: np.ndarray, images: np.ndarray, template_valid: np.ndarray, image_valid: np.ndarray, maps: np.ndarray
) -> Alignment:
    """Of m pairs of grids, from these maps on.

    templates, images: (m, 2, s, s) uint8, as pixel_grids has them.  *_valid: (m, s, s) bool, what is photo
    maps: (m, 2, 3) float32, from a point of the template, (x, y) from -1 to 1, to one of the image
    """
    agreement, overlap = np.zeros(len(maps), np.float32), np.zeros(len(maps), np.float32)
    for start in range(0, len(maps), CHUNK):
        chunk = slice(start, start + CHUNK)
        pairs = templates[chunk], images[chunk], template_valid[chunk], image_valid[chunk]
        agreement[chunk], overlap[chunk] = _align(*pairs, maps[chunk])
    return Alignment(agreement, overlap)


def _align(templates, images, template_valid, image_valid, maps) -> tuple[np.ndarray, np.ndarray]:
    """(agreement, overlap) of a chunk."""
    starts, maps, alive = maps, maps.copy(), np.arange(len(maps))
    for span, steps, least in LEVELS:
        if not len(alive):
            break
        target, image = _shrink(templates[alive, 0], span), _shrink(images[alive, 0], span)
        target_valid, valid = _shrink(template_valid[alive], span) > 0.99, _shrink(image_valid[alive], span)
        current = maps[alive]
        for _ in range(steps):
            current = _step(target, image, target_valid, valid, current)
        maps[alive] = current
        if least:
            alive = alive[_agreement(target, image, target_valid, valid, current) >= least]
    agreement, overlap = np.zeros(len(maps), np.float32), np.zeros(len(maps), np.float32)
    if not len(alive):
        return agreement, overlap
    valid = image_valid[alive].astype(np.float32)
    for tried in (starts[alive], maps[alive]):  # what has few edges may have drifted from where it lay exactly
        inside = _is_inside(_points(tried, templates.shape[-1])).mean(1)
        for channel in (0, 1):
            target, image = templates[alive, channel].astype(np.float32), images[alive, channel].astype(np.float32)
            found = _agreement(target, image, template_valid[alive], valid, tried, both_ways=True)
            better = found > agreement[alive]
            agreement[alive[better]], overlap[alive[better]] = found[better], inside[better]
    return agreement, overlap


def _step(target, image, target_valid, valid, maps) -> np.ndarray:
    """The maps after one step."""
    seen, weight = _see(image, valid, target_valid, maps)
    x, y, _ = _grid(target.shape[-1])
    dx, dy = _gradients(seen, target.shape[-1])
    columns = np.stack([dx * x, dx * y, dx, dy * x, dy * y, dy, seen, np.ones_like(seen)], 1)
    scale = np.sqrt((columns * columns * weight[:, None]).sum(2)) + 1e-3
    columns /= scale[:, :, None]
    weighted = columns * weight[:, None]
    normal = weighted @ columns.swapaxes(1, 2) + DAMPING * np.eye(8, dtype=np.float32)
    solved = np.linalg.solve(normal, weighted @ target.reshape(len(target), -1, 1))[..., 0] / scale
    gain = solved[:, 6:7]
    change = np.divide(solved[:, :6], gain, out=np.zeros_like(solved[:, :6]), where=gain > MIN_GAIN)
    change = np.clip(change, -MAX_STEP, MAX_STEP).reshape(-1, 2, 3)
    return maps + maps[:, :, :2] @ change


def _agreement(target, image, target_valid, valid, maps, *, both_ways: bool = False) -> np.ndarray:
    """(m,) from -1 to 1; 0 where too little is photo in both.

    both_ways: also of the gradients across the main direction, where one slanting bar has none
    """
    side = target.shape[-1]
    seen, weight = _see(image, valid, target_valid, maps)
    a = _directions(target.reshape(seen.shape), weight, side)
    b = _directions(seen, weight, side)
    agreement = _cosine(a, b)
    if both_ways:
        xx, yy, xy = ((p * q).sum(1) for p, q in ((a[:, 0], a[:, 0]), (a[:, 1], a[:, 1]), (a[:, 0], a[:, 1])))
        angle = np.arctan2(2 * xy, xx - yy)[:, None, None] / 2
        across = [d[:, 1:] * np.cos(angle) - d[:, :1] * np.sin(angle) for d in (a, b)]
        agreement = np.minimum(agreement, _cosine(*across) + LESS_ACROSS)
    return agreement * (weight.mean(1) >= MIN_COMPARED)


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(m,) of (m, c, p)"""
    return (a * b).sum((1, 2)) / np.maximum(np.sqrt((a * a).sum((1, 2)) * (b * b).sum((1, 2))), 1e-3)


def _directions(values: np.ndarray, weight: np.ndarray, side: int) -> np.ndarray:
    """(m, 2, p) gradients of (m, p) values, their lengths levelled, without what a row or a column shares."""
    d = np.stack(_gradients(values, side), 1)
    length = np.hypot(d[:, 0], d[:, 1])[:, None]
    weight = weight[:, None]
    mean = (length * weight).sum(2, keepdims=True) / np.maximum(weight.sum(2, keepdims=True), 1)
    d /= length + (FLAT * side / 4 + mean) / 2
    square, counted = d.reshape(-1, 2, side, side), weight.reshape(-1, 1, side, side)
    for axis in (2, 3):
        total = np.maximum(counted.sum(axis, keepdims=True), 1)
        square = square - (square * counted).sum(axis, keepdims=True) / total
    return (square * counted).reshape(d.shape)


def _see(image, valid, target_valid, maps) -> tuple[np.ndarray, np.ndarray]:
    """(m, p) each: the image where the template's points lie, and 1 where both are photo, else 0."""
    points = _points(maps, image.shape[-1])
    weight = _is_inside(points) & target_valid.reshape(len(maps), -1) & (sample(valid, points) > 0.99)
    return sample(image, points), weight.astype(np.float32)


def _points(maps: np.ndarray, side: int) -> np.ndarray:
    return maps @ np.stack(_grid(side))


def _is_inside(points: np.ndarray) -> np.ndarray:
    return (np.abs(points) <= 1).all(1)


def _gradients(values: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """d/dx and d/dy of (m, p), a unit being half a side; 0 at the edges."""
    square = values.reshape(-1, side, side)
    dx, dy = np.zeros_like(square), np.zeros_like(square)
    dx[:, :, 1:-1] = (square[:, :, 2:] - square[:, :, :-2]) * (side / 4)
    dy[:, 1:-1] = (square[:, 2:] - square[:, :-2]) * (side / 4)
    return dx.reshape(values.shape), dy.reshape(values.shape)


def _grid(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ends = ((np.arange(side) + 0.5) * 2 / side - 1).astype(np.float32)
    x, y = np.meshgrid(ends, ends)
    return x.ravel(), y.ravel(), np.ones(side * side, np.float32)


def _shrink(squares: np.ndarray, span: int) -> np.ndarray:
    m, side, _ = squares.shape
    return squares.reshape(m, side // span, span, side // span, span).mean((2, 4), dtype=np.float32)
