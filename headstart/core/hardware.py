"""Facts of this machine that decide what runs where. Imports nothing heavy."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from headstart.core import digest

# Where Linux shows accelerators.
ACCELERATOR_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dri/renderD128", "/dev/accel")


@cache
def processor_info() -> tuple[str, frozenset[str]]:
    """The processor's name and its feature flags as /proc/cpuinfo spells them; none where there is no such file."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), frozenset()
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    flags = frozenset((facts.get("flags") or facts.get("Features") or "").split())
    return facts.get("model name") or platform.machine(), flags


def has_native_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself."""
    return not processor_info()[1].isdisjoint({"amx_bf16", "avx512_bf16", "bf16"})


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def has_accelerator() -> bool:
    """Whether torch finds an accelerator. torch is only asked where the system shows a device."""
    if platform.system() == "Linux" and not any(map(os.path.exists, ACCELERATOR_DEVICES)):
        return False
    try:
        import torch
    except ImportError:
        return False
    return torch.accelerator.is_available()


def hardware_key(*libraries: str) -> str:
    """A name for this processor, so many cores and these versions of libraries: what a measured speed holds for."""
    versions = {name: installed_version(name) for name in libraries}
    return digest.of_value([processor_info()[0], available_cores(), versions])[:16]


def installed_version(name: str) -> str:
    """The version of a library, "" where it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
