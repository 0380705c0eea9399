"""How much memory there is, so that what cannot fit is refused before it is tried."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
ASSUMED = 8 << 30  # bytes, where the system does not say


def total_memory() -> int:
    """Bytes that this process may use at most: of the machine, or of the container that it runs in."""
    limits = []
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for file in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # there is no container, or it has no limit ("max")
            limits.append(int(Path(file).read_text()))
    return min(limits, default=ASSUMED)
