"""PEFT's methods on what lies above a cut: injected where it learns, and written as the folder that PEFT reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def files(body: nn.Sequential) -> dict[str, bytes]:
    """adapter_config.json and adapter_model.safetensors of what was injected; nothing where nothing was."""
    return {}
