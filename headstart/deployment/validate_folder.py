"""Validates an untrusted model folder before anything of it is opened: file names, sizes, types, digests.

Only safetensors, JSON and one uncompressed .npz are read, never a pickle. Sizes that a header claims are compared with
the file's own size before memory is allocated.
"""

from __future__ import annotations

import json
import math
import re
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.errors import ArtifactError
from headstart.core.messages import first_line

SCHEMA = 3  # 1 stored every tensor in single precision, 2 has former names of settings; both are read
CARD, DELTA, WITNESS = "card.json", "delta.safetensors", "witness.npz"
MAX_CARD_BYTES = 16 << 20  # a card with a thousand classes has 60 KB
MAX_HEADER_BYTES = 32 << 20  # of safetensors; 10,000 tensors have 1 MB
MAX_WITNESS_BYTES = 1 << 30  # one photo may have half of it
SUFFIXES = (".safetensors", ".json", ".npz")
REQUIRED = {"backbone": dict, "cut": int, "method": str, "objective": dict, "files": dict, "kind": str}
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}){0,3}")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
ITEMSIZE = dict(F64=8, F32=4, F16=2, I64=8, I32=4, I16=2, I8=1, U8=1, U16=2, U32=4, BOOL=1)  # bytes
# Of an array in an .npz file: plain numbers, or text of a fixed length.
NPY_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<|](?:[fiu][1248]|b1|U\d{1,6}))', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>(?:\d{1,15}(?:, \d{1,15}){0,7},?)?)\), \} *\n"
)
MAX_DIMENSION = 2**40  # of an array
MAX_WIDTH = 1 << 17  # labels, embedding width, ranks
FIX = "Fit again, or restore it from a copy."


def validate(folder: Path) -> dict:
    """card.json of a model folder, after the digest and header of every file that it names were checked.

    Raises ArtifactError naming the file, what is wrong with it, and what to do.
    """
    facts = read_card(folder)
    for name, pinned in facts["files"].items():
        check_name(name, folder / CARD)
        file = regular_file(folder, name)
        if digest.of_files([file]) != pinned:
            raise ArtifactError(f"{file} has changed since it was saved ({str(pinned)[:19]}…). {FIX}")
        if name.endswith(".safetensors"):
            read_header(file)
        elif name.endswith(".json"):
            read_json(file)
    return facts


def read_card(folder: Path) -> dict:
    """card.json with each part's type checked. Raises ArtifactError for a wrong type or another schema."""
    file = regular_file(folder, CARD)
    facts = read_json(file)
    schema = facts.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        newer = type(schema) is int and schema > SCHEMA
        fix = "Upgrade: pip install -U headstart" if newer else "Fit again, or use the version that wrote it"
        raise ArtifactError(f"{file} has schema {schema!r}; this version reads 1 to {SCHEMA}. {fix}.")
    for name, kind in REQUIRED.items():
        if name not in facts:
            raise ArtifactError(f"{file} lacks {name}. {FIX}")
        if type(facts[name]) is not kind:
            raise ArtifactError(f"{file}: {name} is {_shorten(facts[name])}, not {kind.__name__}. {FIX}")
    words = {"method": facts["method"], "objective": facts["objective"].get("name"), "kind of data": facts["kind"]}
    for role, name in words.items():
        if not _is_identifier(name):
            raise ArtifactError(f"{file}: the {role} {_shorten(name)} is no name of one. {FIX}")
    _check_base(facts["backbone"], file)
    for name in (DELTA, WITNESS):
        if name not in facts["files"]:
            raise ArtifactError(f"{file} does not pin {name}, without which nothing is proven. {FIX}")
    return facts


def _check_base(base: dict, file: Path) -> None:
    """Raises ArtifactError unless each fact about the base has the right type."""
    spec = base.get("preprocess")
    valid = {
        "name": isinstance(base.get("name"), str) and _is_identifier(base["name"].partition(":")[0]),
        "weights": isinstance(base.get("weights"), str),
        "width": type(base.get("width")) is int and 0 < base["width"] <= MAX_WIDTH,
        "blocks": isinstance(base.get("blocks"), list) and all(map(_is_block, base["blocks"])),
        "preprocess": isinstance(spec, dict)
        and isinstance(spec.get("settings"), list)
        and _is_identifier(spec.get("kind"))
        and all(isinstance(s, list) and len(s) == 2 and isinstance(s[0], str) for s in spec["settings"]),
    }
    invalid = [name for name, ok in valid.items() if not ok]
    if invalid:
        raise ArtifactError(f"{file} does not say which base it is for: its {invalid[0]} is none. {FIX}")


def _is_block(block: object) -> bool:
    return isinstance(block, dict) and isinstance(block.get("name"), str) and isinstance(block.get("shape"), list)


def _is_identifier(name: object) -> bool:
    return isinstance(name, str) and IDENTIFIER.fullmatch(name) is not None


def check_name(name: object, card: Path) -> None:
    """Raises ArtifactError unless a file's name stays inside of the folder and has a suffix that is read.

    card: the file that names it
    """
    if not isinstance(name, str) or not FILE_NAME.fullmatch(name) or ".." in name:
        raise ArtifactError(
            f"{card} names the file {_shorten(name)}: only plain names inside of the folder are read, no '..', no "
            f"absolute path, no backslash. Do not trust this folder; ask whoever made it."
        )
    if not name.endswith(SUFFIXES):
        raise ArtifactError(
            f"{card} names the file {_shorten(name)}: only {', '.join(SUFFIXES)} are read, because a pickle can run "
            f"code. Do not trust this folder; ask whoever made it."
        )


def regular_file(folder: Path, name: str) -> Path:
    """A file of the folder. Raises ArtifactError where it is missing, no plain file, or a link that leads outside."""
    file = folder / name
    try:
        status = file.stat()
        inside = file.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:
        raise ArtifactError(f"{file} is missing. {FIX}") from error
    if not inside:
        raise ArtifactError(f"{file} is a link that leads out of the folder. Put the file itself there.")
    if not stat.S_ISREG(status.st_mode):
        raise ArtifactError(f"{file} is not a plain file. {FIX}")
    return file


def read_json(file: Path) -> dict:
    """A JSON object of at most MAX_CARD_BYTES. Raises ArtifactError."""
    size = file.stat().st_size
    if size > MAX_CARD_BYTES:
        raise ArtifactError(f"{file} has {size:,} bytes; {MAX_CARD_BYTES:,} are the most that are read. {FIX}")
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file} is damaged ({first_line(error)}). {FIX}") from error
    if not isinstance(facts, dict):
        raise ArtifactError(f"{file} holds {_shorten(facts)}, not an object. {FIX}")
    return facts


def read_header(file: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """{name: (dtype, shape)} of a safetensors file, checked against the file's size. Reads no tensor.

    Raises ArtifactError where it is cut short, claims more than there is, or has a dtype that is not read.
    """
    size = file.stat().st_size
    with open(file, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
            raise ArtifactError(f"{file} is cut short, or no safetensors file: {size:,} bytes. {FIX}")
        text = stream.read(length)
    try:
        facts = json.loads(text)
        entries = {name: _parse_entry(entry) for name, entry in facts.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{file}: its header is damaged ({first_line(error)}). {FIX}") from error
    offset = 0
    for name, (dtype, shape, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if dtype not in ITEMSIZE:
            raise ArtifactError(f"{file}: {_shorten(name)} has the type {_shorten(dtype)}, which is not read. {FIX}")
        if begin != offset or end - begin != ITEMSIZE[dtype] * math.prod(shape):
            raise ArtifactError(f"{file}: {_shorten(name)} claims other bytes than its shape {shape} takes. {FIX}")
        offset = end
    if 8 + length + offset != size:
        raise ArtifactError(f"{file} has {size:,} bytes where its header tells of {8 + length + offset:,}. {FIX}")
    return {name: (dtype, shape) for name, (dtype, shape, _, _) in entries.items()}


def _parse_entry(entry: dict) -> tuple[str, tuple[int, ...], int, int]:
    """(dtype, shape, begin, end) of a tensor. Raises ValueError where one cannot be."""
    shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
    if any(type(n) is not int or not 0 <= n <= MAX_DIMENSION for n in (*shape, begin, end)) or len(shape) > 8:
        raise ValueError("a shape or an offset is no number that can be")
    return str(entry["dtype"]), shape, begin, end


def read_safetensors(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file whose header was checked. Raises ArtifactError where one holds NaN."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(file)
    except (SafetensorError, ValueError) as error:
        raise ArtifactError(f"{file} is damaged ({first_line(error)}). {FIX}") from error
    for name, value in tensors.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ArtifactError(f"{file}: {_shorten(name)} holds NaN or infinity. {FIX}")
    return tensors


def recipe(stored: dict[str, np.ndarray], file: Path) -> None:
    """Raises ArtifactError where the recipe among the arrays asks for a network larger than anyone would build."""
    if "recipe" not in stored:
        return
    try:
        facts = json.loads(stored["recipe"].tobytes())
        asked = {name: facts["settings"].get(name, 0) for name in ("rank", "tokens", "width", "bottleneck")}
        sizes = asked | {"labels": facts["width"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{file}: its recipe is damaged ({first_line(error)}). {FIX}") from error
    for name, size in sizes.items():
        if type(size) is not int or not 0 <= size <= MAX_WIDTH:
            raise ArtifactError(f"{file}: its recipe asks for {name} {_shorten(size)}; {MAX_WIDTH:,} at most. {FIX}")


def read_npz(file: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file as numpy.savez writes it, each size checked before it is allocated.

    Raises ArtifactError for compressed members (a few bytes can claim terabytes), pickled objects, and truncation.
    """
    size = file.stat().st_size
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if any(m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members):
                raise ArtifactError(f"{file} is compressed, which none of ours is: it may be a zip bomb. {FIX}")
            claimed = sum(m.file_size for m in members)
            if claimed > min(size, MAX_WITNESS_BYTES):
                raise ArtifactError(
                    f"{file} claims {claimed:,} bytes and has {size:,}; {MAX_WITNESS_BYTES:,} at most. {FIX}"
                )
            return {m.filename.removesuffix(".npy"): _parse_npy(archive.read(m), file, m.filename) for m in members}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise ArtifactError(f"{file} is damaged or cut short ({first_line(error)}). {FIX}") from error


def _parse_npy(raw: bytes, file: Path, name: str) -> np.ndarray:
    """An array as numpy.save writes it. Its header is matched as text: numpy's own reader evaluates it."""
    version, size = raw[6:8], 2 if raw[6:7] == b"\x01" else 4
    start = 8 + size + int.from_bytes(raw[8 : 8 + size], "little")
    header = NPY_HEADER.fullmatch(raw[8 + size : start])
    if raw[:6] != b"\x93NUMPY" or version not in (b"\x01\x00", b"\x02\x00") or header is None:
        raise ArtifactError(f"{file}: {name} holds Python objects or another type that is not read. {FIX}")
    dtype, shape = np.dtype(header["dtype"].decode()), tuple(int(n) for n in header["shape"].split(b",") if n.strip())
    if start + math.prod(shape) * dtype.itemsize != len(raw):
        raise ArtifactError(f"{file}: {name} claims the shape {shape} of {dtype}, which its bytes are not. {FIX}")
    flat: Any = np.frombuffer(raw, dtype, math.prod(shape), start)
    return flat.reshape(shape, order="F" if header["fortran"] == b"True" else "C")


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
