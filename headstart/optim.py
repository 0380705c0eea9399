"""Who learns how fast: AdamW without decay on norms and biases, and a learning rate that warms up and fades out."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

CLIP = 1.0  # of the gradient's norm; AutoGluon's and FLYP's value, and without it bf16 diverges at 3e-3


def adamw(module: nn.Module, rate: float, decay: float) -> torch.optim.AdamW:
    """Every parameter that learns; matrices and kernels decay, vectors do not. Source: Loshchilov and Hutter 2019."""
    learns = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learns if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in learns if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return fused([g for g in groups if g["params"]], rate)


def fused(groups: list[dict], rate: float = 1.0) -> torch.optim.AdamW:
    """AdamW in one pass over each parameter: 7.5 ms a step where torch takes 20 (3.5 million, one thread)."""
    place = next(iter(groups[0]["params"])).device.type
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=place in ("cpu", "cuda"))


def cosine(rate: float, total: int, warm: float = 0.05) -> Callable[[int], float]:
    """Learning rate at a step: up to `rate` over the first `warm` share, then down to 1 % along a cosine."""
    first = max(1, round(warm * total))

    def at(index: int) -> float:
        if index < first:
            return rate * (index + 1) / first
        done = (index - first) / max(1, total - first)
        return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    return at
