"""A table's columns by name, whatever format they were written in."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import dropwhile, islice
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.core.memory import total_memory
from headstart.data.column_names import KNOWN_COLUMNS
from headstart.data.columnar import parse_columnar
from headstart.data.directory_walk import contains, is_visible
from headstart.data.json_records import NO_OBJECT, flat, records
from headstart.data.sheet import Sheet
from headstart.data.split_names import part_of
from headstart.data.text_encoding import UNKNOWN, WantedEncoding, decode, first_lost_byte

DELIMITED_SUFFIXES = {".csv", ".tsv", ".tab"}
JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
COLUMNAR_SUFFIXES = {".parquet", ".pq", ".arrow"}
TABLE_SUFFIXES = DELIMITED_SUFFIXES | JSON_SUFFIXES | COLUMNAR_SUFFIXES
METADATA_FILES = {
    *("dataset_info.json", "dataset_infos.json", "dataset_dict.json"),
    *("state.json", "package.json", "readme.json"),
}
TEXT_TABLE_SHARE = 16  # a table of text may have a sixteenth of the memory: as Python's objects it takes ten times that
BYTES_PER_ROW = 400  # of an example and its values in memory, at least
SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # which Excel understands
LINES_ABOVE = 5  # a header, at most: titles
BLANK = "is a blank line"


def open_sheet(path: Path, wanted: WantedEncoding = UNKNOWN) -> Sheet:
    """The table in a file. wanted: the encoding of one of text

    Raises SourceError when it cannot be read as what its suffix says.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in COLUMNAR_SUFFIXES:
            sheet = parse_columnar(path)
        else:
            sheet = (_parse_json if suffix in JSON_SUFFIXES else _parse_csv)(path, wanted)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.") from error
    if sheet.rows * BYTES_PER_ROW > total_memory() // 2:
        raise SourceError(f"{path} claims {sheet.rows:,} rows, which this machine's memory cannot hold. Take a sample.")
    if not sheet.rows:
        raise SourceError(f"{path} has no rows. A header and one row an example are expected.")
    return replace(sheet, values=cache(sheet.values))


def find_tables(root: Path) -> list[Path]:
    """The tables in a folder, in its data/, and in its folders named after parts, by path."""
    here = os.path.realpath(root)
    named = [p for p in sorted(root.iterdir()) if p.name == "data" or part_of(p.name)]
    folders = [root, *(p for p in named if p.is_dir() and not contains(os.path.realpath(p), here))]
    files = [p for folder in folders for p in folder.iterdir() if p.suffix.lower() in TABLE_SUFFIXES]
    saved = {folder for folder in folders if (folder / "state.json").is_file()}  # by `save_to_disk`
    files = [p for p in files if p.suffix.lower() != ".arrow" or (p.parent in saved and p.stem[:6] != "cache-")]
    visible = [p for p in files if is_visible(p.name) and p.name.lower() not in METADATA_FILES]
    return sorted(p for p in visible if p.is_file())


def _read_text(path: Path, wanted: WantedEncoding) -> tuple[str, str, list[str]]:
    """The text, the encoding that it needed ("" for UTF-8), and notes."""
    size, most = os.path.getsize(path), total_memory() // TEXT_TABLE_SHARE
    if size > most:
        raise SourceError(
            f"{path} has {size / 1e9:,.1f} GB, and a table of text is read whole: {most / 1e9:,.1f} GB are the most on "
            "this machine. Split it into shards (train-00000-of-00002.csv …), or save it as Parquet."
        )
    try:
        decoded = decode(path.read_bytes(), wanted)
    except SourceError as error:
        raise SourceError(f"{path} {error}") from error
    text, notes = decoded.text, [f"{path.name} {note}" for note in decoded.notes]
    if "\0" in text:
        notes.append(f"{path.name}: {text.count(chr(0))} zero bytes were left out of its text.")
        text = text.replace("\0", "")
    return text, decoded.encoding, notes


def _parse_csv(path: Path, wanted: WantedEncoding) -> Sheet:
    text, encoding, notes = _read_text(path, wanted)
    delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else _delimiter(text)
    if said := SEPARATOR_LINE.match(text):
        delimiter, text = said[1], text[said.end() :]
    lines, more = _records(path, text, delimiter)
    if not lines:
        raise SourceError(f"{path} is empty. A header and one row an example are expected.")
    above = _lines_above(lines)
    if above:
        more.append(f"{path.name}: {above} lines above the names of the columns were left out.")
    header, body = [name.strip() for name in lines[above]], lines[above + 1 :]
    if body and all(len(r) == len(header) + 1 and not r[-1] for r in body if not _is_blank(r)):
        body = [r[:-1] for r in body]  # a delimiter ends every row
    repeated = sorted(name for name, n in Counter(header).items() if name and n > 1)
    if repeated:
        raise SourceError(f"{path} has two columns named {repeated[0]!r}. Its first line must name every column once.")
    names = tuple(name or f"column {i + 1}" for i, name in enumerate(header))
    bad = {i: _misfit(r, len(names)) for i, r in enumerate(body) if len(r) != len(names)}
    if first_lost_byte(text):
        bad |= {i: lost for i, r in enumerate(body) if (lost := first_lost_byte("".join(r)))}
    columns = {name: [None if i in bad else r[c] or None for i, r in enumerate(body)] for c, name in enumerate(names)}
    sheet = Sheet(path, names, len(body), columns.__getitem__, bad=bad, notes=(*notes, *more), encoding=encoding)
    return replace(sheet, typed=False, semicolons=delimiter == ";")


def _lines_above(lines: list[list[str]]) -> int:
    """How many lines of a title stand above the names of the columns: of one field, where most rows have several.

    Where a spreadsheet wrote them, they have as many fields as the rows, all but the first empty.
    """
    width = Counter(map(len, lines[:1000])).most_common(1)[0][0]
    filled = [sum(bool(cell.strip()) for cell in line) for line in lines[: LINES_ABOVE + 1]]
    first = next((i for i, line in enumerate(lines[: LINES_ABOVE + 1]) if len(line) == width and filled[i] > 1), 0)
    titles = lines[:first]
    short = all(len(line) < width for line in titles)
    known = KNOWN_COLUMNS & {name.strip().lower() for name in lines[first]}
    if width < 2 or any(count > 1 for count in filled[:first]) or not (short or known):
        return 0
    return first if all(not any(line[1:]) for line in titles) else 0


def _misfit(record: list[str], width: int) -> str:
    return BLANK if _is_blank(record) else f"has {len(record)} fields, the header has {width}"


def _is_blank(record: list[str]) -> bool:
    return not record or (len(record) == 1 and not record[0].strip())


def _records(path: Path, text: str, delimiter: str) -> tuple[list[list[str]], list[str]]:
    """Rows of fields, and what had to be assumed. Blank lines keep their places, but before the header and at the end.

    At the end of a table of one column, what stands in quotation marks is a row, were it empty.
    """
    # The csv module knows one limit for the whole process: it is put back.
    limit = csv.field_size_limit(2**31 - 1)
    try:
        return _trimmed(_parsed(text, delimiter, csv.QUOTE_MINIMAL)), []
    except csv.Error as error:
        if delimiter == "\t":
            note = f"{path.name}: quotation marks do not pair up, so they were read as ordinary characters."
            return _trimmed(_parsed(text, delimiter, csv.QUOTE_NONE)), [note]
        raise SourceError(
            f"{path} cannot be read as a table: {error}. A quotation mark inside quotes must be doubled."
        ) from error
    finally:
        csv.field_size_limit(limit)


def _trimmed(parsed: Iterator[list[str]]) -> list[list[str]]:
    records = list(dropwhile(_is_blank, parsed))
    while records and (not records[-1] or (len(records[0]) > 1 and _is_blank(records[-1]))):
        records.pop()
    return records


def _parsed(text: str, delimiter: str, quoting) -> Iterator[list[str]]:
    """Strict, because a stray quotation mark otherwise swallows the rows up to the next one in silence."""
    lines, strict = io.StringIO(text, newline=""), quoting == csv.QUOTE_MINIMAL
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=strict)
    try:
        yield from reader
    except csv.Error as error:
        raise csv.Error(f"line {reader.line_num}: {error}") from error


def _delimiter(text: str) -> str:
    """The one of , ; tab | that cuts the first rows into most pieces, the same number in each as in the header."""
    head = "".join(islice(io.StringIO(text, newline=""), 60))

    def rank(delimiter: str) -> tuple[int, int]:
        rows: list[list[str]] = []
        with suppress(csv.Error):  # a row may be cut in the middle at line 60
            rows.extend(_parsed(head, delimiter, csv.QUOTE_MINIMAL))
        width = len(next(filter(None, rows), []))
        return (sum(len(r) == width for r in rows) if width > 1 else 0), width

    return max(",;\t|", key=rank)


def _parse_json(path: Path, wanted: WantedEncoding) -> Sheet:
    text, encoding, notes = _read_text(path, wanted)
    bad: dict[int, str] = {}
    rows: list[dict] = []
    found, more = records(path, text)
    for number, item in found:
        if isinstance(item, dict):
            rows.append(flat(item))
        else:
            bad[len(rows)] = f"line {number}: {item if isinstance(item, str) else NO_OBJECT}"
            rows.append({})
    if len(bad) == len(rows) > 0:
        raise SourceError(f'{path}: {bad[0]}. One JSON object a line is expected, like {{"text": "…", "label": "…"}}.')
    names = tuple(dict.fromkeys(str(key) for row in rows for key in row))
    sheet = Sheet(path, names, len(rows), lambda name: [row.get(name) for row in rows], bad=bad, encoding=encoding)
    return replace(sheet, notes=(*notes, *more))
