"""Parquet and Arrow files as sheets: columns are read when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headstart.core.errors import SourceError
from headstart.core.memory import total_memory
from headstart.core.messages import first_line
from headstart.data.contents import valid_text
from headstart.data.sheet import Sheet

COLUMN_SHARE = 8  # a column of texts may have an eighth of the memory


def parse_columnar(path: Path) -> Sheet:
    """The columns of a Parquet or Arrow file. Raises SourceError where it is damaged."""
    import pyarrow as pa

    try:
        schema, rows, column = _open_arrow(path) if path.suffix.lower() == ".arrow" else _open_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(_describe_damage(path, error)) from error
    return sheet_of_arrow(path, schema, rows, column)


def sheet_of_arrow(path: Path, schema: Any, rows: int, column: Callable[..., Any], in_memory: bool = False) -> Sheet:
    """Columns of Arrow as a sheet.

    path: as messages name it.  column: (name, inner field or "") -> its chunks.  in_memory: there is no file of them
    Raises SourceError where two columns have one name.
    """
    import pyarrow as pa

    if len(set(schema.names)) < len(schema.names):
        raise SourceError(f"{path} has two columns of one name: {', '.join(schema.names)}.")

    def is_bytes(kind) -> bool:
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)

    def is_image(kind) -> bool:
        return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and is_bytes(kind.field("bytes").type)

    def values(name: str) -> list:
        try:
            data = column(name)
            data = data.cast(pa.float64()) if pa.types.is_decimal(data.type) else data
            chunks = [chunk.field("bytes") if is_image(data.type) else chunk for chunk in data.chunks]
            return [value for chunk in chunks for value in _plain_values(chunk)]
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # Overflow: a date that is none
            raise SourceError(f"{path}: column {name!r} is damaged: {first_line(error)}. Fetch it again.") from error

    def paths(name: str) -> list:
        kind = schema.field(name).type
        if not (is_image(kind) and kind.get_field_index("path") >= 0):
            return [None] * rows
        return [p for chunk in column(name, "path").chunks for p in chunk.field("path").to_pylist()]

    binary = tuple(f.name for f in schema if is_bytes(f.type) or is_image(f.type))
    classes = _class_names(schema)
    return Sheet(path, tuple(schema.names), rows, values, binary, paths, classes, in_memory=in_memory)


def _describe_damage(path: Path, error: Exception) -> str:
    with open(path, "rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            return f"{path} is a Git LFS pointer, not the data. Run: git lfs pull"
    return f"{path} is not a readable Parquet or Arrow file: {first_line(error)}"


def _open_parquet(path: Path):
    """(schema, number of rows, column name -> its values)"""
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows

    def column(name: str, inner: str = ""):
        # Texts that are stored once and named by number stay so: a file of 1 MB may name one of 1 MB a million times.
        texts = [name] if not inner and pa.types.is_string(schema.field(name).type) else None
        with parquet.ParquetFile(path, pre_buffer=False, read_dictionary=texts) as file:
            _check_size(path, name, file.metadata)
            return file.read(columns=[f"{name}.{inner}" if inner else name]).column(name)

    return schema, rows, column


def _check_size(path: Path, name: str, metadata) -> None:
    """Raises SourceError where the column, unpacked, would not fit into memory."""
    size = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema.split(".")[0] == name:
                size += column.total_uncompressed_size
    if size > total_memory() // COLUMN_SHARE:
        raise SourceError(
            f"{path}: column {name!r} unpacks to {size / 1e9:,.1f} GB, more than this machine's memory can hold. "
            "Take a sample of its rows."
        )


def _plain_values(chunk) -> list:
    """The values of a chunk; those that are stored once are one object."""
    import pyarrow as pa

    if not pa.types.is_dictionary(chunk.type):
        return chunk.to_pylist()
    distinct = chunk.dictionary.to_pylist()
    return [None if i is None else distinct[i] for i in chunk.indices.to_pylist()]


def _open_arrow(path: Path):
    """As `_open_parquet`."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        table = reader.read_all()
    return table.schema, table.num_rows, lambda name, inner="": table.column(name)


def _class_names(schema) -> dict[str, list[str]]:
    """Class names that Hugging Face keeps in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    if not isinstance(features, dict):
        return {}
    class_names = {}
    for name, feature in features.items():
        inner = feature[0] if isinstance(feature, list) and feature else feature
        inner = inner.get("feature", inner) if isinstance(inner, dict) else {}
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" and isinstance(inner.get("names"), list):
            class_names[name] = [valid_text(str(n)) for n in inner["names"]]
    return class_names
