"""Folders, tables and columns of Hugging Face's layout that readers are tried on."""

import json
from pathlib import Path

import numpy as np
import pytest

from headstart.data.image_bytes import encode_array


def png_bytes(n: int) -> bytes:
    return encode_array(
        np.full((4, 5, 3), n % 251, np.uint8) + np.arange(60, dtype=np.uint8).reshape(4, 5, 3) * (1 + n // 251)
    )


def write_class_folders(root: Path, counts: dict[str, int], suffix: str = ".png", start: int = 0) -> Path:
    n = start
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i:03}{suffix}").write_bytes(png_bytes(n))
            n += 1
    return root


def write_text(file: Path, text: str, encoding: str = "utf-8") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode(encoding))
    return file


def write_parquet(file: Path, columns: dict, features: dict | None = None, **settings) -> Path:
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    table = pa.table(columns)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, file, **settings)
    return file


def image_column(images: list[bytes | None], paths: list[str | None] | None = None):
    """A column as Hugging Face lays images out."""
    pa = pytest.importorskip("pyarrow")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": b, "path": p} for b, p in zip(images, paths or [None] * len(images), strict=True)], kind)


def part_sizes(task) -> dict[str, int]:
    return {name: len(rows) for name, rows in task.parts.items()}


def has_note(task, words: str) -> bool:
    return any(words in note for note in task.notes)


def reviews(n: int = 60) -> list[tuple[str, str]]:
    return [(f'He said "no, {i}"\nand left; ünïcode', "good" if i % 3 else "bad") for i in range(n)]


def csv_text(delimiter: str, rows) -> str:
    quoted = [[f'"{field.replace(chr(34), chr(34) * 2)}"' for field in row] for row in rows]
    return "".join(delimiter.join(row) + "\r\n" for row in [["text", "label"], *quoted])
