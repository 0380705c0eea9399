"""The coarse structure of small gray squares as unit vectors, whose products tell how alike two squares are.

A descriptor holds the lowest frequencies of the cosine transform, each weighted by its frequency, as natural photos
have them in inverse proportion. Mirroring turns the sign of half of them, and transposing swaps two halves: the eight
symmetries of the square cost nothing more.
"""

from __future__ import annotations

from functools import cache

import numpy as np

SAMPLES = 16  # points of a window along each side
FREQUENCIES = 8  # along each side
DIM = FREQUENCIES**2
N_SYMMETRIES = 8
CROP_SIDES = (0.89, 0.78)  # of windows that stand for crops: 80 and 60 % of the area
CUT_SIDE = 0.75  # of what is cut to a square, or by a third more
TURNS = (-10.0, -5.0, 5.0, 10.0)  # degrees
TURN_SIDES = (1.0, 0.82)  # of turned windows: with their corners, and without
N_TURNED = len(TURNS) * len(TURN_SIDES)


def descriptors(squares: np.ndarray) -> np.ndarray:
    """(..., DIM) float32 unit vectors of (..., s, s) squares; zeros for what is flat."""
    basis, weights = _basis(squares.shape[-1]), _weights()
    out = (basis @ squares.astype(np.float32) @ basis.T) * weights
    out = out.reshape(*out.shape[:-2], DIM)
    norm = np.linalg.norm(out, axis=-1, keepdims=True)
    return np.divide(out, norm, out=np.zeros_like(out), where=norm > 1)


def symmetric(rows: np.ndarray) -> np.ndarray:
    """(..., N_SYMMETRIES, DIM) of (..., DIM) descriptors: what the squares would have in each symmetry."""
    order, signs = _symmetry_tables()
    return rows[..., order] * signs


def apply_symmetry(squares: np.ndarray, number: int) -> np.ndarray:
    """(..., s, s) squares as symmetry `number` leaves them: flipped along x, along y, then transposed, by its bits."""
    swap, flip_x, flip_y = number & 4, number & 2, number & 1
    squares = squares[..., ::-1] if flip_x else squares
    squares = squares[..., ::-1, :] if flip_y else squares
    return squares.swapaxes(-1, -2) if swap else squares


def without_symmetry(rows: np.ndarray) -> np.ndarray:
    """(n, e) float32 of (n, DIM) descriptors, the same for a square in all its symmetries."""
    size = np.abs(rows).reshape(-1, FREQUENCIES, FREQUENCIES)
    upper = np.triu_indices(FREQUENCIES)
    turned = size.swapaxes(1, 2)
    return np.concatenate([(size + turned)[:, *upper], np.abs(size - turned)[:, *upper]], 1)


@cache
def windows() -> np.ndarray:
    """(w, 2, 3) float32: from a point of a window, (x, y) from -1 to 1, to one of the square.

    The whole is the first, turned are the last N_TURNED.
    """
    out = [np.array([[1, 0, 0], [0, 1, 0]])]
    for side in CROP_SIDES:
        steps = (side - 1, 1 - side) if side > 0.85 else (side - 1, 0, 1 - side)
        out += [np.array([[side, 0, x], [0, side, y]]) for y in steps for x in steps]
    for width, height in ((1, CUT_SIDE), (CUT_SIDE, 1)):
        out += [np.array([[width, 0, k * (1 - width)], [0, height, k * (1 - height)]]) for k in (-1, 0, 1)]
    for side in TURN_SIDES:
        for degrees in TURNS:
            c, s = side * np.cos(np.radians(degrees)), side * np.sin(np.radians(degrees))
            out.append(np.array([[c, -s, 0], [s, c, 0]]))
    return np.stack(out).astype(np.float32)


def window_descriptors(squares: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(n, w, DIM) of each of (n, s, s) squares seen through (w, 2, 3) windows."""
    side = squares.shape[-1]
    ends = (np.arange(SAMPLES) + 0.5) * 2 / SAMPLES - 1
    x, y = np.meshgrid(ends, ends)
    points = np.stack([x.ravel(), y.ravel(), np.ones(SAMPLES**2)]).astype(np.float32)
    # As many pixels as a sample spans are averaged first.
    span = max(1, round(side / SAMPLES))
    cells = squares.reshape(len(squares), side // span, span, side // span, span).mean((2, 4), dtype=np.float32)
    sampled = sample(cells, (chosen @ points)[None])
    return descriptors(sampled.reshape(len(squares), len(chosen), SAMPLES, SAMPLES))


def sample(squares: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bilinear values of squares at points; beyond an edge, those of the edge.

    squares: (n, s, s) float32.  points: (n or 1, ..., 2, p), x and y from -1 to 1.  Gives (n, ..., p)
    """
    side = squares.shape[-1]
    at = np.clip((points + 1) * (side / 2) - 0.5, 0, side - 1)
    x, y = at[..., 0, :], at[..., 1, :]
    column, row = np.minimum(x.astype(np.int64), side - 2), np.minimum(y.astype(np.int64), side - 2)
    fx, fy = (x - column).astype(np.float32), (y - row).astype(np.float32)
    flat = np.ascontiguousarray(squares, np.float32).reshape(-1)
    start = (np.arange(len(squares)) * side * side).reshape(-1, *[1] * (row.ndim - 1))
    index = start + row * side + column
    top = flat[index] * (1 - fx) + flat[index + 1] * fx
    bottom = flat[index + side] * (1 - fx) + flat[index + side + 1] * fx
    return top * (1 - fy) + bottom * fy


@cache
def _basis(side: int) -> np.ndarray:
    u, x = np.arange(FREQUENCIES)[:, None], np.arange(side)[None]
    return (np.cos(np.pi * (x + 0.5) * u / side) * np.sqrt(2 / side) * SAMPLES / side).astype(np.float32)


@cache
def _weights() -> np.ndarray:
    u = np.arange(FREQUENCIES)
    return np.sqrt(u[:, None] ** 2 + u[None] ** 2).astype(np.float32)


@cache
def _symmetry_tables() -> tuple[np.ndarray, np.ndarray]:
    """(order, signs) of the coefficients under each symmetry, (N_SYMMETRIES, DIM) each; see `apply_symmetry`."""
    index = np.arange(DIM).reshape(FREQUENCIES, FREQUENCIES)
    sign = (-1.0) ** np.arange(FREQUENCIES)
    order, signs = [], []
    for swap in (False, True):
        for flip_x in (1, -1):
            for flip_y in (1, -1):
                # The original is flipped, and then transposed where x and y swap.
                value = np.outer(
                    sign if flip_y < 0 else np.ones(FREQUENCIES), sign if flip_x < 0 else np.ones(FREQUENCIES)
                )
                order.append((index.T if swap else index).reshape(-1))
                signs.append((value.T if swap else value).reshape(-1))
    return np.stack(order), np.stack(signs).astype(np.float32)
