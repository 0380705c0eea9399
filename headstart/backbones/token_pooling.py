"""Poolings of token states with a mask, in torch. Imports torch on import: import this file inside functions."""

from __future__ import annotations

import torch
from torch import nn


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(b, t, d), (b, t) -> (b, d): the mean over tokens, padding excluded."""
    weights = mask[:, :, None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def cls_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(b, t, d) -> (b, d): the class token."""
    return hidden[:, 0]


def max_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(b, t, d), (b, t) -> (b, d): the maximum over tokens, padding excluded."""
    return hidden.masked_fill(mask[:, :, None] == 0, torch.finfo(hidden.dtype).min).amax(1)


POOLINGS = {"mean": mean_pool, "cls": cls_pool, "max": max_pool}


def pool_tokens(hidden: torch.Tensor, mask: torch.Tensor, pooling: str, normalize: bool) -> torch.Tensor:
    """(b, t, d), (b, t) -> (b, d), of length 1 if `normalize`."""
    row = POOLINGS[pooling](hidden, mask)
    return nn.functional.normalize(row, dim=1) if normalize else row
