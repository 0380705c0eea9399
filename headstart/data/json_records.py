"""Records in a file of JSON: one object a line, a list of them, or a shape in which programs wrap such a list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from headstart.core.errors import SourceError
from headstart.core.messages import first_line, join_quoted
from headstart.data.column_names import KNOWN_COLUMNS
from headstart.data.contents import valid_text
from headstart.data.split_names import part_of
from headstart.data.text_encoding import first_lost_byte

HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")  # the only way for one into a text that was decoded
MAX_NESTING = 100  # of lists and objects in one another
NO_OBJECT = "not a JSON object"
EXPECTED = "A list of objects, or one object a line, is expected"
Item = tuple[int, object]  # line number, or that of the record from 1; an object, or what is wrong in words


def records(path: Path, text: str) -> tuple[list[Item], list[str]]:
    """The records of a file, and notes on how they were found; blank lines are no records.

    Raises SourceError where the file holds something else.
    """
    head = text.lstrip()[:1]
    first = next((line for line in text.split("\n") if line.strip()), "")
    if head == "[" or (head == "{" and not _is_json(first)) or (path.suffix.lower() == ".json" and _is_one_line(text)):
        try:
            return _of_documents(path, text, list(_documents(text)))
        except (ValueError, RecursionError):
            if not any(_is_json(line) for line in text.split("\n", 200)[:200] if line.strip()):
                raise SourceError(f"{path}: {_damage(text)}. {EXPECTED}.") from None
    return list(_of_lines(text)), []


def valid_json(value: Any, text: str) -> Any:
    """The value that was parsed from the text, all its texts and names such as UTF-8 can hold.

    Raises ValueError where it is nested so deep that walking it would exhaust the stack.
    """
    if text.count("[") + text.count("{") > MAX_NESTING and _is_deep(value):
        raise ValueError(f"more than {MAX_NESTING} lists or objects in one another")
    return _valid(value) if HALF_CHARACTER.search(text) else value


def flat(record: dict) -> dict:
    """A record whose entries that are objects gave their own entries to it, by their own names where these are free."""
    nested = {name: value for name, value in record.items() if isinstance(value, dict) and not _is_file(value)}
    if not nested:
        return record
    inner = [key for value in nested.values() for key in value]
    plain = {name: value for name, value in record.items() if name not in nested}
    for name, value in nested.items():
        for key, entry in value.items():
            plain[key if inner.count(key) == 1 and key not in record else f"{name}.{key}"] = entry
    return plain


def _is_file(value: dict) -> bool:
    return "bytes" in value or "path" in value  # as Hugging Face writes an image


def _of_lines(text: str) -> Iterator[Item]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, first_lost_byte(line) or valid_json(json.loads(line), line)
            except (ValueError, RecursionError) as error:
                yield number, f"not JSON ({first_line(error)})"


def _documents(text: str) -> Iterator[Any]:
    """The JSON values that stand one after the other. Raises ValueError."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at < len(text):
            value, at = decoder.raw_decode(text, at)
            yield value


def _of_documents(path: Path, text: str, found: list[Any]) -> tuple[list[Item], list[str]]:
    if len(found) == 1:
        rows, notes = _unwrapped(path, valid_json(found[0], text))
    else:
        rows, notes = [valid_json(value, text) for value in found], []
    lost = bool(first_lost_byte(text))
    items: list[Item] = []
    for number, row in enumerate(rows, 1):
        why = first_lost_byte(json.dumps(row, ensure_ascii=False)) if lost else ""
        items.append((number, why or (row if isinstance(row, dict) else NO_OBJECT)))
    return items, notes


def _unwrapped(path: Path, document: Any) -> tuple[Sequence[Any], list[str]]:
    """The records of one document, and a note. Raises SourceError where it holds none."""
    if isinstance(document, list):
        if document and all(isinstance(row, list) for row in document):
            raise SourceError(
                f"{path} holds lists without names. {EXPECTED}: names say what is the input and the label."
            )
        return document, []
    if not isinstance(document, dict):
        raise SourceError(f"{path} holds one JSON value. {EXPECTED}.")
    names = document.get("columns")
    rows = document.get("data")
    if (
        isinstance(names, list)
        and isinstance(rows, list)
        and all(isinstance(r, list) and len(r) == len(names) for r in rows)
    ):
        return [dict(zip(map(str, names), row, strict=True)) for row in rows], []  # as pandas writes "split"
    lists = {key: v for key, v in document.items() if isinstance(v, list) and v and all(isinstance(r, dict) for r in v)}
    if len(lists) == 1:
        [(key, rows)] = lists.items()
        return rows, [f"{path.name}: its records are the list {key!r}."]
    if len(lists) > 1:
        parts = [key for key in lists if part_of(key)]
        advice = (
            "Write each into a file of its own: train.json, test.json in one folder."
            if len(parts) == len(lists)
            else "Write the one to learn from into a file of its own."
        )
        raise SourceError(f"{path} holds several lists of objects: {join_quoted(lists)}. {advice}")
    values = list(document.values())
    if len(values) > 1 and all(isinstance(v, dict) for v in values):
        return _of_objects(document)
    if (
        len(values) > 1
        and all(isinstance(v, list) and len(v) == len(values[0]) for v in values)
        and _name_columns(document)
    ):
        return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)], []
    if values and all(isinstance(v, list) and all(isinstance(e, str) for e in v) for v in values):
        raise SourceError(
            f"{path} holds a list a name ({join_quoted(document)}): classes or columns? "
            f'{EXPECTED}, like {{"text": "…", "label": "…"}}.'
        )
    if len(document) > 1 and any(not isinstance(v, list | dict) for v in values) and not lists:
        return [document], []
    raise SourceError(f"{path} holds one JSON value. {EXPECTED}.")


def _of_objects(document: dict) -> tuple[Sequence[Any], list[str]]:
    """{"id1": {"text": …}, …} by rows, or {"text": {"0": …}, "label": {…}} by columns, as pandas writes it."""
    if _name_columns(document):
        keys = dict.fromkeys(key for column in document.values() for key in column)
        return [{name: column.get(key) for name, column in document.items()} for key in keys], []
    return [{"id": key, **row} for key, row in document.items()], []


def _name_columns(names: Sequence[str] | dict) -> bool:
    """Whether names are those of an input or a label."""
    return any(name.lower() in KNOWN_COLUMNS for name in names)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_one_line(text: str) -> bool:
    return "\n" not in text.strip()


def _damage(text: str) -> str:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({first_line(error)})"
    return "not JSON"


def _is_deep(value: Any) -> bool:
    """Whether lists and objects lie in one another more than MAX_NESTING deep."""
    level = [value]
    for _ in range(MAX_NESTING + 1):
        nested = [v for v in level if isinstance(v, dict | list)]
        level = [inner for v in nested for inner in (v.values() if isinstance(v, dict) else v)]
    return bool(level)


def _valid(value: Any) -> Any:
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, dict):
        return {valid_text(name): _valid(entry) for name, entry in value.items()}
    return [_valid(entry) for entry in value] if isinstance(value, list) else value
