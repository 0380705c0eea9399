"""One table: CSV, JSONL or Parquet, with texts, paths of images or the images themselves, and a label."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.core.input_contract import InputContract
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data.column_roles import ColumnRoles, infer_roles
from headstart.data.contents import Parts, Reading
from headstart.data.input_form import form_of_strings, hold_images
from headstart.data.label_values import NO_LABEL
from headstart.data.sheet import Sheet
from headstart.data.sheet_rows import SheetReader
from headstart.data.split_names import part_of
from headstart.data.table_folders import Place, StringForm, base_folder
from headstart.data.tabular import TABLE_SUFFIXES, open_sheet
from headstart.data.text_encoding import wanted_encoding


def reads(source: object) -> bool:
    """Whether it is a file with the suffix of a table."""
    return isinstance(source, str | Path) and os.path.isfile(source) and Path(source).suffix.lower() in TABLE_SUFFIXES


def read(
    source: str | Path,
    *,
    label: str | None,
    input: str | None,
    kind: str | None,
    group: str | None = None,
    contract: InputContract | None = None,
    encoding: str | None = None,
) -> Reading:
    """One example a row; its id is "<file>:<row from 0>", or its path where it is a file of its own.

    contract: how what was learned from was read, which this must be like
    Raises SourceError when the columns cannot be told apart, or nothing in them can be read.
    """
    wanted = wanted_encoding(encoding, contract)
    sheets = {"": [("", open_sheet(Path(source), wanted))]}
    found = read_tables(sheets, "table", label=label, input=input, kind=kind, group=group, contract=contract)
    return with_encoding(found, encoding)


def read_tables(
    sheets: dict[str, list[tuple[str, Sheet]]],
    container: str,
    *,
    label: str | None,
    input: str | None,
    kind: str | None,
    group: str | None,
    contract: InputContract | None,
) -> Reading:
    """The examples of tables that share their columns.

    sheets: part -> its tables, each with what stands before its file name in the ids
    container: as the contract names it
    """
    lead = _lead_sheet(sheets)
    wanted = _fitted_columns(lead, input, contract)
    roles = infer_roles(lead, label=label, input=wanted, group=group)
    form = _input_form(lead, roles, kind, contract)
    what = {"bytes": "images", "path": "paths of images", "base64": "images in base64"}.get(form.form, "texts")
    held = (
        f"columns {', '.join(map(repr, roles.inputs))} hold"
        if len(roles.inputs) > 1
        else f"column {roles.input!r} holds"
    )
    notes = [*roles.notes, f"Input: {held} {what}.", *form.notes]
    reading_kind = "text" if form.form == "text" else "image"
    found = InputContract(
        kind=reading_kind, container=container, form=form.form, columns=roles.inputs, base=form.base,
        suffixes=form.suffixes, label=roles.label, encoding=lead.encoding,
    )  # fmt: skip
    examples: Parts = {}
    unlabelled: Parts = {}
    aside: list[SetAside] = []
    order: list[Example | SetAside] = []
    for part, prefixed in sheets.items():
        usable: list[tuple[str, Example]] = []
        lacking: list[tuple[str, Example]] = []
        unusable: list[SetAside] = []
        for prefix, sheet in prefixed:
            same, own_form = (roles, form) if sheet is lead else _same_columns(lead, roles, sheet, group, found)
            name = prefix if sheet.in_memory else prefix + sheet.path.name
            folder = base_folder(_place(sheet, roles.input), own_form.base)
            reader = SheetReader(sheet, same, own_form, folder, name, split=not part, strict=contract is None)
            for own_part, example, reason in reader.rows():
                if reason is not None:
                    unusable.append(reason)
                    order.append(reason)
                    lacking += [(own_part, example)] if example is not None else []
                elif example is not None:
                    usable.append((own_part, example))
                    order.append(example)
            notes += [*sheet.notes, *reader.notes()]
        without_label = all(a.reason == NO_LABEL for a in unusable)
        if not usable and unusable and part_of(part) not in ("train", "") and without_label:
            notes.append(f"Part {part!r} is left out: none of its {len(unusable):,} rows has a label.")
            continue
        aside += unusable
        for groups, rows in ((examples, usable), (unlabelled, lacking)):
            for name, example in rows:
                groups.setdefault(part or name, []).append(example)
    if not any(examples.values()) and contract is None:
        first = f" (first: {aside[0].id}: {aside[0].reason})" if aside else ""
        raise SourceError(f"{lead.path}: none of the rows can be used{first}. Its columns:\n{lead.show()}")
    written = "typed" if lead.typed else "semicolons" if lead.semicolons else "written"
    all_notes = tuple(dict.fromkeys(notes))
    return Reading(
        reading_kind, examples, all_notes, tuple(aside), roles.label, found, tuple(order), unlabelled, written
    )


def with_encoding(found: Reading, encoding: str | None) -> Reading:
    """The reading with the encoding that the user named in its contract, if any."""
    if not encoding or found.contract is None:
        return found
    name = wanted_encoding(encoding, None).name
    return replace(found, contract=replace(found.contract, encoding=name, encoding_named=True))


def _lead_sheet(sheets: dict[str, list[tuple[str, Sheet]]]) -> Sheet:
    """The one by which columns are told: the first of the training part."""
    parts = [(part, sheet) for part, prefixed in sheets.items() for _, sheet in prefixed]
    return next((sheet for part, sheet in parts if part_of(part) in ("train", "")), parts[0][1])


def _fitted_columns(sheet: Sheet, input: str | None, contract: InputContract | None) -> str | None:
    """The input as the user names it, else the columns that were learned from.

    Raises SourceError where the table lacks them: another column would be answered as if it were the same.
    """
    if input is not None or contract is None:
        return input
    missing = [name for name in contract.columns if name not in sheet.names]
    if len(sheet.names) == 1 and sheet.in_memory:
        return sheet.names[0]
    if not contract.columns:
        return None
    if missing:
        raise SourceError(
            f"{sheet.path} has no column {missing[0]!r}, which the model learned from. Say which holds the same with "
            f"--input COLUMN. Its columns:\n{sheet.show()}"
        )
    return contract.column


def _same_columns(
    lead: Sheet, roles: ColumnRoles, sheet: Sheet, group: str | None, found: InputContract
) -> tuple[ColumnRoles, StringForm]:
    """The same columns in another table, read in the same form."""
    missing = [name for name in (*roles.inputs, *roles.labels) if name not in sheet.names]
    if missing:
        raise SourceError(
            f"{sheet.path} has no column {missing[0]!r}, unlike {lead.path.name}. "
            f"To leave it out, name the table alone: headstart fit {shlex.quote(str(lead.path))}\n{sheet.show()}"
        )
    same = infer_roles(sheet, label=roles.label, input=roles.input, group=group)
    return same, _input_form(sheet, same, found.kind, found)


def _place(sheet: Sheet, column: str) -> Place:
    return Place(str(sheet.path), sheet.path.parent, sheet.path.stem, column)


def _input_form(sheet: Sheet, roles: ColumnRoles, kind: str | None, contract: InputContract | None) -> StringForm:
    """What the values of the input are.

    Raises SourceError where that is not clear, or is not what was learned from.
    """
    if kind not in (None, "image", "text"):
        raise SourceError(f"{sheet.path} is a table: it can hold images or texts. Say --kind image or --kind text.")
    binary = [name for name in roles.inputs if name in sheet.binary]
    if len(roles.inputs) > 1:
        images = binary or [name for name in roles.inputs if hold_images(sheet.values(name))]
        if kind == "image" or images:
            which = f" {images[0]!r} holds images." if images else ""
            raise SourceError(
                f"{sheet.path}: several columns are one input where they are texts.{which} Name one: --input COLUMN."
            )
    if binary:
        if kind == "text":
            raise SourceError(f"{sheet.path}: column {binary[0]!r} holds bytes, not text. Its columns:\n{sheet.show()}")
        return StringForm("bytes")
    if len(roles.inputs) > 1:
        return StringForm("text")
    if contract is not None and roles.inputs == contract.columns:
        kind = kind or contract.kind
    return form_of_strings(sheet.values(roles.input), _place(sheet, roles.input), kind, contract)
