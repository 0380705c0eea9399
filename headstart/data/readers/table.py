"""One table: CSV, JSONL or Parquet, with texts, paths of images or the images themselves, and a label."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.core import digest
from headstart.core.errors import SourceError, Unreadable
from headstart.core.messages import first_line
from headstart.core.result import SetAside
from headstart.core.task import Example, TableCell
from headstart.data.column_roles import PATH_COLUMNS, ColumnRoles, infer_roles
from headstart.data.contents import IMAGE_SUFFIXES, Reading, hash_files, iter_cells, valid_text
from headstart.data.sheet import Sheet
from headstart.data.split_names import part_of
from headstart.data.tabular import TABLE_SUFFIXES, open_sheet

NO_LABEL = "no label"
MISSING = ("NAType", "NaTType", "MaskedConstant")  # types of pandas' and numpy's marks for a value that is not there
LARGEST_WHOLE = 2**63


def reads(source: object) -> bool:
    """Whether it is a file with the suffix of a table."""
    return isinstance(source, str | Path) and os.path.isfile(source) and Path(source).suffix.lower() in TABLE_SUFFIXES


def read(
    source: str | Path, *, label: str | None, input: str | None, kind: str | None, group: str | None = None
) -> Reading:
    """One example a row; its id is "<file>:<row from 0>", or its path where it is a file of its own.

    Raises SourceError when the columns cannot be told apart, or nothing in them can be read.
    """
    sheet = open_sheet(Path(source))
    return read_tables({"": [("", sheet)]}, label=label, input=input, kind=kind, group=group)


def read_tables(
    sheets: dict[str, list[tuple[str, Sheet]]],
    *,
    label: str | None,
    input: str | None,
    kind: str | None,
    group: str | None,
) -> Reading:
    """The examples of tables that share their columns.

    sheets: part -> its tables, each with what stands before its file name in the ids
    """
    parts = [(part, sheet) for part, prefixed in sheets.items() for _, sheet in prefixed]
    lead = next((sheet for part, sheet in parts if part_of(part) in ("train", "")), parts[0][1])
    roles = infer_roles(lead, label=label, input=input, group=group)
    form, description = _input_form(lead, roles.input, kind)
    notes = [*roles.notes, f"Input: column {roles.input!r} holds {description}."]
    examples: dict[str, list[Example]] = {}
    aside: list[SetAside] = []
    for part, prefixed in sheets.items():
        usable, unusable = [], []
        for prefix, sheet in prefixed:
            same_roles = roles if sheet is lead else _same_roles(lead, roles, sheet, group)
            reader = _SheetReader(sheet, same_roles, form, prefix + sheet.path.name, split=not part)
            rows, rejected, sheet_notes = reader.examples()
            usable += rows
            unusable += rejected
            notes += [*sheet.notes, *sheet_notes]
        unlabelled = all(a.reason == NO_LABEL for a in unusable)
        if not usable and unusable and part_of(part) not in ("train", "") and unlabelled:
            notes.append(f"Part {part!r} is left out: none of its {len(unusable):,} rows has a label.")
            continue
        aside += unusable
        for name, example in usable:
            examples.setdefault(part or name, []).append(example)
    if not any(examples.values()):
        first = f" (first: {aside[0].id}: {aside[0].reason})" if aside else ""
        raise SourceError(f"{lead.path}: none of the rows can be used{first}. Its columns:\n{lead.show()}")
    kind = "text" if form == "text" else "image"
    return Reading(kind, examples, tuple(dict.fromkeys(notes)), tuple(aside), roles.label)


def _same_roles(lead: Sheet, roles: ColumnRoles, sheet: Sheet, group: str | None) -> ColumnRoles:
    """The same columns in another table."""
    missing = [name for name in (roles.input, roles.label) if name and name not in sheet.names]
    if missing:
        raise SourceError(
            f"{sheet.path} has no column {missing[0]!r}, unlike {lead.path.name}. "
            f"To leave it out, name the table alone: headstart fit {lead.path}\n{sheet.show()}"
        )
    return infer_roles(sheet, label=roles.label, input=roles.input, group=group)


def _input_form(sheet: Sheet, column: str, kind: str | None) -> tuple[str, str]:
    """ "bytes", "path" or "text", and in words."""
    if kind not in (None, "image", "text"):
        raise SourceError(f"{sheet.path} is a table: it can hold images or texts. Say --kind image or --kind text.")
    if column in sheet.binary:
        if kind == "text":
            raise SourceError(f"{sheet.path}: column {column!r} holds bytes, not text. Its columns:\n{sheet.show()}")
        return "bytes", "images"
    if kind is not None:
        return ("path", "paths of images") if kind == "image" else ("text", "texts")
    values = [v.strip().lower() for v in sheet.values(column)[:500] if isinstance(v, str) and v.strip()]
    if values and sum(v.endswith(IMAGE_SUFFIXES) for v in values) > len(values) // 2:
        return "path", "paths of images"
    if column.lower() in PATH_COLUMNS and not any(" " in v for v in values):
        first = repr(values[0]) if values else "nothing"
        raise SourceError(
            f"{sheet.path}: column {column!r} seems to hold paths, but they do not end like images (first: {first}; "
            f"{', '.join(IMAGE_SUFFIXES[:5])} … are known). Say --kind image or --kind text."
        )
    return "text", "texts"


@dataclass(frozen=True, slots=True, eq=False)
class _SheetReader:
    """Reads one table.

    form: "bytes", "path" or "text".  file: as ids name it.  split: whether a column says the parts
    """

    sheet: Sheet
    roles: ColumnRoles
    form: str
    file: str
    split: bool

    def examples(self) -> tuple[list[tuple[str, Example]], list[SetAside], list[str]]:
        """(part, example) of every usable row, the others, and notes."""
        sheet, roles = self.sheet, self.roles
        names = sheet.classes.get(roles.label)
        labels = [clean_label(v, names) for v in sheet.values(roles.label)] if roles.label else [None] * sheet.rows
        groups, parts = [""] * sheet.rows, [""] * sheet.rows
        if roles.group:
            groups = [str(v) if v is not None else "" for v in sheet.values(roles.group)]
        if self.split and roles.split:
            parts = [str(v).strip().lower() for v in sheet.values(roles.split)]
        contents, notes = self._contents([not roles.label or label is not None for label in labels])
        if names and roles.label:
            notes.append(f"The numbers in {roles.label!r} are shown by the class names that the file keeps for them.")
        usable: list[tuple[str, Example]] = []
        aside: list[SetAside] = []
        for row, (name, content, mark) in enumerate(contents):
            if row in sheet.bad:
                aside.append(SetAside(name, sheet.bad[row]))
            elif roles.label and labels[row] is None:
                aside.append(SetAside(name, NO_LABEL))
            elif isinstance(mark, Unreadable):
                aside.append(SetAside(name, str(mark)))
            else:
                usable.append((parts[row], Example(name, content, mark, labels[row], groups[row])))
        return usable, aside, notes

    def _contents(
        self, wanted: list[bool]
    ) -> tuple[Iterator[tuple[str, Path | TableCell | str, str | Unreadable]], list[str]]:
        """(id, content, digest or why there is none) of every row, and notes; rows not `wanted` are not looked into."""
        if self.form == "bytes":
            return self._embedded_images(), []
        values = self.sheet.values(self.roles.input)
        if self.form == "text":
            return (self._text(row, value) for row, value in enumerate(values)), []
        base, notes = self._find_base(values)
        files = [_resolve(base, value) if use else "" for value, use in zip(values, wanted, strict=True)]
        hashes = iter(hash_files([file for file in files if file]))
        digests = [next(hashes) if file else Unreadable("no path") for file in files]
        named = [n for n, file in enumerate(files) if file]
        if named and all(isinstance(digests[n], Unreadable) for n in named):
            first = named[0]
            raise SourceError(
                f"{self.sheet.path}: none of the {len(named):,} images can be read "
                f"(first: {files[first]}: {digests[first]}). "
                f"Paths in column {self.roles.input!r} are relative to the folder of the table."
            )
        repeated = {v for v, n in Counter(values).items() if n > 1}
        ids = [f"{self.file}:{n}" if not v or v in repeated else str(v) for n, v in enumerate(values)]
        return ((i, Path(file), mark) for i, file, mark in zip(ids, files, digests, strict=True)), notes

    def _embedded_images(self) -> Iterator[tuple[str, Path | TableCell, str | Unreadable]]:
        column, table = self.roles.input, self.sheet.path
        paths: list | None = None
        try:
            for row, data in enumerate(iter_cells(table, column)):
                name, content = f"{self.file}:{row}", TableCell(table, row, column)
                if data is not None:
                    yield name, content, digest.of_bytes(data)
                    continue
                paths = self.sheet.paths(column) if paths is None else paths
                if paths[row]:
                    yield name, table.parent / paths[row], hash_files([_resolve(table.parent, paths[row])])[0]
                else:
                    yield name, content, Unreadable("no image")
        except (OSError, ValueError) as error:
            raise SourceError(f"{table} is damaged: {first_line(error)}. Fetch it again.") from error

    def _text(self, row: int, value: object) -> tuple[str, str, str | Unreadable]:
        name = f"{self.file}:{row}"
        if isinstance(value, list | dict | bytes):
            return name, "", Unreadable(f"is not text but {type(value).__name__}")
        text = "" if value is None else str(value)
        return name, text, digest.of_bytes(text.encode()) if text.strip() else Unreadable("empty text")

    def _find_base(self, values: list) -> tuple[Path, list[str]]:
        """The folder that paths are relative to: the table's, or one beside it where the first files lie."""
        paths = [str(v) for v in values if v][:20]
        if paths and paths[0].lower().startswith(("http://", "https://")):
            raise SourceError(
                f"{self.sheet.path}: column {self.roles.input!r} holds web addresses. Download the images first."
            )
        root = self.sheet.path.parent
        for base in (root, root / self.sheet.path.stem, root / "images"):
            if any(os.path.isfile(_resolve(base, path)) for path in paths):
                return base, [] if base == root else [f"Paths in {self.roles.input!r} are relative to {base}."]
        return root, []


def _resolve(base: Path, value: object) -> str:
    """A path as a file here, "" for none; tables written on Windows have backslashes."""
    text = str(value).strip() if value is not None else ""
    if not text or "\0" in text:
        return ""
    path = os.path.join(base, text)
    return os.path.join(base, text.replace("\\", "/")) if "\\" in text and not os.path.exists(path) else path


def clean_label(value: object, names: list[str] | None = None) -> object:
    """A label as its owner means it, None where there is none: a plain value, in text that can be written anywhere.

    names: of the classes that whole numbers stand for; -1 is Hugging Face's mark of a hidden label
    """
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":  # times of numpy would become bare numbers
        value = value.item()
    if value is None or type(value).__name__ in MISSING or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, str):
        return valid_text(value.strip()) or None
    if isinstance(value, list | tuple):
        return tuple(str(c) for c in (clean_label(v, names) for v in value) if c is not None)
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    # A whole number that no float holds is a name: the digits of a hash.
    return str(value) if isinstance(value, int) and abs(value) > LARGEST_WHOLE else value
