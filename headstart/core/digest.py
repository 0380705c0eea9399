"""Names for bytes and for values: equal content, equal name, on any machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np


def of_bytes(data: bytes | memoryview) -> str:
    """32 hex digits of BLAKE2b."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def of_value(value: object) -> str:
    """Name of a dataclass or of plain JSON data; key order does not matter."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return of_bytes(json.dumps(plain, sort_keys=True).encode())


def of_files(paths: Iterable[Path]) -> str:
    """'sha256:' and 64 hex digits over the files' contents, in the order given; their names do not count."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{total.hexdigest()}"


def of_arrays(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """'sha256:' and 64 hex digits over names, dtypes, shapes and values, in order of name."""
    total = hashlib.sha256()
    for name, array in sorted(arrays, key=lambda pair: pair[0]):
        total.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return f"sha256:{total.hexdigest()}"
