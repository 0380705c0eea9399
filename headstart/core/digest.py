"""Names for bytes and for values: equal content, equal name, on any machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np

BLOCK_BYTES = 4 << 20  # of a file that is hashed block by block
THREADS, THREADED_BYTES = 4, 16 << 20  # hashing lets go of the interpreter; from so many bytes threads pay


def of_bytes(data: bytes | memoryview) -> str:
    """32 hex digits of BLAKE2b."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def of_blocks(blocks: Sequence[memoryview | bytes]) -> list[bytes]:
    """16 bytes of BLAKE2b of each block, on threads where there are many bytes."""

    def of_block(block: memoryview | bytes) -> bytes:
        return hashlib.blake2b(block, digest_size=16).digest()

    if sum(map(len, blocks)) < THREADED_BYTES:
        return [of_block(block) for block in blocks]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(of_block, blocks))


def of_file(path: Path) -> str:
    """32 hex digits over a file's content, by blocks: a gigabyte takes half a second. Raises OSError."""
    with open(path, "rb") as file:
        total = hashlib.blake2b(digest_size=16)
        while blocks := [block for _ in range(2 * THREADS) if (block := file.read(BLOCK_BYTES))]:
            for block_digest in of_blocks(blocks):
                total.update(block_digest)
    return total.hexdigest()


def of_value(value: object) -> str:
    """Name of a dataclass or of plain JSON data; key order does not matter."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return of_bytes(json.dumps(plain, sort_keys=True).encode())


def of_files(paths: Iterable[Path]) -> str:
    """'sha256:' and 64 hex digits over the files' contents, in the order given; their names do not count."""
    return of_contents(map(of_content, paths))


def of_content(path: Path) -> bytes:
    """32 bytes of SHA-256 over a file's content. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def of_contents(contents: Iterable[bytes]) -> str:
    """What `of_files` gives for files of which `of_content` was taken."""
    return f"sha256:{hashlib.sha256(b''.join(contents)).hexdigest()}"


def of_arrays(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """'sha256:' and 64 hex digits over names, dtypes, shapes and values, in order of name."""
    total = hashlib.sha256()
    for name, array in sorted(arrays, key=lambda pair: pair[0]):
        total.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return f"sha256:{total.hexdigest()}"
