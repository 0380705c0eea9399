"""Looks over a model folder that came from elsewhere, before anything of it is opened: names, sizes, kinds of file.

Only safetensors, JSON and one uncompressed .npz are read, never a pickle. Whatever a file claims of itself is held
against the bytes that are there before memory is asked for.
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

SCHEMA = 2  # 1 stored every tensor in single precision, and is read
CARD, DELTA, WITNESS = "card.json", "delta.safetensors", "witness.npz"
CARD_BYTES = 16 << 20  # a card with a thousand classes has 60 KB
HEADER_BYTES = 32 << 20  # of safetensors; 10,000 tensors have 1 MB
WITNESS_BYTES = 1 << 30  # one photo may have half of it
KINDS = (".safetensors", ".json", ".npz")
NEEDED = {"backbone": dict, "cut": int, "method": str, "objective": dict, "files": dict, "kind": str}
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}){0,3}")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
SIZES = {"F64": 8, "F32": 4, "F16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "U16": 2, "U32": 4, "BOOL": 1}
# Of an array in an .npz file: numbers of a plain kind, or text of a fixed length.
HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<|](?:[fiu][1248]|b1|U\d{1,6}))', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>(?:\d{1,15}(?:, \d{1,15}){0,7},?)?)\), \} *\n"
)
LARGEST = 2**40  # of a dimension
WIDEST = 1 << 17  # labels, numbers of a row, ranks
AGAIN = "Fit again, or restore it from a copy."


def inspect(place: Path) -> dict:
    """card.json of a model folder, once every file that it names was found to be what it says, unopened.

    Raises ArtifactError naming the file, what is wrong with it, and what to do.
    """
    facts = card(place)
    for name, pinned in facts["files"].items():
        check_name(name, place / CARD)
        file = regular(place, name)
        if digest.of_files([file]) != pinned:
            raise ArtifactError(f"{file} has changed since it was saved ({str(pinned)[:19]}…). {AGAIN}")
        if name.endswith(".safetensors"):
            header(file)
        elif name.endswith(".json"):
            read_json(file)
    return facts


def card(place: Path) -> dict:
    """card.json, whose parts are of the types that they must be. Raises ArtifactError for another schema."""
    file = regular(place, CARD)
    facts = read_json(file)
    schema = facts.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        newer = type(schema) is int and schema > SCHEMA
        todo = "Upgrade: pip install -U headstart" if newer else "Fit again, or use the version that wrote it"
        raise ArtifactError(f"{file} has schema {schema!r}; this version reads 1 to {SCHEMA}. {todo}.")
    for name, kind in NEEDED.items():
        if name not in facts:
            raise ArtifactError(f"{file} lacks {name}. {AGAIN}")
        if type(facts[name]) is not kind:
            raise ArtifactError(f"{file}: {name} is {_shown(facts[name])}, not {kind.__name__}. {AGAIN}")
    words = {"method": facts["method"], "objective": facts["objective"].get("name"), "kind of data": facts["kind"]}
    for what, name in words.items():
        if not isinstance(name, str) or not WORD.fullmatch(name):
            raise ArtifactError(f"{file}: the {what} {_shown(name)} is no name of one. {AGAIN}")
    _base(facts["backbone"], file)
    for name in (DELTA, WITNESS):
        if name not in facts["files"]:
            raise ArtifactError(f"{file} does not pin {name}, without which nothing is proven. {AGAIN}")
    return facts


def _base(said: dict, file: Path) -> None:
    """Raises ArtifactError unless each fact about the base is of the type that it must be."""
    spec = said.get("preprocess")
    sound = {
        "name": isinstance(said.get("name"), str) and WORD.fullmatch(str(said["name"]).partition(":")[0]) is not None,
        "weights": isinstance(said.get("weights"), str),
        "width": type(said.get("width")) is int and 0 < said["width"] <= WIDEST,
        "blocks": isinstance(said.get("blocks"), list) and all(map(_block, said["blocks"])),
        "preprocess": isinstance(spec, dict)
        and isinstance(spec.get("settings"), list)
        and isinstance(spec.get("kind"), str)
        and WORD.fullmatch(spec["kind"]) is not None
        and all(isinstance(s, list) and len(s) == 2 and isinstance(s[0], str) for s in spec["settings"]),
    }
    odd = [name for name, fine in sound.items() if not fine]
    if odd:
        raise ArtifactError(f"{file} does not say which base it is for: its {odd[0]} is none. {AGAIN}")


def _block(said: object) -> bool:
    return isinstance(said, dict) and isinstance(said.get("name"), str) and isinstance(said.get("shape"), list)


def check_name(name: object, said: Path) -> None:
    """Raises ArtifactError unless a file's name stays inside of the folder and is of a kind that is read.

    said: the file that names it
    """
    if not isinstance(name, str) or not PLAIN.fullmatch(name) or ".." in name:
        raise ArtifactError(
            f"{said} names the file {_shown(name)}: only plain names inside of the folder are read, no '..', no "
            f"absolute path, no backslash. Do not trust this folder; ask whoever made it."
        )
    if not name.endswith(KINDS):
        raise ArtifactError(
            f"{said} names the file {_shown(name)}: only {', '.join(KINDS)} are read, because a pickle can run code. "
            f"Do not trust this folder; ask whoever made it."
        )


def regular(place: Path, name: str) -> Path:
    """A file of the folder. Raises ArtifactError where it is missing, no plain file, or a link that leads outside."""
    file = place / name
    try:
        facts = file.stat()
        inside = file.resolve(strict=True).is_relative_to(place.resolve())
    except (OSError, RuntimeError) as error:
        raise ArtifactError(f"{file} is missing. {AGAIN}") from error
    if not inside:
        raise ArtifactError(f"{file} is a link that leads out of the folder. Put the file itself there.")
    if not stat.S_ISREG(facts.st_mode):
        raise ArtifactError(f"{file} is not a plain file. {AGAIN}")
    return file


def read_json(file: Path) -> dict:
    """A JSON object of at most CARD_BYTES. Raises ArtifactError."""
    size = file.stat().st_size
    if size > CARD_BYTES:
        raise ArtifactError(f"{file} has {size:,} bytes; {CARD_BYTES:,} are the most that are read. {AGAIN}")
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{file} is damaged ({_first(error)}). {AGAIN}") from error
    if not isinstance(facts, dict):
        raise ArtifactError(f"{file} holds {_shown(facts)}, not an object. {AGAIN}")
    return facts


def header(file: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """{name: (type, shape)} of a safetensors file, held against the bytes that are there. Reads no tensor.

    Raises ArtifactError where it is cut short, claims more than there is, or has a type that is not read.
    """
    size = file.stat().st_size
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if size < 8 or length > min(size - 8, HEADER_BYTES):
            raise ArtifactError(f"{file} is cut short, or no safetensors file: {size:,} bytes. {AGAIN}")
        text = opened.read(length)
    try:
        facts = json.loads(text)
        claims = {name: _claim(said) for name, said in facts.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{file}: its header is damaged ({_first(error)}). {AGAIN}") from error
    at = 0
    for name, (dtype, shape, begin, end) in sorted(claims.items(), key=lambda item: item[1][2:]):
        if dtype not in SIZES:
            raise ArtifactError(f"{file}: {_shown(name)} has the type {_shown(dtype)}, which is not read. {AGAIN}")
        if begin != at or end - begin != SIZES[dtype] * math.prod(shape):
            raise ArtifactError(f"{file}: {_shown(name)} claims other bytes than its shape {shape} takes. {AGAIN}")
        at = end
    if 8 + length + at != size:
        raise ArtifactError(f"{file} has {size:,} bytes where its header tells of {8 + length + at:,}. {AGAIN}")
    return {name: (dtype, shape) for name, (dtype, shape, _, _) in claims.items()}


def _claim(said: dict) -> tuple[str, tuple[int, ...], int, int]:
    shape, (begin, end) = tuple(said["shape"]), said["data_offsets"]
    if any(type(n) is not int or not 0 <= n <= LARGEST for n in (*shape, begin, end)) or len(shape) > 8:
        raise ValueError("a shape or an offset is no number that can be")
    return str(said["dtype"]), shape, begin, end


def tensors(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file whose header was looked at. Raises ArtifactError where one holds NaN."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(file)
    except (SafetensorError, ValueError) as error:
        raise ArtifactError(f"{file} is damaged ({_first(error)}). {AGAIN}") from error
    for name, value in found.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ArtifactError(f"{file}: {_shown(name)} holds NaN or infinity. {AGAIN}")
    return found


def recipe(stored: dict[str, np.ndarray], file: Path) -> None:
    """Raises ArtifactError where the recipe among the arrays asks for a network larger than anyone would build."""
    if "recipe" not in stored:
        return
    try:
        facts = json.loads(stored["recipe"].tobytes())
        sizes = {name: facts["settings"].get(name, 0) for name in ("rank", "tokens", "width")} | {
            "labels": facts["width"]
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{file}: its recipe is damaged ({_first(error)}). {AGAIN}") from error
    for name, size in sizes.items():
        if type(size) is not int or not 0 <= size <= WIDEST:
            raise ArtifactError(f"{file}: its recipe asks for {name} {_shown(size)}; {WIDEST:,} at most. {AGAIN}")


def arrays(file: Path, most: int = WITNESS_BYTES) -> dict[str, np.ndarray]:
    """The arrays of an .npz file as numpy.savez writes it, each held against its bytes before it is made.

    Raises ArtifactError for compressed members (a few bytes can claim terabytes), pickled objects, and what is cut.
    """
    size = file.stat().st_size
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if any(m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members):
                raise ArtifactError(f"{file} is compressed, which none of ours is: it may be a zip bomb. {AGAIN}")
            claimed = sum(m.file_size for m in members)
            if claimed > min(size, most):
                raise ArtifactError(f"{file} claims {claimed:,} bytes and has {size:,}; {most:,} at most. {AGAIN}")
            return {m.filename.removesuffix(".npy"): _array(archive.read(m), file, m.filename) for m in members}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise ArtifactError(f"{file} is damaged or cut short ({_first(error)}). {AGAIN}") from error


def _array(raw: bytes, file: Path, name: str) -> np.ndarray:
    """An array as numpy.save writes it. Its header is matched as text: numpy's own reader evaluates it."""
    version, size = raw[6:8], 2 if raw[6:7] == b"\x01" else 4
    start = 8 + size + int.from_bytes(raw[8 : 8 + size], "little")
    found = HEADER.fullmatch(raw[8 + size : start])
    if raw[:6] != b"\x93NUMPY" or version not in (b"\x01\x00", b"\x02\x00") or found is None:
        raise ArtifactError(f"{file}: {name} holds Python objects or another type that is not read. {AGAIN}")
    dtype, shape = np.dtype(found["dtype"].decode()), tuple(int(n) for n in found["shape"].split(b",") if n.strip())
    if start + math.prod(shape) * dtype.itemsize != len(raw):
        raise ArtifactError(f"{file}: {name} claims the shape {shape} of {dtype}, which its bytes are not. {AGAIN}")
    flat: Any = np.frombuffer(raw, dtype, math.prod(shape), start)
    return flat.reshape(shape, order="F" if found["fortran"] == b"True" else "C")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _first(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:160] if lines else type(error).__name__
