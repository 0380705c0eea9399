"""Ways to make a sound model folder a hostile one: each function gives another that changes a folder in place."""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from headstart.core import digest
from headstart.deployment import card_file


def sealed(place: Path, **changes) -> None:
    """card.json with other facts, and the digests of the files as they are now: what someone of ill will would send."""
    card = read_card(place)
    card["files"] = {n: digest.of_files([place / n]) for n in card["files"] if (place / n).is_file()}
    write_card(place, {**card, **changes})


def read_card(place: Path) -> dict:
    """card.json as it lies, without its digest."""
    card = json.loads((place / "card.json").read_text())
    card.pop("digest", None)
    return card


def write_card(place: Path, facts: dict) -> None:
    """card.json with the digest that it then has."""
    (place / "card.json").write_text(card_file.write_text(facts))


def edit(name: str, change):
    """Other bytes in a file, which the card does not pin."""

    def do(place: Path) -> None:
        (place / name).write_bytes(change((place / name).read_bytes()))

    return do


def card(**changes):
    """Other facts in the card."""
    return lambda place: sealed(place, **changes)


def card_without(*keys: str):
    """A card that lacks a fact."""

    def do(place: Path) -> None:
        facts = read_card(place)
        inner = facts
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        write_card(place, facts)

    return do


def arrays(change):
    """Another delta, pinned as if it were the right one."""

    def do(place: Path) -> None:
        save_file(change(load_file(place / "delta.safetensors")), place / "delta.safetensors")
        sealed(place)

    return do


def names(name: str):
    """A card that names another file too."""

    def do(place: Path) -> None:
        facts = read_card(place)
        facts["files"][name] = card_file.BLANK
        write_card(place, facts)

    return do


def witness(write):
    """Another witness.npz. write: takes a buffer and the arrays"""

    def do(place: Path) -> None:
        with np.load(place / "witness.npz") as file:
            kept = dict(file)
        buffer = io.BytesIO()
        write(buffer, kept)
        (place / "witness.npz").write_bytes(buffer.getvalue())
        sealed(place)

    return do


def bomb(buffer, kept) -> None:
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scores.npy", b"\0" * 50_000_000)


def vast(buffer, kept) -> None:
    """A header that claims eight terabytes over four bytes."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("scores.npy", head.getvalue() + b"\0\0\0\0")


def overlapping(buffer, kept) -> None:
    """Many names for the same bytes."""
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("scores.npy", b"\0" * 100_000)
        first = archive.infolist()[0]
        for n in range(50):
            twin = zipfile.ZipInfo(f"row{n}.npy")
            twin.header_offset, twin.CRC = first.header_offset, first.CRC
            twin.file_size = twin.compress_size = first.file_size
            archive.filelist.append(twin)


def pickled(buffer, kept) -> None:
    np.savez(buffer, **{**kept, "rows": np.array([{"a": 1}] * len(kept["scores"]), object)})


def link(name: str):
    """A file of the folder as a link to one outside."""

    def do(place: Path) -> None:
        outside = place.parent / "elsewhere"
        outside.write_bytes((place / name).read_bytes())
        (place / name).unlink()
        (place / name).symlink_to(outside)

    return do


def header(change):
    """Another header of delta.safetensors. change: of its facts"""

    def do(place: Path) -> None:
        raw = (place / "delta.safetensors").read_bytes()
        length = int.from_bytes(raw[:8], "little")
        text = json.dumps(change(json.loads(raw[8 : 8 + length]))).encode()
        (place / "delta.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])
        sealed(place)

    return do


def claims(facts: dict, **changes) -> dict:
    return {**facts, "weight": {**facts["weight"], **changes}}


def cut_short(place: Path) -> None:
    raw = (place / "delta.safetensors").read_bytes()
    (place / "delta.safetensors").write_bytes(raw[:-4])
    sealed(place)


def nan(a: dict) -> dict:
    return {**a, "weight": np.full_like(a["weight"], np.nan)}


def base(**changes):
    """Other facts on the base."""

    def do(place: Path) -> None:
        facts = read_card(place)["backbone"]
        sealed(place, backbone={**facts, **changes})

    return do


def preprocess(kind: str = "", **settings):
    """Another preprocessing of the base."""

    def do(place: Path) -> None:
        facts = read_card(place)["backbone"]
        spec = facts["preprocess"]
        changed = {
            "kind": kind or spec["kind"],
            "settings": list(map(list, {**dict(spec["settings"]), **settings}.items())),
        }
        sealed(place, backbone={**facts, "preprocess": changed})

    return do


def array(**changes):
    """Other arrays of the witness; None takes one out."""

    def write(buffer, kept) -> None:
        kept = {name: value for name, value in {**kept, **changes}.items() if value is not None}
        np.savez(buffer, **kept)

    return witness(write)


def npy(head: bytes, body: bytes = b"", member: str = "scores.npy"):
    """A witness of one array with that header."""

    def write(buffer, kept) -> None:
        text = head.ljust(117) + b"\n"
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(member, b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + body)

    return witness(write)


def raw_header(text: bytes, body: bytes = b""):
    """A delta.safetensors of that header."""

    def do(place: Path) -> None:
        (place / "delta.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
        sealed(place)

    return do


def sparse(name: str, size: int):
    """A file that claims to be so large and is a hole behind its own content."""

    def do(place: Path) -> None:
        with open(place / name, "r+b") as stream:
            stream.truncate(size)

    return do


def recipe(**settings):
    """A recipe with other settings."""

    def change(stored: dict) -> dict:
        facts = json.loads(stored["recipe"].tobytes())
        facts["settings"].update(settings)
        return {**stored, "recipe": np.frombuffer(json.dumps(facts).encode(), np.uint8)}

    return arrays(change)


def blank_png(width: int, height: int) -> bytes:
    """A PNG of one colour: a few kilobytes of any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + checksum

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
