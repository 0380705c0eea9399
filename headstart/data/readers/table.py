"""One table: CSV, JSONL or Parquet, with texts, paths of images or the images themselves, and a label."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headstart.core import digest
from headstart.core.errors import SourceError, Unreadable
from headstart.core.result import SetAside
from headstart.core.task import Example, Row
from headstart.data.column_roles import PATHS, Roles, roles
from headstart.data.contents import IMAGES, Reading, cells, hashed
from headstart.data.split_names import part_of
from headstart.data.tabular import SUFFIXES, Sheet, open_sheet


def reads(source: object) -> bool:
    """Whether it is a file with the suffix of a table."""
    return isinstance(source, str | Path) and os.path.isfile(source) and Path(source).suffix.lower() in SUFFIXES


def read(
    source: str | Path, *, label: str | None, input: str | None, kind: str | None, group: str | None = None
) -> Reading:
    """One example a row; its id is "<file>:<row from 0>", or its path where it is a file of its own.

    Raises SourceError when the columns cannot be told apart, or nothing in them can be read.
    """
    sheet = open_sheet(Path(source))
    return gather({"": [("", sheet)]}, label=label, input=input, kind=kind, group=group)


def gather(
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
    everything = [sheet for some in sheets.values() for _, sheet in some]
    lead = next((s for part, some in sheets.items() for _, s in some if part_of(part) in ("train", "")), everything[0])
    found = roles(lead, label=label, input=input, group=group)
    how, meant = _how(lead, found.input, kind)
    notes = [*found.notes, f"Input: column {found.input!r} holds {meant}."]
    examples: dict[str, list[Example]] = {}
    aside: list[SetAside] = []
    for part, some in sheets.items():
        taken, bad = [], []
        for before, sheet in some:
            same = found if sheet is lead else _like(lead, found, sheet, group)
            one = _Take(sheet, same, how, before + sheet.path.name, split=not part)
            rows, wrong, more = one.examples()
            taken += rows
            bad += wrong
            notes += [*sheet.notes, *more]
        if not taken and bad and part_of(part) not in ("train", "") and all(a.reason == NO_LABEL for a in bad):
            notes.append(f"Part {part!r} is left out: none of its {len(bad):,} rows has a label.")
            continue
        aside += bad
        for name, example in taken:
            examples.setdefault(part or name, []).append(example)
    if not any(examples.values()):
        first = f" (first: {aside[0].id}: {aside[0].reason})" if aside else ""
        raise SourceError(f"{lead.path}: none of the rows can be used{first}. Its columns:\n{lead.show()}")
    return Reading(
        "text" if how == "text" else "image", examples, tuple(dict.fromkeys(notes)), tuple(aside), found.label
    )


NO_LABEL = "no label"


def _like(lead: Sheet, found: Roles, sheet: Sheet, group: str | None) -> Roles:
    """The same columns in another table."""
    missing = [name for name in (found.input, found.label) if name and name not in sheet.names]
    if missing:
        raise SourceError(
            f"{sheet.path} has no column {missing[0]!r}, unlike {lead.path.name}. "
            f"To leave it out, name the table alone: headstart fit {lead.path}\n{sheet.show()}"
        )
    return roles(sheet, label=found.label, input=found.input, group=group)


def _how(sheet: Sheet, column: str, kind: str | None) -> tuple[str, str]:
    """ "bytes", "path" or "text", and in words."""
    if kind not in (None, "image", "text"):
        raise SourceError(f"{sheet.path} is a table: it can hold images or texts. Say --kind image or --kind text.")
    if column in sheet.binary:
        if kind == "text":
            raise SourceError(f"{sheet.path}: column {column!r} holds bytes, not text. Its columns:\n{sheet.show()}")
        return "bytes", "images"
    if kind is not None:
        return ("path", "paths of images") if kind == "image" else ("text", "texts")
    some = [v.strip().lower() for v in sheet.values(column)[:500] if isinstance(v, str) and v.strip()]
    if some and sum(v.endswith(IMAGES) for v in some) > len(some) // 2:
        return "path", "paths of images"
    if column.lower() in PATHS and not any(" " in v for v in some):
        first = repr(some[0]) if some else "nothing"
        raise SourceError(
            f"{sheet.path}: column {column!r} seems to hold paths, but they do not end like images (first: {first}; "
            f"{', '.join(IMAGES[:5])} … are known). Say --kind image or --kind text."
        )
    return "text", "texts"


@dataclass(frozen=True, slots=True, eq=False)
class _Take:
    """One table being read. how: "bytes", "path" or "text".  named: the file in ids.  split: look at a split column"""

    sheet: Sheet
    roles: Roles
    how: str
    named: str
    split: bool

    def examples(self) -> tuple[list[tuple[str, Example]], list[SetAside], list[str]]:
        """(part, example) of every good row, the bad ones, and notes."""
        sheet, wanted = self.sheet, self.roles
        names = sheet.classes.get(wanted.label)
        labels = [clean(v, names) for v in sheet.values(wanted.label)] if wanted.label else [None] * sheet.rows
        groups = (
            [str(v) if v is not None else "" for v in sheet.values(wanted.group)] if wanted.group else [""] * sheet.rows
        )
        parts = [""] * sheet.rows
        if self.split and wanted.split:
            parts = [str(v).strip().lower() for v in sheet.values(wanted.split)]
        contents, notes = self._contents([not wanted.label or label is not None for label in labels])
        if names and wanted.label:
            notes.append(f"The numbers in {wanted.label!r} are shown by the class names that the file keeps for them.")
        good: list[tuple[str, Example]] = []
        aside: list[SetAside] = []
        for row, (name, content, mark) in enumerate(contents):
            if row in sheet.bad:
                aside.append(SetAside(name, sheet.bad[row]))
            elif wanted.label and labels[row] is None:
                aside.append(SetAside(name, NO_LABEL))
            elif isinstance(mark, Unreadable):
                aside.append(SetAside(name, str(mark)))
            else:
                good.append((parts[row], Example(name, content, mark, labels[row], groups[row])))
        return good, aside, notes

    def _contents(
        self, wanted: list[bool]
    ) -> tuple[Iterator[tuple[str, Path | Row | str, str | Unreadable]], list[str]]:
        """(id, content, digest or why there is none) of every row, and notes; rows not `wanted` are not looked into."""
        if self.how == "bytes":
            return self._images(), []
        values = self.sheet.values(self.roles.input)
        if self.how == "text":
            return (self._text(row, value) for row, value in enumerate(values)), []
        base, notes = self._base(values)
        files = [_path(base, value) if use else "" for value, use in zip(values, wanted, strict=True)]
        marks = iter(hashed([file for file in files if file]))
        checked = [next(marks) if file else Unreadable("no path") for file in files]
        tried = [n for n, file in enumerate(files) if file]
        if tried and all(isinstance(checked[n], Unreadable) for n in tried):
            first = tried[0]
            raise SourceError(
                f"{self.sheet.path}: none of the {len(tried):,} images can be read "
                f"(first: {files[first]}: {checked[first]}). "
                f"Paths in column {self.roles.input!r} are relative to the folder of the table."
            )
        doubled = {v for v, n in Counter(values).items() if n > 1}
        ids = [f"{self.named}:{n}" if not v or v in doubled else str(v) for n, v in enumerate(values)]
        return ((i, Path(file), mark) for i, file, mark in zip(ids, files, checked, strict=True)), notes

    def _images(self) -> Iterator[tuple[str, Path | Row, str | Unreadable]]:
        column, table = self.roles.input, self.sheet.path
        beside: list | None = None
        try:
            for row, data in enumerate(cells(table, column)):
                name, content = f"{self.named}:{row}", Row(table, row, column)
                if data is not None:
                    yield name, content, digest.of_bytes(data)
                    continue
                beside = self.sheet.paths(column) if beside is None else beside
                if beside[row]:
                    yield name, table.parent / beside[row], hashed([_path(table.parent, beside[row])])[0]
                else:
                    yield name, content, Unreadable("no image")
        except (OSError, ValueError) as error:
            raise SourceError(f"{table} is damaged: {str(error).splitlines()[0]}. Fetch it again.") from error

    def _text(self, row: int, value: object) -> tuple[str, str, str | Unreadable]:
        name = f"{self.named}:{row}"
        if isinstance(value, list | dict | bytes):
            return name, "", Unreadable(f"is not text but {type(value).__name__}")
        # JSON may hold halves of characters, which no tokenizer takes: they become question marks.
        data = ("" if value is None else str(value)).encode("utf-8", "replace")
        text = data.decode("utf-8")
        return name, text, digest.of_bytes(data) if text.strip() else Unreadable("empty text")

    def _base(self, values: list) -> tuple[Path, list[str]]:
        """The folder that paths are relative to: the table's, or one beside it where the first files lie."""
        some = [str(v) for v in values if v][:20]
        if some and some[0].lower().startswith(("http://", "https://")):
            raise SourceError(
                f"{self.sheet.path}: column {self.roles.input!r} holds web addresses. Download the images first."
            )
        root = self.sheet.path.parent
        for base in (root, root / self.sheet.path.stem, root / "images"):
            if any(os.path.isfile(_path(base, value)) for value in some):
                return base, [] if base == root else [f"Paths in {self.roles.input!r} are relative to {base}."]
        return root, []


def _path(base: Path, value: object) -> str:
    """A path as a file here; tables written on Windows have backslashes."""
    text = str(value).strip() if value is not None else ""
    if not text or "\0" in text:
        return ""
    path = os.path.join(base, text)
    return os.path.join(base, text.replace("\\", "/")) if "\\" in text and not os.path.exists(path) else path


def clean(value: object, names: list[str] | None = None) -> object:
    """A label as its owner means it, None where there is none.

    names: of the classes that whole numbers stand for; -1 is Hugging Face's mark of a hidden label
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list | tuple):
        return tuple(str(c) for c in (clean(v, names) for v in value) if c is not None)
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    return value
