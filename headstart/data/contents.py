"""Raw content: what a reader found, and the bytes or the text behind each example, a few at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

from headstart.core import digest
from headstart.core.errors import Unreadable
from headstart.core.result import SetAside
from headstart.core.task import Example, Row

LARGEST = 512 << 20  # bytes; a bigger file is no photo, and reading it whole could exhaust memory
# Files that are taken for images; what is in them is looked at later, by the decoder.
IMAGES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".avif", ".heic", ".heif"),
)
BATCH = 64  # rows of a table held at once: 64 photos of 5 MB are 320 MB
BUFFER = 1 << 20  # bytes read at a time from a table, instead of a whole column of a row group


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a reader found in a source.

    kind:     "image", "text", "vector": names a file in preprocess/
    examples: by the owner's name of the part ("train", "dev" …); "" where the source has no parts
    notes:    what was inferred and why, plain sentences
    aside:    what could not be read
    column:   name of the label column, "" where labels are not in a column
    """

    kind: str
    examples: dict[str, list[Example]]
    notes: tuple[str, ...] = ()
    aside: tuple[SetAside, ...] = ()
    column: str = ""


def stream(examples: Iterable[Example]) -> Iterator[tuple[Example, bytes | str | Unreadable]]:
    """Each example with its content, in order, or the reason why it can no longer be read.

    Holds one file or BATCH rows at a time. Rows of a table are read in one pass while their numbers rise.
    """
    for place, run in groupby(examples, key=_place):
        if place is None:
            for example in run:
                yield example, _direct(example)
        else:
            for stretch in _rising(run):
                yield from zip(stretch, _rows(place, stretch), strict=True)


def content(example: Example) -> bytes | str:
    """The content of one example. Raises Unreadable when it is gone or has changed."""
    found = next(stream([example]))[1]
    if isinstance(found, Unreadable):
        raise found
    return found


def hashed(paths: Sequence[str]) -> list[str | Unreadable]:
    """The digest of each file, or why it cannot be read."""
    if len(paths) <= 64:
        return [_hashed(path) for path in paths]
    from concurrent.futures import ThreadPoolExecutor

    # In dozens, because handing a file at a time to a thread costs as much as hashing it.
    dozens = [paths[i : i + 32] for i in range(0, len(paths), 32)]
    with ThreadPoolExecutor(4) as pool:
        return [d for some in pool.map(lambda some: [_hashed(path) for path in some], dozens) for d in some]


def decoded(data: bytes) -> tuple[str, str]:
    """Text of bytes in UTF-8, UTF-16 with a mark, or else Windows-1252 or Latin-1, and which of the latter it took."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace"), ""
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "Latin-1"


def cells(table: Path, column: str, rows: Sequence[int] | None = None) -> Iterator[bytes | None]:
    """The bytes in `column` of a Parquet or Arrow file, BATCH rows at a time; None where there are none.

    rows: which, rising; None means all. Ends early when the table has fewer rows.
    Raises OSError or ValueError (pyarrow's errors are both) when the file is damaged.
    """
    wanted = None if rows is None else iter(rows)
    row = 0 if wanted is None else next(wanted, None)
    for start, values in _batches(table, column, rows):
        while row is not None and row < start + len(values):
            yield values[row - start].as_py()
            row = row + 1 if wanted is None else next(wanted, None)


def _place(example: Example) -> tuple[Path, str] | None:
    return (example.content.table, example.content.column) if isinstance(example.content, Row) else None


def _number(example: Example) -> int:
    return example.content.index if isinstance(example.content, Row) else 0


def _rising(run: Iterator[Example]) -> Iterator[list[Example]]:
    """Cuts a run of rows of one table wherever their numbers do not rise."""
    some = list(run)
    cuts = [i + 1 for i, (a, b) in enumerate(pairwise(some)) if _number(b) <= _number(a)]
    for start, stop in pairwise([0, *cuts, len(some)]):
        yield some[start:stop]


def _rows(place: tuple[Path, str], stretch: list[Example]) -> Iterator[bytes | Unreadable]:
    """One content a row; a table that became unreadable gives its reason for every row left."""
    table, column = place
    found = cells(table, column, [_number(e) for e in stretch])
    gone = f"the row is no longer in {table.name}"
    for example in stretch:
        try:
            data = next(found, None)
        except (OSError, ValueError, KeyError) as error:
            data, gone = None, f"{table.name} can no longer be read: {_first_line(error)}"
        yield Unreadable(gone) if data is None else _checked(example, data)


def _direct(example: Example) -> bytes | str | Unreadable:
    if isinstance(example.content, bytes | str):
        return example.content
    try:
        return _checked(example, Path(example.content).read_bytes())  # type: ignore[arg-type]
    except OSError as error:
        return Unreadable(reason(error))


def _checked(example: Example, data: bytes) -> bytes | Unreadable:
    # Features are kept under the digest: other bytes under the same name would poison the cache.
    same = not example.digest or digest.of_bytes(data) == example.digest
    return data if same else Unreadable("its bytes changed while it was being read")


def _hashed(path: str) -> str | Unreadable:
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            return Unreadable("is not a file")  # opening a pipe would wait for ever
        if facts.st_size > LARGEST:
            return Unreadable(f"is larger than {LARGEST >> 20} MB")
        with open(path, "rb") as file:
            return digest.of_bytes(file.read())
    except OSError as error:
        return Unreadable(reason(error))


def reason(error: OSError) -> str:
    """Why a file cannot be read, in words."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return f"cannot be read: {error.strerror or _first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _batches(table: Path, column: str, rows: Sequence[int] | None) -> Iterator[tuple[int, Sequence]]:
    """(number of the first row, its column of bytes), skipping row groups of which nothing is wanted."""
    return _arrow(table, column) if table.suffix == ".arrow" else _parquet(table, column, rows)


def _parquet(table: Path, column: str, rows: Sequence[int] | None) -> Iterator[tuple[int, Sequence]]:
    from pyarrow.parquet import ParquetFile

    # Without pre_buffer=False and a buffer, pyarrow holds whole row groups: memory would grow with the file.
    with ParquetFile(table, pre_buffer=False, buffer_size=BUFFER) as file:
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            if rows is None or _any_within(rows, start, stop):
                at = start
                for batch in file.iter_batches(BATCH, row_groups=[group], columns=[column], use_threads=False):
                    yield at, _bytes(batch.column(column))
                    at += len(batch)
            start = stop


def _arrow(table: Path, column: str) -> Iterator[tuple[int, Sequence]]:
    import pyarrow as pa

    with pa.memory_map(str(table)) as file, pa.ipc.open_stream(file) as batches:
        start = 0
        for batch in batches:
            yield start, _bytes(batch.column(column))
            start += len(batch)


def _bytes(values):
    """The bytes of a column in the Hugging Face layout, or of a plain binary column."""
    import pyarrow as pa

    return values.field("bytes") if pa.types.is_struct(values.type) else values


def _any_within(rows: Sequence[int], start: int, stop: int) -> bool:
    from bisect import bisect_left

    at = bisect_left(rows, start)
    return at < len(rows) and rows[at] < stop
