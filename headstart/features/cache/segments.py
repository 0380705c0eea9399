"""One immutable file of feature rows: written whole or not at all, and checked before it is believed.

Layout, little-endian:
    8 bytes   magic
    8 bytes   length of the header
    header    JSON: counts, shape of a row, sizes of the sections, reasons of the unreadable, checksum of the rows
    32 bytes  BLAKE2b of everything above and of the index below
    index     digests (16 bytes each, rows first, then unreadable), beyond (float32 each), preview offsets (uint64);
              of rows of unequal length also how many windows each has, then the windows' lengths (uint32 each)
    rows      contiguous, at a multiple of 64 bytes
    previews  one after the other
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from headstart.core.features import Ragged

MAGIC = b"HEADSEG1"
SUFFIX = ".seg"
DIGEST = 16  # bytes of an example's digest
CHECK = 32
ALIGN = 64
STORED = {"f2": "<f2", "u1": "|u1", "i4": "<i4"}  # what is not float32


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one input: its row, or why it has none.

    row:     float32, float16, uint8 or int32, or None when unreadable
    beyond:  share of the input beyond one window
    preview: a JPEG thumbnail, b"" where there is none
    reason:  why it cannot be read, "" when it can
    windows: lengths of its windows where rows are tokens, and so of unequal length
    """

    digest: str
    row: np.ndarray | None
    beyond: float = 0.0
    preview: bytes | memoryview = b""
    reason: str = ""
    windows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """An open segment. The rows and previews are maps: memory is used only for what is looked at."""

    path: Path
    digests: tuple[bytes, ...]
    rows: np.ndarray | Ragged
    beyond: np.ndarray
    offsets: np.ndarray
    reasons: dict[bytes, str]
    previews: np.ndarray
    rows_check: str

    def preview(self, position: int) -> memoryview:
        """The thumbnail of the row at `position`, as a map."""
        start, stop = (int(o) for o in self.offsets[position : position + 2])
        return self.previews[start:stop].data

    def entry(self, position: int) -> Entry:
        """What is kept of the row at `position`, as maps: nothing is read yet."""
        name, beyond, preview = self.digests[position].hex(), float(self.beyond[position]), self.preview(position)
        if isinstance(self.rows, Ragged):
            return Entry(name, self.rows.items[position], beyond, preview, windows=self.rows.windows[position])
        return Entry(name, self.rows[position], beyond, preview)

    def sound(self) -> bool:
        """Whether the rows are still what was written; reads all of them."""
        rows = self.rows.items if isinstance(self.rows, Ragged) else [self.rows]
        return _checksum([np.ascontiguousarray(r) for r in rows]) == self.rows_check


def write(folder: Path, entries: Sequence[Entry]) -> Path:
    """One new segment in `folder`, whole or not at all; safe while others write there too. Raises OSError."""
    good = [e for e in entries if e.row is not None]
    bad = {e.digest: e.reason for e in entries if e.row is None}
    dtype = STORED.get(good[0].row.dtype.str[1:], "<f4") if good and isinstance(good[0].row, np.ndarray) else "<f4"
    rows = [np.ascontiguousarray(e.row, dtype=dtype) for e in good]
    ragged = bool(good and good[0].windows)
    shapes = {((-1, *r.shape[1:]) if ragged else r.shape) for r in rows}
    if len(shapes) > 1:
        raise ValueError(f"the rows of one segment differ in shape: {sorted(shapes)}")
    shape = list(shapes.pop()) if shapes else [0]
    offsets = np.cumsum([0, *(len(e.preview) for e in good)]).astype("<u8")
    names = b"".join(bytes.fromhex(e.digest) for e in (*good, *(e for e in entries if e.row is None)))
    windows = [*(len(e.windows) for e in good), *(w for e in good for w in e.windows)] if ragged else []
    index = names + np.array([e.beyond for e in good], "<f4").tobytes() + offsets.tobytes()
    index += np.array(windows, "<u4").tobytes()
    facts = {"n": len(good), "shape": shape, "reasons": list(bad.values()), "previews": int(offsets[-1])}
    facts |= {"dtype": dtype, "windows": len(windows)}
    header = json.dumps({**facts, "rows": _checksum(rows)}).encode()
    top = MAGIC + len(header).to_bytes(8, "little") + header
    check = hashlib.blake2b(top + index, digest_size=CHECK).digest()
    before = len(top) + CHECK + len(index)
    # The name orders segments by age; the random part keeps two writers apart.
    stem = f"{_clock():016x}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary, final = folder / f".{stem}.tmp", folder / f"{stem}{SUFFIX}"
    try:
        with open(temporary, "xb") as file:
            file.write(top + check + index + b"\0" * (-before % ALIGN))
            for row in rows:
                file.write(row.tobytes())
            for e in good:
                file.write(e.preview)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return final


def _clock() -> int:
    import time

    return time.time_ns()


def _checksum(arrays: Sequence[np.ndarray]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for array in arrays:
        total.update(array.tobytes())
    return total.hexdigest()


def read(path: Path) -> Segment | None:
    """The segment in a file, or None when it is damaged or gone."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(16)
            length = int.from_bytes(start[8:], "little")
            if start[:8] != MAGIC or length > size:
                return None
            header = file.read(length)
            check = file.read(CHECK)
            index = file.read(_index_bytes(header, size))
            # Nothing else that the header says is looked at before it is known to be what was written.
            if hashlib.blake2b(start + header + index, digest_size=CHECK).digest() != check:
                return None
            facts = json.loads(header)
            n, reasons, shape = int(facts["n"]), list(facts["reasons"]), tuple(int(s) for s in facts["shape"])
            dtype, windows = np.dtype(facts.get("dtype", "<f4")), int(facts.get("windows", 0))
            rows_at = 16 + length + CHECK + len(index)
            rows_at += -rows_at % ALIGN
            lengths = np.frombuffer(index, "<u4", windows, len(index) - 4 * windows).astype(np.int64)
            count = int(lengths[n:].sum()) * int(np.prod(shape[1:])) if windows else n * int(np.prod(shape))
            bytes_of_rows = dtype.itemsize * count
            if size != rows_at + bytes_of_rows + int(facts["previews"]):
                return None
            # A map outlives the file's name, so another process may merge and unlink it meanwhile.
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            flat = np.frombuffer(whole, dtype, count, rows_at)
            rows = _ragged(flat, shape, lengths, n) if windows else flat.reshape(n, *shape)
            previews = np.frombuffer(whole, np.uint8, int(facts["previews"]), rows_at + bytes_of_rows)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    names = tuple(index[i : i + DIGEST] for i in range(0, DIGEST * (n + len(reasons)), DIGEST))
    after = DIGEST * len(names)
    beyond = np.frombuffer(index, "<f4", n, after)
    offsets = np.frombuffer(index, "<u8", n + 1, after + 4 * n)
    why = dict(zip(names[n:], reasons, strict=True))
    return Segment(path, names[:n], rows, beyond, offsets, why, previews, facts["rows"])


def _index_bytes(header: bytes, size: int) -> int:
    """How long the index is, by counts that may still be damaged. Raises ValueError where they cannot be true."""
    facts = json.loads(header)
    n, windows, bad = facts["n"], facts.get("windows", 0), len(facts["reasons"])
    if type(n) is not int or type(windows) is not int or not (0 <= n <= size and 0 <= windows <= size):
        raise ValueError("counts that no file of this size has")
    return DIGEST * (n + bad) + 4 * n + 8 * (n + 1) + 4 * windows


def _ragged(flat: np.ndarray, shape: tuple[int, ...], lengths: np.ndarray, n: int) -> Ragged:
    """The tokens of all rows as rows. lengths: how many windows each has, then how long each window is."""
    flat = flat.reshape(shape)
    ends = np.cumsum(lengths[:n])
    windows = [tuple(lengths[n:][stop - many : stop].tolist()) for stop, many in zip(ends, lengths[:n], strict=True)]
    edges = np.cumsum([0, *map(sum, windows)])
    items = tuple(flat[a:b] for a, b in pairwise(edges))
    return Ragged(items, tuple(windows))
