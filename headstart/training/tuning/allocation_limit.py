"""A bound on what is built from a stored recipe: a file of a few bytes may ask for matrices of any size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from headstart.core.errors import ArtifactError

# What makes a tensor of a size that is given in numbers. torch.nn and PEFT make all their weights with these.
_MAKERS = ("empty", "empty_strided", "zeros", "ones", "full", "rand", "randn", "randint", "arange", "eye")
_OF_TENSORS = ("new_empty", "new_zeros", "new_ones", "new_full", "repeat")
FACTORIES = {*(getattr(torch, name) for name in _MAKERS), *(getattr(torch.Tensor, name) for name in _OF_TENSORS)}
SIZELESS = ("out", "generator", "pin_memory")  # arguments that say nothing of the size
SPARE_NUMBERS = 1 << 20  # beside twice those stored: statistics that are not stored, intermediate values


@contextmanager
def building_at_most(stored: int) -> Iterator[None]:
    """A context in which torch may make no more numbers than twice those stored, counted before memory is taken.

    Raises ArtifactError.
    """
    with _CountNumbers(2 * stored + SPARE_NUMBERS):
        yield


class _CountNumbers(TorchFunctionMode):
    """Counts the numbers of each new tensor, made first without memory."""

    def __init__(self, allowed: int):
        super().__init__()
        self.allowed, self.made = allowed, 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        if function in FACTORIES:
            self.made += _count(function, args, options)
            if self.made > self.allowed:
                raise ArtifactError(
                    f"its recipe asks for a network of {self.made:,} numbers or more; what is stored with it explains "
                    f"{self.allowed:,} at most. Do not trust this folder; ask whoever made it."
                )
        return function(*args, **options)


def _count(function: Any, args: Any, options: dict) -> int:
    """Numbers in the tensor that a factory would give, told without memory."""
    options = {name: value for name, value in options.items() if name not in SIZELESS}
    if isinstance(args[0] if args else None, torch.Tensor):
        return function(args[0].to("meta"), *args[1:], **options).numel()
    return function(*args, **{**options, "device": "meta"}).numel()
