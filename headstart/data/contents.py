"""Raw content: what a reader gives, and the bytes or the text behind each example, a few at a time."""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path

from headstart.core import digest
from headstart.core.errors import Unreadable
from headstart.core.input_contract import InputContract
from headstart.core.messages import first_line
from headstart.core.result import SetAside
from headstart.core.task import Example, TableCell

BEFORE_NUMBER = re.compile(r"\\+(?=ud[89a-f]|[\ud800-\udfff])")  # backslashes that a number could follow
MAX_FILE_BYTES = 512 << 20  # a bigger file is no photo, and reading it whole could exhaust memory
# Files that are taken for images; what is in them is looked at later, by the decoder.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".avif", ".heic", ".heif", ".ico"),
)
ROWS_PER_BATCH = 64  # rows of a table held at once: 64 photos of 5 MB are 320 MB
TEXT_SUFFIXES = (".txt", ".md")  # of files that hold one text each
READ_BUFFER_BYTES = 1 << 20  # bytes read at a time from a table, instead of a whole column of a row group


Parts = dict[str, list[Example]]  # name of a part -> its examples


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a reader gives of a source.

    kind:     "image", "text", "vector": names a file in preprocess/
    examples: by the owner's name of the part ("train", "dev" …); "" where the source has no parts
    notes:    what was inferred and why, plain sentences
    aside:    what could not be read
    column:   name of the label column, "" where labels are not in a column
    contract: how they were read, for whoever asks about more of the same
    rows:     every example, and why there is none, in the order of the source
    unlabelled: examples that were set aside for having no label, by part
    label_form: "typed" by their container; "written" in text that has no types, or in a table that "semicolons" cut;
        "names" of folders
    """

    kind: str
    examples: Parts
    notes: tuple[str, ...] = ()
    aside: tuple[SetAside, ...] = ()
    column: str = ""
    contract: InputContract | None = None
    rows: tuple[Example | SetAside, ...] = ()
    unlabelled: Parts = field(default_factory=dict)
    label_form: str = "typed"


def iter_contents(examples: Iterable[Example]) -> Iterator[tuple[Example, bytes | str | Unreadable]]:
    """Each example with its content, in order, or the reason why it can no longer be read.

    Holds one file or ROWS_PER_BATCH rows at a time. Rows of a table are read in one pass while their numbers rise.
    """
    for column, group in groupby(examples, key=_table_column):
        if column is None:
            for example in group:
                yield example, _read_directly(example)
        else:
            for run in _ascending_runs(group):
                yield from zip(run, _read_rows(column, run), strict=True)


def read_content(example: Example) -> bytes | str:
    """The content of one example. Raises Unreadable when it is gone or has changed."""
    content = next(iter_contents([example]))[1]
    if isinstance(content, Unreadable):
        raise content
    return content


def hash_files(paths: Sequence[str]) -> list[str | Unreadable]:
    """The digest of each file, or why it cannot be read."""
    if len(paths) <= 64:
        return [_hash_file(path) for path in paths]
    from concurrent.futures import ThreadPoolExecutor

    # In chunks, because handing a file at a time to a thread costs as much as hashing it.
    chunks = [paths[i : i + 32] for i in range(0, len(paths), 32)]
    with ThreadPoolExecutor(4) as pool:
        return [d for digests in pool.map(lambda chunk: [_hash_file(path) for path in chunk], chunks) for d in digests]


def read_file(path: str | Path) -> bytes:
    """The bytes of a file. Raises Unreadable with the reason; a pipe, a device or a socket is never opened."""
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            raise Unreadable("is not a file")  # opening a pipe would wait for ever
        if facts.st_size > MAX_FILE_BYTES:
            raise Unreadable(f"is larger than {MAX_FILE_BYTES >> 20} MB")
        with open(path, "rb") as file:
            data = file.read(facts.st_size + 1)
            if (
                len(data) > facts.st_size
            ):  # what a driver makes up as it is read, as below /proc, has no size beforehand
                data += file.read(MAX_FILE_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise Unreadable(describe_os_error(error)) from error
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable(f"is larger than {MAX_FILE_BYTES >> 20} MB")
    return data


def text_digest(text: str) -> str | Unreadable:
    """The digest of a text, or that it is empty."""
    return digest.of_bytes(text.encode()) if text.strip() else Unreadable("empty text")


def valid_text(text: str) -> str:
    """A name or label as text that can be written anywhere.

    JSON may hold halves of characters, and Python puts such for bytes of a file name that are no UTF-8: each is shown
    by its number, so that two names stay two.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def valid_name(name: str) -> str:
    """The name of a file or folder as text that can be written anywhere; two names never become one.

    A byte that is no UTF-8 is shown by its number, as in "\\udce9t"; a backslash that could be mistaken for the
    beginning of one is doubled.
    """
    if "\\" in name:
        name = BEFORE_NUMBER.sub(lambda run: run.group() * 2, name)
    return valid_text(name)


def iter_cells(table: Path, column: str, rows: Sequence[int] | None = None) -> Iterator[bytes | None]:
    """The bytes in `column` of a Parquet or Arrow file, ROWS_PER_BATCH at a time; None where there are none.

    rows: which, in ascending order; None means all. Ends early when the table has fewer rows.
    Raises OSError or ValueError (pyarrow's errors are both) when the file is damaged.
    """
    wanted = None if rows is None else iter(rows)
    row = 0 if wanted is None else next(wanted, None)
    batches = _arrow(table, column) if table.suffix == ".arrow" else _parquet(table, column, rows)
    for start, values in batches:
        while row is not None and row < start + len(values):
            yield values[row - start].as_py()
            row = row + 1 if wanted is None else next(wanted, None)


def describe_os_error(error: OSError | ValueError) -> str:
    """Why a file cannot be read, in words."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return f"cannot be read: {getattr(error, 'strerror', None) or first_line(error)}"


def _table_column(example: Example) -> tuple[Path, str] | None:
    return (example.content.table, example.content.column) if isinstance(example.content, TableCell) else None


def _row(example: Example) -> int:
    return example.content.index if isinstance(example.content, TableCell) else 0


def _ascending_runs(group: Iterator[Example]) -> Iterator[list[Example]]:
    """Cuts examples of one table wherever their row numbers do not rise."""
    examples = list(group)
    cuts = [i + 1 for i, (a, b) in enumerate(pairwise(examples)) if _row(b) <= _row(a)]
    for start, stop in pairwise([0, *cuts, len(examples)]):
        yield examples[start:stop]


def _read_rows(table_column: tuple[Path, str], examples: list[Example]) -> Iterator[bytes | Unreadable]:
    """One content a row; a table that became unreadable gives its reason for every row left."""
    table, column = table_column
    values = iter_cells(table, column, [_row(e) for e in examples])
    reason = f"the row is no longer in {table.name}"
    for example in examples:
        try:
            data = next(values, None)
        except (OSError, ValueError, KeyError) as error:
            data, reason = None, f"{table.name} can no longer be read: {first_line(error)}"
        yield Unreadable(reason) if data is None else _verify(example, data)


def _read_directly(example: Example) -> bytes | str | Unreadable:
    if isinstance(example.content, bytes | str):
        return example.content
    try:
        return _verify(example, read_file(example.content))  # type: ignore[arg-type]
    except Unreadable as reason:
        return reason


def _verify(example: Example, data: bytes) -> bytes | Unreadable:
    # Features are cached under the digest: other bytes under the same name would poison the cache.
    same = not example.digest or digest.of_bytes(data) == example.digest
    return data if same else Unreadable("its bytes changed while it was being read")


def _hash_file(path: str) -> str | Unreadable:
    try:
        return digest.of_bytes(read_file(path))
    except Unreadable as reason:
        return reason


def _parquet(table: Path, column: str, rows: Sequence[int] | None) -> Iterator[tuple[int, Sequence]]:
    """(number of the first row, its column of bytes), skipping row groups of which nothing is wanted."""
    from pyarrow.parquet import ParquetFile

    # Without pre_buffer=False and a buffer, pyarrow holds whole row groups: memory would grow with the file.
    with ParquetFile(table, pre_buffer=False, buffer_size=READ_BUFFER_BYTES) as file:
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            if rows is None or bisect_left(rows, start) < bisect_left(rows, stop):
                first = start
                for batch in file.iter_batches(ROWS_PER_BATCH, row_groups=[group], columns=[column], use_threads=False):
                    yield first, _bytes(batch.column(column))
                    first += len(batch)
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
