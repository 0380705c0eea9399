"""One immutable file of feature rows: written whole or not at all, and verified when it is read.

Layout, little-endian:
    8 bytes   magic
    8 bytes   length of the header
    header    JSON: counts, shape of a row, sizes of the sections, reasons of the unreadable, checksum of the rows
    32 bytes  BLAKE2b of everything above and of the index below
    index     digests (16 bytes each, rows first, then unreadable), beyond (float32 each), thumbnail offsets (uint64);
              of rows of unequal length also how many windows each has, then the windows' lengths (uint32 each)
    rows      contiguous, at a multiple of 64 bytes
    thumbnails, concatenated
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from headstart.core.features import Ragged

MAGIC = b"HEADSEG1"
SUFFIX = ".seg"
DIGEST_BYTES = 16  # bytes of an example's digest
CHECKSUM_BYTES = 32
ALIGN = 64
DTYPES = {"f2": "<f2", "u1": "|u1", "i4": "<i4"}  # other than float32


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What is stored of one input: its row, or why it has none.

    row:     float32, float16, uint8 or int32, or None when unreadable
    beyond:  share of the input that truncation to one window would cut off
    thumbnail: a JPEG, b"" where there is none
    reason:  why it cannot be read, "" when it can
    windows: lengths of its windows where rows are tokens, and so of unequal length
    """

    digest: str
    row: np.ndarray | None
    beyond: float = 0.0
    thumbnail: bytes | memoryview = b""
    reason: str = ""
    windows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """An open segment. Rows and thumbnails are memory maps."""

    path: Path
    digests: tuple[bytes, ...]
    rows: np.ndarray | Ragged
    beyond: np.ndarray
    offsets: np.ndarray
    reasons: dict[bytes, str]
    thumbnails: np.ndarray
    rows_check: str

    def thumbnail(self, position: int) -> memoryview:
        """The thumbnail of the row at `position`, as a map."""
        start, stop = (int(o) for o in self.offsets[position : position + 2])
        return self.thumbnails[start:stop].data

    def entry(self, position: int) -> CacheEntry:
        """The entry of the row at `position`, as maps: nothing is read yet."""
        name, beyond, thumbnail = self.digests[position].hex(), float(self.beyond[position]), self.thumbnail(position)
        if isinstance(self.rows, Ragged):
            return CacheEntry(name, self.rows.items[position], beyond, thumbnail, windows=self.rows.windows[position])
        return CacheEntry(name, self.rows[position], beyond, thumbnail)

    def is_intact(self) -> bool:
        """Whether the rows are still what was written; reads all of them."""
        rows = self.rows.items if isinstance(self.rows, Ragged) else [self.rows]
        return _checksum([np.ascontiguousarray(r) for r in rows]) == self.rows_check


def write_segment(folder: Path, entries: Sequence[CacheEntry]) -> Path:
    """One new segment in `folder`, whole or not at all; safe while others write there too. Raises OSError."""
    readable = [e for e in entries if e.row is not None]
    reasons = {e.digest: e.reason for e in entries if e.row is None}
    dtype = DTYPES.get(next((e.row.dtype.str[1:] for e in entries if e.row is not None), ""), "<f4")
    rows = [np.ascontiguousarray(e.row, dtype=dtype) for e in readable]
    ragged = bool(readable and readable[0].windows)
    shapes = {((-1, *r.shape[1:]) if ragged else r.shape) for r in rows}
    if len(shapes) > 1:
        raise ValueError(f"the rows of one segment differ in shape: {sorted(shapes)}")
    shape = list(shapes.pop()) if shapes else [0]
    offsets = np.cumsum([0, *(len(e.thumbnail) for e in readable)]).astype("<u8")
    digests = b"".join(bytes.fromhex(e.digest) for e in (*readable, *(e for e in entries if e.row is None)))
    windows = [*(len(e.windows) for e in readable), *(w for e in readable for w in e.windows)] if ragged else []
    index = digests + np.array([e.beyond for e in readable], "<f4").tobytes() + offsets.tobytes()
    index += np.array(windows, "<u4").tobytes()
    facts = {"n": len(readable), "shape": shape, "reasons": list(reasons.values()), "previews": int(offsets[-1])}
    facts |= {"dtype": dtype, "windows": len(windows)}
    header = json.dumps({**facts, "rows": _checksum(rows)}).encode()
    start = MAGIC + len(header).to_bytes(8, "little") + header
    checksum = hashlib.blake2b(start + index, digest_size=CHECKSUM_BYTES).digest()
    rows_start = len(start) + CHECKSUM_BYTES + len(index)
    # The name orders segments by age; the random part keeps two writers apart.
    stem = f"{time.time_ns():016x}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary, final = folder / f".{stem}.tmp", folder / f"{stem}{SUFFIX}"
    try:
        with open(temporary, "xb") as file:
            file.write(start + checksum + index + b"\0" * (-rows_start % ALIGN))
            for row in rows:
                file.write(row.tobytes())
            for e in readable:
                file.write(e.thumbnail)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return final


def read_segment(path: Path) -> Segment | None:
    """The segment in a file, or None when it is damaged or gone."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(16)
            length = int.from_bytes(start[8:], "little")
            if start[:8] != MAGIC or length > size:
                return None
            header = file.read(length)
            checksum = file.read(CHECKSUM_BYTES)
            index = file.read(_index_bytes(header, size))
            # Nothing else of the header is used before its checksum holds.
            if hashlib.blake2b(start + header + index, digest_size=CHECKSUM_BYTES).digest() != checksum:
                return None
            facts = json.loads(header)
            n, reasons, shape = int(facts["n"]), list(facts["reasons"]), tuple(int(s) for s in facts["shape"])
            dtype, windows = np.dtype(facts.get("dtype", "<f4")), int(facts.get("windows", 0))
            rows_start = 16 + length + CHECKSUM_BYTES + len(index)
            rows_start += -rows_start % ALIGN
            lengths = np.frombuffer(index, "<u4", windows, len(index) - 4 * windows).astype(np.int64)
            count = int(lengths[n:].sum()) * int(np.prod(shape[1:])) if windows else n * int(np.prod(shape))
            rows_bytes = dtype.itemsize * count
            if size != rows_start + rows_bytes + int(facts["previews"]):
                return None
            # A map outlives the file's name, so another process may merge and unlink it meanwhile.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            flat = np.frombuffer(mapped, dtype, count, rows_start)
            rows = _ragged(flat, shape, lengths, n) if windows else flat.reshape(n, *shape)
            thumbnails = np.frombuffer(mapped, np.uint8, int(facts["previews"]), rows_start + rows_bytes)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    digests = tuple(index[i : i + DIGEST_BYTES] for i in range(0, DIGEST_BYTES * (n + len(reasons)), DIGEST_BYTES))
    after = DIGEST_BYTES * len(digests)
    beyond = np.frombuffer(index, "<f4", n, after)
    offsets = np.frombuffer(index, "<u8", n + 1, after + 4 * n)
    reason_of = dict(zip(digests[n:], reasons, strict=True))
    return Segment(path, digests[:n], rows, beyond, offsets, reason_of, thumbnails, facts["rows"])


def _checksum(arrays: Sequence[np.ndarray]) -> str:
    checksum = hashlib.blake2b(digest_size=16)
    for array in arrays:
        checksum.update(array.tobytes())
    return checksum.hexdigest()


def _index_bytes(header: bytes, size: int) -> int:
    """Length of the index by the header's counts, unverified. Raises ValueError where they are impossible."""
    facts = json.loads(header)
    n, windows, unreadable = facts["n"], facts.get("windows", 0), len(facts["reasons"])
    if type(n) is not int or type(windows) is not int or not (0 <= n <= size and 0 <= windows <= size):
        raise ValueError("counts that no file of this size has")
    return DIGEST_BYTES * (n + unreadable) + 4 * n + 8 * (n + 1) + 4 * windows


def _ragged(flat: np.ndarray, shape: tuple[int, ...], lengths: np.ndarray, n: int) -> Ragged:
    """All tokens split into rows. lengths: number of windows of each row, then the length of each window."""
    flat = flat.reshape(shape)
    ends = np.cumsum(lengths[:n])
    windows = [tuple(lengths[n:][stop - count : stop].tolist()) for stop, count in zip(ends, lengths[:n], strict=True)]
    edges = np.cumsum([0, *map(sum, windows)])
    items = tuple(flat[a:b] for a, b in pairwise(edges))
    return Ragged(items, tuple(windows))
