"""The rows of one table as examples, once the role of every column is known."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headstart.core import digest
from headstart.core.errors import SourceError, Unreadable
from headstart.core.messages import first_line
from headstart.core.result import SetAside
from headstart.core.task import Example, TableCell
from headstart.data.column_roles import ColumnRoles
from headstart.data.contents import hash_files, iter_cells, text_digest, valid_text
from headstart.data.input_form import decode_image_text
from headstart.data.label_values import NO_LABEL, clean_label, is_missing
from headstart.data.number_text import is_number
from headstart.data.sheet import Sheet
from headstart.data.table_folders import StringForm, resolve

# The part a row belongs to, its example, or why there is none; both where only its label lacks.
Row = tuple[str, Example | None, SetAside | None]
Found = tuple[str, Path | TableCell | bytes | str, str | Unreadable]  # id, content, digest or why there is none


@dataclass(frozen=True, slots=True, eq=False)
class SheetReader:
    """Reads one table.

    form: what a value of the input is; "bytes" for columns of bytes.  folder: that paths are relative to
    file: as ids name it.  split: whether a column says the parts.  strict: whether one readable image is the least
    """

    sheet: Sheet
    roles: ColumnRoles
    form: StringForm
    folder: Path
    file: str
    split: bool
    strict: bool = True

    def rows(self) -> Iterator[Row]:
        """Every row, in order."""
        sheet, roles = self.sheet, self.roles
        labels = self._labels()
        groups, parts = [""] * sheet.rows, [""] * sheet.rows
        if roles.group:
            groups = ["" if is_missing(v) else str(v).strip() for v in sheet.values(roles.group)]
        if self.split and roles.split:
            parts = [str(v).strip().lower() for v in sheet.values(roles.split)]
        wanted = [not roles.label or label is not None for label in labels]
        for row, (name, content, mark) in enumerate(self._contents(wanted)):
            if row in sheet.bad:
                yield parts[row], None, SetAside(name, sheet.bad[row])
            elif isinstance(mark, Unreadable):
                reason = NO_LABEL if roles.label and labels[row] is None else str(mark)
                yield parts[row], None, SetAside(name, reason)
            else:
                lacking = SetAside(name, NO_LABEL) if roles.label and labels[row] is None else None
                yield parts[row], Example(name, content, mark, labels[row], groups[row]), lacking

    def notes(self) -> list[str]:
        """What there is to say of the labels."""
        named = [name for name in self.roles.labels if self.sheet.classes.get(name)]
        return [f"The numbers in {n!r} are shown by the class names that the file keeps for them." for n in named]

    def _labels(self) -> list:
        sheet, names = self.sheet, self.roles.labels
        if len(names) == 1:
            classes = sheet.classes.get(names[0])
            return [clean_label(v, classes) for v in sheet.values(names[0])]
        if not names:
            return [None] * sheet.rows
        columns = [list(map(_truth, sheet.values(name))) for name in names]
        if not any(v == 0 for column in columns for v in column):  # crosses, and nothing where there is none
            columns = [[0 if v == -1 else v for v in column] for column in columns]
        for name, column in zip(names, columns, strict=True):
            wrong = next((v for v, t in zip(sheet.values(name), column, strict=True) if t is None), None)
            if wrong is not None:
                raise SourceError(
                    f"{sheet.path}: column {name!r} holds {wrong!r}. Several label columns are tags, and each holds 1 "
                    f"where a row has it and 0 where it has not."
                )
        return [
            None if all(v == -1 for v in row) else tuple(n for n, v in zip(names, row, strict=True) if v == 1)
            for row in zip(*columns, strict=True)
        ]

    def _contents(self, wanted: list[bool]) -> Iterator[Found]:
        if self.form.form == "bytes":
            return self._images_in_memory() if self.sheet.in_memory else self._embedded_images()
        if self.form.form == "text":
            return (self._text(row, value) for row, value in enumerate(self._input_values()))
        values = self.sheet.values(self.roles.input)
        if self.form.form == "base64":
            return (self._encoded_image(row, value) for row, value in enumerate(values))
        return self._files(values, wanted)

    def _input_values(self) -> list:
        """The texts; of several columns joined by lines, what is empty left out."""
        if len(self.roles.inputs) == 1:
            return self.sheet.values(self.roles.input)
        columns = [self.sheet.values(name) for name in self.roles.inputs]
        return ["\n".join(str(v) for v in row if not is_missing(v)) for row in zip(*columns, strict=True)]

    def _files(self, values: list, wanted: list[bool]) -> Iterator[Found]:
        """wanted: the rows with a label: where the files of none of them are there, the paths are not understood"""
        values = [None if is_missing(v) else v for v in values]
        files = [resolve(self.folder, v, self.form.suffixes) for v in values]
        hashes = iter(hash_files([file for file in files if file]))
        digests = [next(hashes) if file else Unreadable("no path") for file in files]
        named = [n for n, file in enumerate(files) if file and wanted[n]]
        if self.strict and named and all(isinstance(digests[n], Unreadable) for n in named):
            first = named[0]
            raise SourceError(
                f"{self.sheet.path}: none of the {len(named):,} images can be read "
                f"(first: {files[first]}: {digests[first]}). "
                f"Paths in column {self.roles.input!r} are relative to the folder of the table."
            )
        before = f"{self.file}:" if self.sheet.in_memory and self.file else self.file[: self.file.rfind("/") + 1]
        repeated = {v for v, n in Counter(values).items() if n > 1}
        for n, (value, file, mark) in enumerate(zip(values, files, digests, strict=True)):
            name = self._id(n) if not value or value in repeated else valid_text(f"{before}{value}")
            yield name, Path(file), mark

    def _embedded_images(self) -> Iterator[Found]:
        column, table = self.roles.input, self.sheet.path
        paths: list | None = None
        try:
            for row, data in enumerate(iter_cells(table, column)):
                name, content = self._id(row), TableCell(table, row, column)
                if data is not None:
                    yield name, content, digest.of_bytes(data)
                    continue
                paths = self.sheet.paths(column) if paths is None else paths
                if paths[row]:
                    file = resolve(table.parent, paths[row])
                    yield name, Path(file), hash_files([file])[0]
                else:
                    yield name, content, Unreadable("no image")
        except (OSError, ValueError) as error:
            raise SourceError(f"{table} is damaged: {first_line(error)}. Fetch it again.") from error

    def _images_in_memory(self) -> Iterator[Found]:
        paths = self.sheet.paths(self.roles.input)
        for row, data in enumerate(self.sheet.values(self.roles.input)):
            if isinstance(data, bytes):
                yield self._id(row), data, digest.of_bytes(data)
            elif row < len(paths) and paths[row]:
                file = os.fspath(paths[row])
                yield self._id(row), Path(file), hash_files([file])[0]
            else:
                yield self._id(row), b"", data if isinstance(data, Unreadable) else Unreadable("no image")

    def _encoded_image(self, row: int, value: object) -> Found:
        if is_missing(value) or not str(value).strip():
            return self._id(row), b"", Unreadable("no image")
        try:
            data = decode_image_text(str(value))
        except ValueError as error:
            return self._id(row), b"", Unreadable(f"is no base64: {first_line(error)}")
        return self._id(row), data, digest.of_bytes(data)

    def _text(self, row: int, value: object) -> Found:
        if isinstance(value, list | dict | bytes):
            return self._id(row), "", Unreadable(f"is not text but {type(value).__name__}")
        text = valid_text(value if isinstance(value, str) else "" if is_missing(value) else str(value))
        return self._id(row), text, text_digest(text)

    def _id(self, row: int) -> str:
        return f"{self.file}:{row}" if self.file else str(row)


CROSSES = ("true", "yes", "y", "x", "✓", "✔", "☑")


def _truth(value: object) -> int | None:
    """1 for yes, 0 for no, -1 for nothing there, None for anything else."""
    if is_missing(value) or value == "":
        return -1
    text = str(value).strip().lower()
    number = float(text) if is_number(text) else None
    return 1 if number == 1 or text in CROSSES else 0 if number == 0 or text in ("false", "no", "n", "☐") else None
