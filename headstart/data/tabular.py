"""A table's columns by name, whatever format they were written in."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.data.contents import decoded
from headstart.data.split_names import part_of

SEPARATED, LINES, COLUMNAR = {".csv", ".tsv", ".tab"}, {".jsonl", ".ndjson", ".json"}, {".parquet", ".pq", ".arrow"}
SUFFIXES = SEPARATED | LINES | COLUMNAR
OTHER = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "package.json", "readme.json"}
WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan|NaN|NAN")

ZEROS = re.compile(r"0\d")


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
            some = ["<bytes>"] if name in self.binary else self.values(name)[:200]
            seen = list(dict.fromkeys(_short(v) for v in some if v is not None and v != ""))[:3]
            lines.append(f"  {name}: {', '.join(seen) or 'empty'}")
        return "\n".join(lines)


def open_sheet(path: Path) -> Sheet:
    """The table in a file. Raises SourceError when it cannot be read as what its suffix says."""
    suffix = path.suffix.lower()
    try:
        made = _columnar(path) if suffix in COLUMNAR else _lines(path) if suffix in LINES else _separated(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not made.rows:
        raise SourceError(f"{path} has no rows. A header and one row an example are expected.")
    return replace(made, values=cache(made.values))


def tables(root: Path) -> list[Path]:
    """The tables in a folder, in its data/, and in its folders named after parts, by path."""
    places = [root, *(p for p in sorted(root.iterdir()) if p.is_dir() and (p.name == "data" or part_of(p.name)))]
    files = [
        p for place in places for p in place.iterdir() if p.suffix.lower() in SUFFIXES - {".arrow"} and p.is_file()
    ]
    return sorted(p for p in files if not p.name.startswith(".") and p.name.lower() not in OTHER)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…" + text[0] * isinstance(value, str)


def _text(path: Path) -> tuple[str, list[str]]:
    data = path.read_bytes()
    if data[:2] not in (b"\xff\xfe", b"\xfe\xff") and data[:10_000].count(0) > len(data[:10_000]) // 5:
        raise SourceError(f"{path} is not text: every few bytes one is zero. Save it as UTF-8.")
    text, fallback = decoded(data)
    notes = [f"{path.name} is not UTF-8; it was read as {fallback}."] if fallback else []
    if "\0" in text:
        notes.append(f"{path.name}: {text.count(chr(0))} zero bytes were left out of its text.")
        text = text.replace("\0", "")
    return text, notes


def _separated(path: Path) -> Sheet:
    text, notes = _text(path)
    records, more = _records(path, text)
    if not records:
        raise SourceError(f"{path} is empty. A header and one row an example are expected.")
    header, body = [name.strip() for name in records[0]], records[1:]
    doubled = sorted({name for name in header if name and header.count(name) > 1})
    if doubled:
        raise SourceError(f"{path} has two columns named {doubled[0]!r}. Its first line must name every column once.")
    names = [name or f"column {i + 1}" for i, name in enumerate(header)]
    bad = {i: f"has {len(r)} fields, the header has {len(names)}" for i, r in enumerate(body) if len(r) != len(names)}
    columns = {name: [None if i in bad else r[c] for i, r in enumerate(body)] for c, name in enumerate(names)}
    return Sheet(path, tuple(names), len(body), lambda name: _typed(columns[name]), bad=bad, notes=(*notes, *more))


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
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=quoting == csv.QUOTE_MINIMAL
    )
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
        try:
            rows.extend(_parsed(head, delimiter, csv.QUOTE_MINIMAL))
        except csv.Error:
            pass  # a row may be cut in the middle at line 60
        width = len(rows[0]) if rows else 0
        return (sum(len(r) == width for r in rows) if width > 1 else 0), width

    return max(",;\t|", key=rank)


def _typed(values: list[str | None]) -> list:
    """Text as whole numbers or as numbers where every value is one; "" is None. "007" stays text."""
    values = [v if v and v.strip() else None for v in values]
    given = [v.strip() for v in values if v]
    if given and all(map(WHOLE.fullmatch, given)):
        return [int(v) if v else None for v in values]
    if given and all(map(NUMBER.fullmatch, given)) and not any(map(ZEROS.match, given)):
        return [float(v) if v else None for v in values]
    return values


def _lines(path: Path) -> Sheet:
    text, notes = _text(path)
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
    names = dict.fromkeys(str(key) for row in rows for key in row)
    return Sheet(
        path, tuple(names), len(rows), lambda name: [row.get(name) for row in rows], bad=bad, notes=tuple(notes)
    )


def _objects(path: Path, text: str) -> Iterator[tuple[int, object]]:
    """(line number, object or what is wrong with the line); blank lines are no rows."""
    if path.suffix.lower() == ".json":
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError):
            whole = None
        if isinstance(whole, list):
            yield from (
                (number, item if isinstance(item, dict) else "not a JSON object")
                for number, item in enumerate(whole, 1)
            )
            return
        if whole is not None and "\n" not in text.strip():
            raise SourceError(f"{path} holds one JSON value. A list of objects, or one object a line, is expected.")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, f"not JSON ({error})"


def _columnar(path: Path) -> Sheet:
    import pyarrow as pa

    try:
        schema, rows, column = _arrow(path) if path.suffix.lower() == ".arrow" else _parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(_damage(path, error)) from error
    if len(set(schema.names)) < len(schema.names):
        raise SourceError(f"{path} has two columns of one name: {', '.join(schema.names)}.")

    def is_bytes(kind) -> bool:
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)

    def is_layout(kind) -> bool:
        return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and is_bytes(kind.field("bytes").type)

    def values(name: str) -> list:
        try:
            found = column(name)
            return (found.cast(pa.float64()) if pa.types.is_decimal(found.type) else found).to_pylist()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise SourceError(f"{path}: column {name!r} is damaged: {_first_line(error)}. Fetch it again.") from error

    def paths(name: str) -> list:
        kind = schema.field(name).type
        if not (is_layout(kind) and kind.get_field_index("path") >= 0):
            return [None] * rows
        return [p for chunk in column(name, "path").chunks for p in chunk.field("path").to_pylist()]

    binary = tuple(f.name for f in schema if is_bytes(f.type) or is_layout(f.type))
    return Sheet(path, tuple(schema.names), rows, values, binary, paths, _classes(schema))


def _damage(path: Path, error: Exception) -> str:
    with open(path, "rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            return f"{path} is a Git LFS pointer, not the data. Run: git lfs pull"
    return f"{path} is not a readable Parquet or Arrow file: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _parquet(path: Path):
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows

    def column(name: str, inner: str = ""):
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            return file.read(columns=[f"{name}.{inner}" if inner else name]).column(name)

    return schema, rows, column


def _arrow(path: Path):
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        table = reader.read_all()
    return table.schema, table.num_rows, lambda name, inner="": table.column(name)


def _classes(schema) -> dict[str, list[str]]:
    """Class names that Hugging Face keeps in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    found = {}
    for name, feature in features.items():
        inner = feature[0] if isinstance(feature, list) and feature else feature
        inner = inner.get("feature", inner) if isinstance(inner, dict) else {}
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" and inner.get("names"):
            found[name] = [str(n) for n in inner["names"]]
    return found
