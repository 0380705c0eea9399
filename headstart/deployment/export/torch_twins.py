"""The backbones that are numpy functions, again in torch, so that they travel in one graph with what stands on them.

Equal to backbones/stats.py and static.py within rounding, which tests and every export's witness compare. Imports torch
when it is imported: open it inside functions.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from headstart.backbones.providers.stats import BANDS, BUCKETS, ORIENTATIONS, RADII
from headstart.backbones.static_embeddings import OPENING


class Statistics(nn.Module):
    """stats: (b, 3, h, w) float32 in 0..1 -> (b, 614)."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Colour, edges, patterns and energies, in the order of backbones/stats.py."""
        r, g, b = pixels[:, 0], pixels[:, 1], pixels[:, 2]
        light, red, blue = (r + g + b) / 3, r - g, b - (r + g) / 2
        centred = light - light.mean((1, 2), keepdim=True)
        spread = centred.square().mean((1, 2), keepdim=True).sqrt() + 0.02
        even = centred / spread
        found = [_colour(torch.stack([light, red, blue], 1)), _edges(even), _edges(_halved(even))]
        found += [_patterns(light, radius) for radius in RADII]
        return torch.cat([*found, _energies(even), _energies(red / spread), _energies(blue / spread)], 1)


class Bag(nn.Module):
    """stats:text: hashes (b, t) int64 of words with their mask -> (b, BUCKETS) of length 1."""

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The lowest bit of a hash is its sign, the rest its bucket."""
        ids, mask = batch["input_ids"], batch["attention_mask"]
        # The remainder first: exporters halve whole numbers in single precision, which is exact for small ones alone.
        bucket = torch.div(ids % (2 * BUCKETS), 2, rounding_mode="floor")
        signs = (1 - 2 * (ids % 2)).float() * mask.float()
        count = torch.zeros(len(ids), BUCKETS, device=ids.device).scatter_add(1, bucket, signs)
        bag = count.sign() * count.abs().log1p()
        return bag / bag.norm(dim=1, keepdim=True).clamp(min=1e-9)


class Vectors(nn.Module):
    """Static vectors of tokens: ids (b, t) int64 with their mask -> (b, d + 2 c) of length 1.

    arrays: as `Static` has them. They stay as small as they are stored; each token's are made large when it is met.
    """

    def __init__(self, arrays: dict[str, np.ndarray]):
        super().__init__()
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)))

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The weighted mean of vectors, and the two means of what the layer sees."""
        held: dict[str, torch.Tensor] = {name: b for name, b in self.named_buffers()}
        ids, mask = batch["input_ids"], batch["attention_mask"].float()[:, :, None]
        many = mask.sum(1).clamp(min=1)
        vectors = held["vectors"][ids].float() * held["scales"][ids].float()[:, :, None] * mask
        found = (vectors * held["weights"][ids].float()[:, :, None]).sum(1) / many + held["bias"].float()
        if not len(held["out"]):
            return _unit(found)
        some = vectors[:, :, : len(held["here"])]
        before, here, after = (some @ held[name].float() for name in ("before", "here", "after"))
        nothing = torch.zeros_like(here[:, :1])
        seen = here + torch.cat([nothing, before[:, :-1]], 1) + torch.cat([after[:, 1:], nothing], 1)
        place = torch.arange(ids.shape[1], device=ids.device)
        seen = seen + held["places"].float()[place.clamp(max=len(held["places"]) - 1)]
        seen = seen.relu() * mask
        early = (place < OPENING).float()[None, :, None]
        sums = [seen.sum(1) / many, (seen * early).sum(1) / many.clamp(max=OPENING)]
        means = torch.cat(sums, 1)
        found = _unit(found + means @ held["out"].float())
        return _unit(torch.cat([found, (means - held["centre"]) * held["spread"]], 1))


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm(dim=1, keepdim=True).clamp(min=1e-9)


def _cells(x: torch.Tensor, grid: int) -> torch.Tensor:
    """(b, c, h, w) -> (b, c, grid, h / grid, grid, w / grid)"""
    h, w = x.shape[-2] // grid, x.shape[-1] // grid
    return x[..., : h * grid, : w * grid].reshape(-1, x.shape[1], grid, h, grid, w)


def _means(x: torch.Tensor, grid: int) -> torch.Tensor:
    """(b, c, h, w) -> (b, c * grid * grid)"""
    return _cells(x, grid).mean((3, 5)).flatten(1)


def _halved(x: torch.Tensor) -> torch.Tensor:
    return _cells(x[:, None], x.shape[-1] // 2).mean((3, 5))[:, 0]


def _colour(x: torch.Tensor) -> torch.Tensor:
    cells = _cells(x, 4)
    mean = cells.mean((3, 5), keepdim=True)
    spread = ((cells - mean).square().mean((3, 5)) + 1e-6).sqrt()
    return torch.cat([mean[:, :, :, 0, :, 0], spread], 1).flatten(1)


def _edges(x: torch.Tensor) -> torch.Tensor:
    dy = x[:, 2:, 1:-1] - x[:, :-2, 1:-1]
    dx = x[:, 1:-1, 2:] - x[:, 1:-1, :-2]
    size = (dx * dx + dy * dy).sqrt()
    # atan2 modulo a half turn, without its 0 / 0 where nothing changes.
    upright = dx == 0
    angle = torch.where(upright, math.pi / 2, torch.atan(dy / torch.where(upright, 1.0, dx)))
    angle = torch.where(angle < 0, angle + math.pi, angle) * (ORIENTATIONS / math.pi)
    low = angle.floor()
    share = angle - low
    first = torch.where(low >= ORIENTATIONS, low - ORIENTATIONS, low)
    maps = [
        size * ((first == o).float() * (1 - share) + (first == (o - 1) % ORIENTATIONS).float() * share)
        for o in range(ORIENTATIONS)
    ]
    stacked = torch.stack(maps, 1)
    strongest = _cells(stacked, 16).mean((3, 5)).amax((2, 3))
    return (torch.cat([_means(stacked, 4), strongest], 1) + 1e-6).sqrt()


def _patterns(x: torch.Tensor, radius: int) -> torch.Tensor:
    r = radius
    steps = [(-r, -r), (-r, 0), (-r, r), (0, r), (r, r), (r, 0), (r, -r), (0, -r)]
    h, w = x.shape[1:]
    middle = x[:, r : h - r, r : w - r] + 0.004
    bits = [(x[:, r + a : h - r + a, r + b : w - r + b] > middle).float() for a, b in steps]
    changes = torch.stack([(a - b).abs() for a, b in zip(bits, [bits[-1], *bits[:-1]], strict=True)]).sum(0)
    codes = torch.where(changes <= 2, torch.stack(bits).sum(0), 9.0)
    hot = torch.stack([(codes == c).float() for c in range(10)], 1)
    return (torch.cat([hot.mean((2, 3)), _means(hot, 2)], 1) + 1e-6).sqrt()


def _energies(x: torch.Tensor) -> torch.Tensor:
    found, before = [], x
    for step in BANDS:
        blurred = _blurred(before, step)
        band = before - blurred
        power = _means((band * band)[:, None], 4)
        mean = power.mean(1, keepdim=True)
        ordered = power.sort(1).values[:, [0, 4, 8, 12, 15]]
        peak = torch.stack([band.amax((1, 2)), -band.amin((1, 2))], 1)
        ratio = torch.log((ordered[:, -1:] + 1e-5) / (mean + 1e-5))
        found += [torch.log(ordered + 1e-5), ratio, peak.clamp(min=0).sqrt()]
        before = blurred
    return torch.cat(found, 1)


def _blurred(x: torch.Tensor, step: int) -> torch.Tensor:
    for axis in (1, 2):
        place = torch.arange(x.shape[axis], device=x.device)
        low, high = (place - step).clamp(min=0), (place + step).clamp(max=x.shape[axis] - 1)
        x = 0.25 * x.index_select(axis, low) + 0.5 * x + 0.25 * x.index_select(axis, high)
    return x
