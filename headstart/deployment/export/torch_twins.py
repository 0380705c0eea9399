"""The numpy backbones reimplemented in torch, so that an export holds them in one graph with their head.

Equal to backbones/providers/stats.py and static_embeddings.py within rounding, which tests and every export's parity
check compare. Imports torch: import it inside functions.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from headstart.backbones.providers.stats import BANDS, BUCKETS, ORIENTATIONS, RADII
from headstart.backbones.static_embeddings import OPENING_TOKENS


class ImageStatistics(nn.Module):
    """stats: (b, 3, h, w) float32 in 0..1 -> (b, 614)."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Colour, edges, patterns and energies, in the order of stats.py."""
        r, g, b = pixels[:, 0], pixels[:, 1], pixels[:, 2]
        light, red, blue = (r + g + b) / 3, r - g, b - (r + g) / 2
        centred = light - light.mean((1, 2), keepdim=True)
        std = centred.square().mean((1, 2), keepdim=True).sqrt() + 0.02
        normalised = centred / std
        features = [_colour(torch.stack([light, red, blue], 1)), _edges(normalised), _edges(_halved(normalised))]
        features += [_patterns(light, radius) for radius in RADII]
        features += [_energies(normalised), _energies(red / std), _energies(blue / std)]
        return torch.cat(features, 1)


class HashedBag(nn.Module):
    """stats:text: hashes (b, t) int64 of words with their mask -> (b, BUCKETS) of length 1."""

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The lowest bit of a hash is its sign, the rest its bucket."""
        ids, mask = batch["input_ids"], batch["attention_mask"]
        # The remainder first: exporters divide integers in float32, which is exact for small ones only.
        bucket = torch.div(ids % (2 * BUCKETS), 2, rounding_mode="floor")
        signs = (1 - 2 * (ids % 2)).float() * mask.float()
        count = torch.zeros(len(ids), BUCKETS, device=ids.device).scatter_add(1, bucket, signs)
        bag = count.sign() * count.abs().log1p()
        return bag / bag.norm(dim=1, keepdim=True).clamp(min=1e-9)


class StaticVectors(nn.Module):
    """Static token embeddings: ids (b, t) int64 with their mask -> (b, d + 2 c) of length 1.

    arrays: as `Static` has them, at their stored precision; a token's are widened when it is looked up.
    """

    def __init__(self, arrays: dict[str, np.ndarray]):
        super().__init__()
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)))

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The weighted mean of vectors, and two means of the convolution's output."""
        arrays: dict[str, torch.Tensor] = {name: b for name, b in self.named_buffers()}
        ids, mask = batch["input_ids"], batch["attention_mask"].float()[:, :, None]
        count = mask.sum(1).clamp(min=1)
        vectors = arrays["vectors"][ids].float() * arrays["scales"][ids].float()[:, :, None] * mask
        embedding = (vectors * arrays["weights"][ids].float()[:, :, None]).sum(1) / count + arrays["bias"].float()
        if not len(arrays["out"]):
            return _unit(embedding)
        inputs = vectors[:, :, : len(arrays["here"])]
        before, here, after = (inputs @ arrays[name].float() for name in ("before", "here", "after"))
        padding = torch.zeros_like(here[:, :1])
        hidden = here + torch.cat([padding, before[:, :-1]], 1) + torch.cat([after[:, 1:], padding], 1)
        position = torch.arange(ids.shape[1], device=ids.device)
        hidden = hidden + arrays["places"].float()[position.clamp(max=len(arrays["places"]) - 1)]
        hidden = hidden.relu() * mask
        early = (position < OPENING_TOKENS).float()[None, :, None]
        means = torch.cat([hidden.sum(1) / count, (hidden * early).sum(1) / count.clamp(max=OPENING_TOKENS)], 1)
        embedding = _unit(embedding + means @ arrays["out"].float())
        return _unit(torch.cat([embedding, (means - arrays["centre"]) * arrays["spread"]], 1))


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
    std = ((cells - mean).square().mean((3, 5)) + 1e-6).sqrt()
    return torch.cat([mean[:, :, :, 0, :, 0], std], 1).flatten(1)


def _edges(x: torch.Tensor) -> torch.Tensor:
    dy = x[:, 2:, 1:-1] - x[:, :-2, 1:-1]
    dx = x[:, 1:-1, 2:] - x[:, 1:-1, :-2]
    size = (dx * dx + dy * dy).sqrt()
    # atan2 modulo pi, without its 0 / 0 where nothing changes.
    vertical = dx == 0
    angle = torch.where(vertical, math.pi / 2, torch.atan(dy / torch.where(vertical, 1.0, dx)))
    angle = torch.where(angle < 0, angle + math.pi, angle) * (ORIENTATIONS / math.pi)
    low = angle.floor()
    fraction = angle - low
    first = torch.where(low >= ORIENTATIONS, low - ORIENTATIONS, low)
    maps = [
        size * ((first == o).float() * (1 - fraction) + (first == (o - 1) % ORIENTATIONS).float() * fraction)
        for o in range(ORIENTATIONS)
    ]
    stacked = torch.stack(maps, 1)
    strongest = _cells(stacked, 16).mean((3, 5)).amax((2, 3))
    return (torch.cat([_means(stacked, 4), strongest], 1) + 1e-6).sqrt()


def _patterns(x: torch.Tensor, radius: int) -> torch.Tensor:
    r = radius
    offsets = [(-r, -r), (-r, 0), (-r, r), (0, r), (r, r), (r, 0), (r, -r), (0, -r)]
    h, w = x.shape[1:]
    centre = x[:, r : h - r, r : w - r] + 0.004
    bits = [(x[:, r + a : h - r + a, r + b : w - r + b] > centre).float() for a, b in offsets]
    changes = torch.stack([(a - b).abs() for a, b in zip(bits, [bits[-1], *bits[:-1]], strict=True)]).sum(0)
    codes = torch.where(changes <= 2, torch.stack(bits).sum(0), 9.0)
    one_hot = torch.stack([(codes == c).float() for c in range(10)], 1)
    return (torch.cat([one_hot.mean((2, 3)), _means(one_hot, 2)], 1) + 1e-6).sqrt()


def _energies(x: torch.Tensor) -> torch.Tensor:
    features, image = [], x
    for step in BANDS:
        blurred = _blurred(image, step)
        band = image - blurred
        power = _means((band * band)[:, None], 4)
        mean = power.mean(1, keepdim=True)
        ordered = power.sort(1).values[:, [0, 4, 8, 12, 15]]
        peak = torch.stack([band.amax((1, 2)), -band.amin((1, 2))], 1)
        ratio = torch.log((ordered[:, -1:] + 1e-5) / (mean + 1e-5))
        features += [torch.log(ordered + 1e-5), ratio, peak.clamp(min=0).sqrt()]
        image = blurred
    return torch.cat(features, 1)


def _blurred(x: torch.Tensor, step: int) -> torch.Tensor:
    for axis in (1, 2):
        position = torch.arange(x.shape[axis], device=x.device)
        left, right = (position - step).clamp(min=0), (position + step).clamp(max=x.shape[axis] - 1)
        x = 0.25 * x.index_select(axis, left) + 0.5 * x + 0.25 * x.index_select(axis, right)
    return x
