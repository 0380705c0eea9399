"""A table's columns by name, whatever format they were written in."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.core.messages import first_line
from headstart.data.contents import decode_text
from headstart.data.split_names import part_of

DELIMITED_SUFFIXES = {".csv", ".tsv", ".tab"}
JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
COLUMNAR_SUFFIXES = {".parquet", ".pq", ".arrow"}
TABLE_SUFFIXES = DELIMITED_SUFFIXES | JSON_SUFFIXES | COLUMNAR_SUFFIXES
METADATA_FILES = {
    *("dataset_info.json", "dataset_infos.json", "dataset_dict.json"),
    *("state.json", "package.json", "readme.json"),
}
INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan|NaN|NAN")
LEADING_ZERO = re.compile(r"0\d")


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Columns of equal length, loaded when asked for.

    values: name of a column -> its values, None where there is none; not for those in `binary`
    binary: columns of bytes, or of {bytes, path} as Hugging Face lays images out
    paths:  name of such a column -> its paths
    classes: name of a column of numbers -> the class names they stand for
    bad:    row -> why it cannot be read
    """

    path: Path
    names: tuple[str, ...]
    rows: int
    values: Callable[[str], list]
    binary: tuple[str, ...] = ()
    paths: Callable[[str], list] = lambda name: []
    classes: dict[str, list[str]] = field(default_factory=dict)
    bad: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def show(self) -> str:
        """Every column with its first values, for messages."""
        lines = []
        for name in self.names:
            values = ["<bytes>"] if name in self.binary else self.values(name)[:200]
            distinct = list(dict.fromkeys(_shorten(v) for v in values if v is not None and v != ""))[:3]
            lines.append(f"  {name}: {', '.join(distinct) or 'empty'}")
        return "\n".join(lines)


def open_sheet(path: Path) -> Sheet:
    """The table in a file. Raises SourceError when it cannot be read as what its suffix says."""
    suffix = path.suffix.lower()
    parse = _parse_columnar if suffix in COLUMNAR_SUFFIXES else _parse_json if suffix in JSON_SUFFIXES else _parse_csv
    try:
        sheet = parse(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not sheet.rows:
        raise SourceError(f"{path} has no rows. A header and one row an example are expected.")
    return replace(sheet, values=cache(sheet.values))


def find_tables(root: Path) -> list[Path]:
    """The tables in a folder, in its data/, and in its folders named after parts, by path."""
    folders = [root, *(p for p in sorted(root.iterdir()) if p.is_dir() and (p.name == "data" or part_of(p.name)))]
    files = [p for folder in folders for p in folder.iterdir() if p.suffix.lower() in TABLE_SUFFIXES - {".arrow"}]
    visible = [p for p in files if not p.name.startswith(".") and p.name.lower() not in METADATA_FILES]
    return sorted(p for p in visible if p.is_file())


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…" + text[0] * isinstance(value, str)


def _read_text(path: Path) -> tuple[str, list[str]]:
    data = path.read_bytes()
    if data[:2] not in (b"\xff\xfe", b"\xfe\xff") and data[:10_000].count(0) > len(data[:10_000]) // 5:
        raise SourceError(f"{path} is not text: every few bytes one is zero. Save it as UTF-8.")
    text, fallback = decode_text(data)
    notes = [f"{path.name} is not UTF-8; it was read as {fallback}."] if fallback else []
    if "\0" in text:
        notes.append(f"{path.name}: {text.count(chr(0))} zero bytes were left out of its text.")
        text = text.replace("\0", "")
    return text, notes


def _parse_csv(path: Path) -> Sheet:
    text, notes = _read_text(path)
    records, more = _records(path, text)
    if not records:
        raise SourceError(f"{path} is empty. A header and one row an example are expected.")
    header, body = [name.strip() for name in records[0]], records[1:]
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise SourceError(f"{path} has two columns named {repeated[0]!r}. Its first line must name every column once.")
    names = tuple(name or f"column {i + 1}" for i, name in enumerate(header))
    bad = {i: f"has {len(r)} fields, the header has {len(names)}" for i, r in enumerate(body) if len(r) != len(names)}
    columns = {name: [None if i in bad else r[c] for i, r in enumerate(body)] for c, name in enumerate(names)}
    return Sheet(path, names, len(body), lambda name: _infer_types(columns[name]), bad=bad, notes=(*notes, *more))


def _records(path: Path, text: str) -> tuple[list[list[str]], list[str]]:
    """Rows of fields, blank lines left out, and what had to be assumed."""
    delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else _delimiter(text)
    # The csv module knows one limit for the whole process: it is put back.
    limit = csv.field_size_limit(2**31 - 1)
    try:
        return list(_parsed(text, delimiter, csv.QUOTE_MINIMAL)), []
    except csv.Error as error:
        if delimiter == "\t":
            note = f"{path.name}: quotation marks do not pair up, so they were read as ordinary characters."
            return list(_parsed(text, delimiter, csv.QUOTE_NONE)), [note]
        raise SourceError(
            f"{path} cannot be read as a table: {error}. A quotation mark inside quotes must be doubled."
        ) from error
    finally:
        csv.field_size_limit(limit)


def _parsed(text: str, delimiter: str, quoting) -> Iterator[list[str]]:
    """Strict, because a stray quotation mark otherwise swallows the rows up to the next one in silence."""
    lines, strict = io.StringIO(text, newline=""), quoting == csv.QUOTE_MINIMAL
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=strict)
    try:
        for record in reader:
            if record and (len(record) > 1 or record[0].strip()):
                yield record
    except csv.Error as error:
        raise csv.Error(f"line {reader.line_num}: {error}") from error


def _delimiter(text: str) -> str:
    """The one of , ; tab | that cuts the first rows into most pieces, the same number in each as in the header."""
    head = "".join(islice(io.StringIO(text, newline=""), 60))

    def rank(delimiter: str) -> tuple[int, int]:
        rows: list[list[str]] = []
        with suppress(csv.Error):  # a row may be cut in the middle at line 60
            rows.extend(_parsed(head, delimiter, csv.QUOTE_MINIMAL))
        width = len(rows[0]) if rows else 0
        return (sum(len(r) == width for r in rows) if width > 1 else 0), width

    return max(",;\t|", key=rank)


def _infer_types(values: list[str | None]) -> list:
    """Text as whole numbers or as numbers where every value is one; "" is None. "007" stays text."""
    values = [v if v and v.strip() else None for v in values]
    filled = [v.strip() for v in values if v]
    if filled and all(map(INTEGER.fullmatch, filled)):
        return [int(v) if v else None for v in values]
    if filled and all(map(NUMBER.fullmatch, filled)) and not any(map(LEADING_ZERO.match, filled)):
        return [float(v) if v else None for v in values]
    return values


def _parse_json(path: Path) -> Sheet:
    text, notes = _read_text(path)
    bad: dict[int, str] = {}
    rows: list[dict] = []
    for number, item in _objects(path, text):
        if isinstance(item, dict):
            rows.append(item)
        else:
            bad[len(rows)] = f"line {number}: {item if isinstance(item, str) else 'not a JSON object'}"
            rows.append({})
    if len(bad) == len(rows) > 0:
        raise SourceError(f'{path}: {bad[0]}. One JSON object a line is expected, like {{"text": "…", "label": "…"}}.')
    names = tuple(dict.fromkeys(str(key) for row in rows for key in row))
    return Sheet(path, names, len(rows), lambda name: [row.get(name) for row in rows], bad=bad, notes=tuple(notes))


def _objects(path: Path, text: str) -> Iterator[tuple[int, object]]:
    """(line number, object or what is wrong with the line); blank lines are no rows."""
    if path.suffix.lower() == ".json":
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, list):
            for number, item in enumerate(document, 1):
                yield number, item if isinstance(item, dict) else "not a JSON object"
            return
        if document is not None and "\n" not in text.strip():
            raise SourceError(f"{path} holds one JSON value. A list of objects, or one object a line, is expected.")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, f"not JSON ({error})"


def _parse_columnar(path: Path) -> Sheet:
    import pyarrow as pa

    try:
        schema, rows, column = _open_arrow(path) if path.suffix.lower() == ".arrow" else _open_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(_describe_damage(path, error)) from error
    if len(set(schema.names)) < len(schema.names):
        raise SourceError(f"{path} has two columns of one name: {', '.join(schema.names)}.")

    def is_bytes(kind) -> bool:
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)

    def is_image(kind) -> bool:
        return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and is_bytes(kind.field("bytes").type)

    def values(name: str) -> list:
        try:
            data = column(name)
            return (data.cast(pa.float64()) if pa.types.is_decimal(data.type) else data).to_pylist()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SourceError(f"{path}: column {name!r} is damaged: {first_line(error)}. Fetch it again.") from error

    def paths(name: str) -> list:
        kind = schema.field(name).type
        if not (is_image(kind) and kind.get_field_index("path") >= 0):
            return [None] * rows
        return [p for chunk in column(name, "path").chunks for p in chunk.field("path").to_pylist()]

    binary = tuple(f.name for f in schema if is_bytes(f.type) or is_image(f.type))
    return Sheet(path, tuple(schema.names), rows, values, binary, paths, _class_names(schema))


def _describe_damage(path: Path, error: Exception) -> str:
    with open(path, "rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            return f"{path} is a Git LFS pointer, not the data. Run: git lfs pull"
    return f"{path} is not a readable Parquet or Arrow file: {first_line(error)}"


def _open_parquet(path: Path):
    """(schema, number of rows, column name -> its values)"""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows

    def column(name: str, inner: str = ""):
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            return file.read(columns=[f"{name}.{inner}" if inner else name]).column(name)

    return schema, rows, column


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
    except (ValueError, KeyError, TypeError):
        return {}
    class_names = {}
    for name, feature in features.items():
        inner = feature[0] if isinstance(feature, list) and feature else feature
        inner = inner.get("feature", inner) if isinstance(inner, dict) else {}
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" and inner.get("names"):
            class_names[name] = [str(n) for n in inner["names"]]
    return class_names
