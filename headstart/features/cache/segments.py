"""One immutable file of feature rows: written whole or not at all, and verified as it is read.

Layout, little-endian:
    8 bytes   magic
    8 bytes   length of the header
    header    JSON: counts, shape of a row, sizes of the sections, reasons of the unreadable
    32 bytes  BLAKE2b of everything above and of the index below
    index     digests (16 bytes each, rows first, then unreadable), beyond (float32 each), thumbnail offsets (uint64);
              of rows of unequal length also how many windows each has, then the windows' lengths (uint32 each);
              16 bytes of BLAKE2b of each block of BLOCK bytes of what follows, the last of them shorter
    rows      contiguous, at a multiple of 64 bytes; zeros before them
    thumbnails, concatenated
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from headstart.core.digest import of_blocks
from headstart.core.features import Ragged
from headstart.core.files import write_atomic

MAGIC, MAGIC_1 = b"HEADSEG2", b"HEADSEG1"  # 1: of earlier versions, which had one checksum for all rows
SUFFIX = ".seg"
DIGEST_BYTES = 16  # bytes of an example's digest, and of a block's
CHECKSUM_BYTES = 32
ALIGN = 64
BLOCK = 256 << 10  # bytes that are verified at once: what is read for one row at least
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
    """An open segment. Rows and thumbnails are memory maps, to be read once `is_intact` said that they may.

    edges:    (n + 1,) int64, where each row starts among the bytes of all rows, and where the last ends
    verified: (blocks,) bool, those that were read and are what was written
    """

    path: Path
    digests: tuple[bytes, ...]
    rows: np.ndarray | Ragged
    beyond: np.ndarray
    offsets: np.ndarray
    reasons: dict[bytes, str]
    thumbnails: np.ndarray
    edges: np.ndarray
    body: np.ndarray
    checks: tuple[bytes, ...]
    verified: np.ndarray

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

    def is_intact(self, positions: np.ndarray | None = None) -> bool:
        """Whether the rows at `positions` (int64) with their thumbnails, or all, are still what was written.

        Each block is read once, however often it is asked for.
        """
        todo = np.ones(len(self.checks), bool) if positions is None else self._blocks_of(positions)
        numbers = np.flatnonzero(todo & ~self.verified)
        found = of_blocks([self.body[n * BLOCK : (n + 1) * BLOCK].data for n in numbers.tolist()])
        right = np.array([check == self.checks[n] for check, n in zip(found, numbers.tolist(), strict=True)], bool)
        self.verified[numbers[right]] = True
        return bool(right.all())

    def _blocks_of(self, positions: np.ndarray) -> np.ndarray:
        """(blocks,) bool: those that hold a byte of these rows or of their thumbnails."""
        rows = self.edges[positions], self.edges[positions + 1]
        thumbnails = self.offsets.astype(np.int64) + self.edges[-1]
        begun = np.zeros(len(self.checks) + 1, np.int64)
        for starts, stops in (rows, (thumbnails[positions], thumbnails[positions + 1])):
            some = stops > starts
            np.add.at(begun, starts[some] // BLOCK, 1)
            np.add.at(begun, (stops[some] - 1) // BLOCK + 1, -1)
        return begun.cumsum()[:-1] > 0


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
    parts = [*rows, *(e.thumbnail for e in readable)]
    checks = [hashlib.blake2b(block, digest_size=DIGEST_BYTES).digest() for block in _blocks(parts)]
    index = digests + np.array([e.beyond for e in readable], "<f4").tobytes() + offsets.tobytes()
    index += np.array(windows, "<u4").tobytes() + b"".join(checks)
    facts = {"n": len(readable), "shape": shape, "reasons": list(reasons.values()), "previews": int(offsets[-1])}
    header = json.dumps({**facts, "dtype": dtype, "windows": len(windows), "blocks": len(checks)}).encode()
    start = MAGIC + len(header).to_bytes(8, "little") + header
    checksum = hashlib.blake2b(start + index, digest_size=CHECKSUM_BYTES).digest()
    rows_start = len(start) + CHECKSUM_BYTES + len(index)
    head = start + checksum + index + b"\0" * (-rows_start % ALIGN)
    # The name orders segments by age; the random part keeps two writers apart.
    final = folder / f"{time.time_ns():016x}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
    write_atomic(final, (piece for pieces in ([head], _blocks(parts)) for piece in pieces))
    return final


def read_segment(path: Path) -> Segment | None:
    """The segment in a file, or None when it is damaged. Its rows are verified when they are asked for.

    Raises OSError where it is gone or cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(16)
        length = int.from_bytes(start[8:], "little")
        if start[:8] != MAGIC or length > size:
            return None
        header = file.read(length)
        checksum = file.read(CHECKSUM_BYTES)
        try:
            index = file.read(_index_bytes(header, size))
            # Nothing else of the header is used before its checksum holds.
            if hashlib.blake2b(start + header + index, digest_size=CHECKSUM_BYTES).digest() != checksum:
                return None
            facts = json.loads(header)
            if file.read(-file.tell() % ALIGN).strip(b"\0"):
                return None
            rows_start = file.tell()
            # A map outlives the file's name, so another process may merge and unlink it meanwhile.
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return _opened(path, facts, index, mapped, rows_start)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None


def is_of_earlier_version(path: Path) -> bool:
    """Whether a file is a segment as earlier versions wrote them. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC_1)) == MAGIC_1


def _opened(path: Path, facts: dict, index: bytes, mapped: mmap.mmap, rows_start: int) -> Segment | None:
    """The segment by its header, whose checksum holds; None where the file has another size."""
    n, reasons, shape = int(facts["n"]), list(facts["reasons"]), tuple(int(s) for s in facts["shape"])
    dtype, windows, blocks = np.dtype(facts["dtype"]), int(facts["windows"]), int(facts["blocks"])
    checks = [index[i : i + DIGEST_BYTES] for i in range(len(index) - DIGEST_BYTES * blocks, len(index), DIGEST_BYTES)]
    lengths = np.frombuffer(index, "<u4", windows, len(index) - DIGEST_BYTES * blocks - 4 * windows).astype(np.int64)
    count = int(lengths[n:].sum()) * int(np.prod(shape[1:])) if windows else n * int(np.prod(shape))
    rows_bytes = dtype.itemsize * count
    if len(mapped) != rows_start + rows_bytes + int(facts["previews"]):
        return None
    flat = np.frombuffer(mapped, dtype, count, rows_start)
    rows = _ragged(flat, shape, lengths, n) if windows else flat.reshape(n, *shape)
    sizes = [item.nbytes for item in rows.items] if isinstance(rows, Ragged) else [rows_bytes // n] * n if n else []
    edges = np.cumsum([0, *sizes]).astype(np.int64)
    thumbnails = np.frombuffer(mapped, np.uint8, int(facts["previews"]), rows_start + rows_bytes)
    digests = tuple(index[i : i + DIGEST_BYTES] for i in range(0, DIGEST_BYTES * (n + len(reasons)), DIGEST_BYTES))
    after = DIGEST_BYTES * len(digests)
    beyond = np.frombuffer(index, "<f4", n, after)
    offsets = np.frombuffer(index, "<u8", n + 1, after + 4 * n)
    reason_of = dict(zip(digests[n:], reasons, strict=True))
    body = np.frombuffer(mapped, np.uint8, rows_bytes + len(thumbnails), rows_start)
    known = (beyond, offsets, reason_of, thumbnails, edges, body, tuple(checks), np.zeros(blocks, bool))
    return Segment(path, digests[:n], rows, *known)


def _blocks(parts: Iterable[np.ndarray | bytes | memoryview]) -> Iterator[bytes]:
    """All bytes of the parts, BLOCK at a time."""
    kept = bytearray()
    for part in parts:
        view = part.reshape(-1).view(np.uint8).data if isinstance(part, np.ndarray) else memoryview(part)
        while view:
            taken = view[: BLOCK - len(kept)]
            kept += taken
            view = view[len(taken) :]
            if len(kept) == BLOCK:
                yield bytes(kept)
                kept.clear()
    if kept:
        yield bytes(kept)


def _index_bytes(header: bytes, size: int) -> int:
    """Length of the index by the header's counts, unverified. Raises ValueError where they are impossible."""
    facts = json.loads(header)
    n, windows, blocks, unreadable = facts["n"], facts["windows"], facts["blocks"], len(facts["reasons"])
    if any(type(count) is not int or not 0 <= count <= size for count in (n, windows, blocks)):
        raise ValueError("counts that no file of this size has")
    return DIGEST_BYTES * (n + unreadable + blocks) + 4 * n + 8 * (n + 1) + 4 * windows


def _ragged(flat: np.ndarray, shape: tuple[int, ...], lengths: np.ndarray, n: int) -> Ragged:
    """All tokens split into rows. lengths: number of windows of each row, then the length of each window."""
    flat = flat.reshape(shape)
    ends = np.cumsum(lengths[:n])
    windows = [tuple(lengths[n:][stop - count : stop].tolist()) for stop, count in zip(ends, lengths[:n], strict=True)]
    edges = np.cumsum([0, *map(sum, windows)])
    items = tuple(flat[a:b] for a, b in pairwise(edges))
    return Ragged(items, tuple(windows))
