"""The baseline without a network, which any real backbone must beat: image statistics, or hashed words of a text.

"stats" for images: colour on a grid; histograms of gradient orientation (after Dalal and Triggs 2005) at two scales;
local binary patterns (Ojala et al. 2002) at three radii; energy in bands of scale, of light and of colour.
"stats:text": a bag of hashed words and characters, signed (Weinberger et al. 2009), sub-linear in counts.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from pathlib import Path

import numpy as np

from headstart.core.backbone import Backbone, Block, Cut, Preprocess
from headstart.core.digest import of_value
from headstart.core.errors import PlanError

SIDE = 128
ORIENTATIONS = 8
RADII = (1, 2, 4)
BANDS = (1, 2, 4, 8)
BUCKETS = 2048
WIDTH = 614  # of the statistics of an image
RECIPE = {"version": 1, "side": SIDE, "orientations": ORIENTATIONS, "radii": RADII, "bands": BANDS, "buckets": BUCKETS}
IMAGE_SETTINGS = (
    ("crop_mode", "squash"),
    ("crop_pct", 1.0),
    ("input_size", (3, SIDE, SIDE)),
    ("interpolation", "bilinear"),
    ("mean", (0.0, 0.0, 0.0)),
    ("std", (1.0, 1.0, 1.0)),
)


def card(local: str) -> Backbone:
    """The baseline for images (""), or for texts ("text")."""
    digest = of_value({**RECIPE, "kind": local})
    weights = f"sha256:{digest}{digest}"
    if local == "":
        spec, blocks = Preprocess("image", IMAGE_SETTINGS), (Block("statistics", (WIDTH,)),)
        return Backbone("stats", weights, spec, blocks, WIDTH, pretrained_on="nothing", licence="apache-2.0")
    if local == "text":
        spec, blocks = Preprocess("words", (("buckets", BUCKETS),)), (Block("words", (BUCKETS,)),)
        return Backbone("stats:text", weights, spec, blocks, BUCKETS, pretrained_on="nothing", licence="apache-2.0")
    raise PlanError(f"stats:{local} is not a backbone. There are two: stats (photos) and stats:text.")


def files(local: str) -> list[Path]:
    """None: there are no weights."""
    return []


def runs(card: Backbone, cut: Cut) -> str:
    """What kind of engine its parts need: plain functions."""
    return "numpy"


def classifier(card: Backbone) -> tuple[np.ndarray, np.ndarray] | None:
    """None: statistics come without a head."""
    return None


def reference(card: Backbone, raws: Callable[[], list[bytes | str]]) -> np.ndarray | None:
    """None: there is no library."""
    return None


def parts(card: Backbone):
    """(stem, blocks, pool) as plain functions: batch -> colour channels or hashes -> statistics, and the identity."""
    if card.local == "text":
        return itemgetter("tokens", "owner"), [_bag_of_words], _identity
    return _opponent_colours, [_statistics], _identity


def _identity(x: np.ndarray) -> np.ndarray:
    return x


def _opponent_colours(batch: dict[str, np.ndarray]) -> np.ndarray:
    """(b, 3, h, w) in 0..1 -> (b, 3, h, w): lightness, red against green, blue against yellow."""
    r, g, b = batch["pixels"][:, 0], batch["pixels"][:, 1], batch["pixels"][:, 2]
    return np.stack([(r + g + b) / 3, r - g, b - (r + g) / 2], axis=1)


def _statistics(x: np.ndarray) -> np.ndarray:
    """(b, 3, h, w) -> (b, d)"""
    light = x[:, 0]
    std = light.std(axis=(1, 2), keepdims=True) + 0.02
    standardized = (light - light.mean(axis=(1, 2), keepdims=True)) / std
    statistics = [_colour_grid(x), _gradient_histograms(standardized), _gradient_histograms(_downsample(standardized))]
    statistics += [_binary_patterns(light, r) for r in RADII]
    statistics += [_band_energies(standardized), _band_energies(x[:, 1] / std), _band_energies(x[:, 2] / std)]
    return np.concatenate(statistics, axis=1).astype(np.float32)


def _colour_grid(x: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each channel on a 4 x 4 grid: (b, 96)"""
    cells = _cells(x, 4)
    spread = np.sqrt(cells.var(axis=(-1, -3)) + 1e-6)
    return np.concatenate([cells.mean(axis=(-1, -3)), spread], axis=1).reshape(len(x), -1)


def _cells(x: np.ndarray, grid: int) -> np.ndarray:
    """(..., h, w) -> (..., grid, h / grid, grid, w / grid)"""
    h, w = x.shape[-2] // grid, x.shape[-1] // grid
    return x[..., : h * grid, : w * grid].reshape(*x.shape[:-2], grid, h, grid, w)


def _downsample(x: np.ndarray) -> np.ndarray:
    return _cells(x, x.shape[-1] // 2).mean(axis=(-1, -3))


def _gradient_histograms(x: np.ndarray) -> np.ndarray:
    """Gradient magnitude by orientation, means on a 4 x 4 grid and maximum on 16 x 16: (b, 17 * ORIENTATIONS)"""
    dy = x[:, 2:, 1:-1] - x[:, :-2, 1:-1]
    dx = x[:, 1:-1, 2:] - x[:, 1:-1, :-2]
    magnitude = np.sqrt(dx * dx + dy * dy)
    angle = (np.arctan2(dy, dx) % np.pi) * (ORIENTATIONS / np.pi)
    low = np.floor(angle)
    share = angle - low
    first = low.astype(np.int8) % ORIENTATIONS
    shares = ((first == o) * (1 - share) + (first == (o - 1) % ORIENTATIONS) * share for o in range(ORIENTATIONS))
    maps = np.stack([magnitude * orientation_share for orientation_share in shares], 1)
    means = _cells(maps, 4).mean(axis=(-1, -3)).reshape(len(x), -1)
    strongest = _cells(maps, 16).mean(axis=(-1, -3)).max(axis=(-1, -2))
    return np.sqrt(np.concatenate([means, strongest], axis=1) + 1e-6)


def _binary_patterns(x: np.ndarray, radius: int) -> np.ndarray:
    """Histogram of rotation-invariant uniform local binary patterns, of the image and its quarters: (b, 50)"""
    r = radius
    steps = [(-r, -r), (-r, 0), (-r, r), (0, r), (r, r), (r, 0), (r, -r), (0, -r)]
    h, w = x.shape[1:]
    middle = x[:, r : h - r, r : w - r]
    bits = np.stack([x[:, r + a : h - r + a, r + b : w - r + b] > middle + 0.004 for a, b in steps])
    changes = (bits != np.roll(bits, 1, axis=0)).sum(0)
    codes = np.where(changes <= 2, bits.sum(0), 9)
    one_hot = np.stack([codes == c for c in range(10)], axis=1).astype(np.float32)
    quarters = _cells(one_hot, 2).mean(axis=(-1, -3)).reshape(len(x), -1)
    return np.sqrt(np.concatenate([one_hot.mean(axis=(-1, -2)), quarters], axis=1) + 1e-6)


def _band_energies(x: np.ndarray) -> np.ndarray:
    """Energy of each band of scale: quantiles over 4 x 4 cells, peakedness, and extremes."""
    energies, before = [], x
    for step in BANDS:
        blurred = _blur(before, step)
        band = before - blurred
        power = _cells(band * band, 4).mean(axis=(-1, -3)).reshape(len(x), -1)
        mean = power.mean(1, keepdims=True)
        ordered = np.sort(power, axis=1)[:, [0, 4, 8, 12, 15]]
        peak = np.stack([band.max(axis=(1, 2)), -band.min(axis=(1, 2))], axis=1)
        peakedness = np.log((ordered[:, -1:] + 1e-5) / (mean + 1e-5))
        energies += [np.log(ordered + 1e-5), peakedness, np.sqrt(np.maximum(peak, 0))]
        before = blurred
    return np.concatenate(energies, axis=1)


def _blur(x: np.ndarray, step: int) -> np.ndarray:
    """Binomial blur (1, 2, 1) / 4 with a stride, edges repeated."""
    for axis in (1, 2):
        pad = [(0, 0)] * 3
        pad[axis] = (step, step)
        y = np.pad(x, pad, mode="edge")
        n = x.shape[axis]
        before, middle, after = (y.take(range(start, start + n), axis) for start in (0, step, 2 * step))
        x = 0.25 * before + 0.5 * middle + 0.25 * after
    return x


def _bag_of_words(x: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Flat hashes and the text of each -> (b, BUCKETS) of length 1. The lowest bit is the sign, the rest the bucket."""
    tokens, owner = x
    n = int(owner[-1]) + 1
    buckets = owner.astype(np.int64) * BUCKETS + (tokens >> 1) % BUCKETS
    count = np.bincount(buckets, weights=1.0 - 2.0 * (tokens & 1), minlength=n * BUCKETS).reshape(n, BUCKETS)
    bag = np.sign(count) * np.log1p(np.abs(count))
    return (bag / np.maximum(np.linalg.norm(bag, axis=1, keepdims=True), 1e-9)).astype(np.float32)
