"""Reads arrays from files that anybody may have written: safetensors, and .npz as numpy.savez writes it.

Only plain numbers, never a pickle. What a header claims is compared with the file's own size before memory is taken,
and counted before it is parsed: a few bytes may not cost more than they are.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import ArtifactError
from headstart.core.messages import first_line
from headstart.core.schema import Rule, items, record, shorten, table, text, whole

FIX = "Fit again, or restore it from a copy."
MAX_HEADER_BYTES = 8 << 20  # of safetensors; 10,000 tensors have 1 MB
MAX_TENSORS = 20_000
MAX_HEADER_ITEMS = 10 * MAX_TENSORS  # commas and brackets: a shape of four has seven of them with its offsets
MAX_BYTES = 64 << 30  # of a safetensors file; a full copy of 8 billion parameters has half
MAX_NPZ_BYTES = 1 << 30  # one photo of a witness may have half of it
MAX_MEMBERS, MAX_DIRECTORY_BYTES = 1_000, 1 << 20  # arrays of an .npz file, and its directory of them
MAX_NPY_HEADER = 1_000  # bytes
MAX_EMPTY_DIMENSION = 1 << 17  # of an array without numbers; any other is bounded by its bytes
ITEMSIZE = dict(F64=8, F32=4, F16=2, I64=8, I32=4, I16=2, I8=1, U8=1, U16=2, U32=4, BOOL=1)  # bytes
SPARSE_BYTES = 16 << 20  # from which a file must have on disk at least half of what it claims to have
MAX_PIECES = 10_000  # of a file's data between holes
# Of an array in an .npz file: plain numbers, or text of a fixed length.
NPY_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<|](?:[fiu][1248]|b1|U[1-9]\d{0,3}))', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>(?:\d{1,12}(?:, \d{1,12}){0,7},?)?)\), \} *\n"
)
# What Python's reader of ZIP files raises on damaged ones.
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, NotImplementedError, OverflowError,
               RuntimeError, OSError, ValueError)  # fmt: skip
_size = whole(0, 1 << 40)
_entry = record({"dtype": text(8), "shape": items(_size, 8), "data_offsets": items(_size, 2, 2)})
_HEADER: Rule = record({}, {"__metadata__": table(text(1000), 100)}, others=True)
_ENTRIES: Rule = table(_entry, MAX_TENSORS, text(500))


def check_file_size(file: Path, most: int) -> int:
    """Bytes of a file. Raises ArtifactError where there are more than `most`, or most of them are a hole.

    A file system can hold a file of a terabyte in no space at all, and reading it takes as long as if it were one.
    """
    status = file.stat()
    if status.st_size > most:
        raise ArtifactError(f"{file} has {status.st_size:,} bytes; {most:,} are the most that are read. {FIX}")
    # Few blocks are no proof of a hole: systems that compress, or write later, count few for whole files too.
    on_disk = 512 * getattr(status, "st_blocks", 0)  # 0: unknown
    if status.st_size > SPARSE_BYTES and 0 < on_disk < status.st_size // 2 and _is_mostly_hole(file, status.st_size):
        raise ArtifactError(f"{file} claims {status.st_size:,} bytes and has {on_disk:,}: most of it is a hole. {FIX}")
    return status.st_size


def _is_mostly_hole(file: Path, size: int) -> bool:
    """Whether a file has data in less than half of its bytes, or in too many pieces to be one that was written once."""
    if not hasattr(os, "SEEK_DATA"):  # Windows, which tells no blocks either
        return False
    data = end = 0
    with open(file, "rb") as stream, suppress(OSError):  # behind the last data there is an error
        for _ in range(MAX_PIECES):
            start = os.lseek(stream.fileno(), end, os.SEEK_DATA)
            end = os.lseek(stream.fileno(), start, os.SEEK_HOLE)
            data += end - start
            if 2 * data >= size:
                return False
    return True


def read_header(file: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """{name: (dtype, shape)} of a safetensors file, checked against the file's size. Reads no tensor.

    Raises ArtifactError where it is cut short, claims more than there is, or has a dtype that is not read.
    """
    size = check_file_size(file, MAX_BYTES)
    with open(file, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
            raise ArtifactError(f"{file} is cut short, or no safetensors file: {size:,} bytes. {FIX}")
        raw = stream.read(length)
    if sum(map(raw.count, (b",", b"[", b"{"))) > MAX_HEADER_ITEMS:
        raise ArtifactError(f"{file} has more than {MAX_TENSORS:,} tensors, which no model has. {FIX}")
    try:
        facts = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file}: its header is damaged ({first_line(error)}). {FIX}") from error
    problem = _HEADER(facts)
    entries = {} if problem else {name: entry for name, entry in facts.items() if name != "__metadata__"}
    if problem := problem or _ENTRIES(entries):
        raise ArtifactError(f"{file}: its header is damaged: it{problem}. {FIX}")
    offset = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        if dtype not in ITEMSIZE:
            raise ArtifactError(f"{file}: {shorten(name)} has the type {shorten(dtype)}, which is not read. {FIX}")
        if begin != offset or end - begin != ITEMSIZE[dtype] * math.prod(shape):
            raise ArtifactError(f"{file}: {shorten(name)} claims other bytes than its shape {shape} takes. {FIX}")
        _check_empty(shape, name, file)
        offset = end
    if 8 + length + offset != size:
        raise ArtifactError(f"{file} has {size:,} bytes where its header tells of {8 + length + offset:,}. {FIX}")
    return {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in entries.items()}


def _check_empty(shape: tuple[int, ...], name: str, file: Path) -> None:
    """Raises ArtifactError for an array of no numbers whose other dimensions are none that any array has."""
    if 0 in shape and max(shape) > MAX_EMPTY_DIMENSION:
        raise ArtifactError(f"{file}: {shorten(name)} claims the shape {shape}, and holds nothing. {FIX}")


def read_safetensors(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file whose header was checked. Raises ArtifactError where one holds NaN."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(file)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ArtifactError(f"{file} is damaged ({first_line(error)}). {FIX}") from error
    for name, value in tensors.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ArtifactError(f"{file}: {shorten(name)} holds NaN or infinity. {FIX}")
    return tensors


def read_npz(file: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file as numpy.savez writes it, each size checked before it is allocated.

    Raises ArtifactError for compressed members (a few bytes can claim terabytes), pickled objects, and truncation.
    """
    size = check_file_size(file, MAX_NPZ_BYTES)
    try:
        check_zip_directory(file, MAX_MEMBERS)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if any(m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members):
                raise ArtifactError(f"{file} is compressed, which none of ours is: it may be a zip bomb. {FIX}")
            claimed = sum(m.file_size for m in members)
            if claimed > size:
                raise ArtifactError(f"{file} claims {claimed:,} bytes and has {size:,}. {FIX}")
            names = [m.filename for m in members]
            if len({*names}) != len(names):
                raise ArtifactError(f"{file} holds {shorten(max(names, key=names.count))} twice. {FIX}")
            return {m.filename.removesuffix(".npy"): _parse_npy(archive.read(m), file, m.filename) for m in members}
    except PermissionError:
        raise
    except DAMAGED_ZIP as error:
        raise ArtifactError(f"{file} is damaged or cut short ({first_line(error)}). {FIX}") from error


def check_zip_directory(file: Path, most: int) -> None:
    """Raises BadZipFile where a ZIP file does not end as plain ones do, or names more than `most` members.

    Python's reader makes an object of each member of the directory, however many it claims.
    """
    with open(file, "rb") as stream:
        end = stream.seek(0, 2)
        stream.seek(max(0, end - 42))
        tail = stream.read()
    last = tail[-22:]
    if len(last) < 22 or last[:4] != b"PK\x05\x06" or last[20:] != b"\0\0":
        raise zipfile.BadZipFile("File is not a zip file, or has something behind its end")
    count, length = int.from_bytes(last[10:12], "little"), int.from_bytes(last[12:16], "little")
    if count > most or length > MAX_DIRECTORY_BYTES or tail[:4] == b"PK\x06\x07":  # the last: a larger kind of ZIP
        raise zipfile.BadZipFile(f"its directory is larger than that of {most:,} files")


def _parse_npy(raw: bytes, file: Path, name: str) -> np.ndarray:
    """An array as numpy.save writes it. Its header is matched as text: numpy's own reader evaluates it."""
    version, size = raw[6:8], 2 if raw[6:7] == b"\x01" else 4
    start = 8 + size + int.from_bytes(raw[8 : 8 + size], "little")
    header = NPY_HEADER.fullmatch(raw[8 + size : start]) if start <= MAX_NPY_HEADER else None
    if raw[:6] != b"\x93NUMPY" or version not in (b"\x01\x00", b"\x02\x00") or header is None:
        raise ArtifactError(f"{file}: {shorten(name)} holds Python objects or another type that is not read. {FIX}")
    dtype, shape = np.dtype(header["dtype"].decode()), tuple(int(n) for n in header["shape"].split(b",") if n.strip())
    if start + math.prod(shape) * dtype.itemsize != len(raw):
        raise ArtifactError(
            f"{file}: {shorten(name)} claims the shape {shape} of {dtype}, which its bytes are not. {FIX}"
        )
    _check_empty(shape, name, file)
    flat: Any = np.frombuffer(raw, dtype, math.prod(shape), start)
    return flat.reshape(shape, order="F" if header["fortran"] == b"True" else "C")
