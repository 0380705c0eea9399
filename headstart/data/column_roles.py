"""Which column of a table is the input, which the label: by name, or as the user says, never guessed."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from difflib import get_close_matches

from headstart.core.errors import SourceError
from headstart.data.column_names import (
    GROUP_COLUMNS,
    ID_COLUMNS,
    INPUT_COLUMNS,
    LABEL_COLUMNS,
    LABEL_NAME_COLUMNS,
    SPLIT_COLUMNS,
)
from headstart.data.input_form import look_like_sentences, looks_like_language, name_files
from headstart.data.label_values import is_missing
from headstart.data.number_text import INTEGER, is_number, read_numbers
from headstart.data.sheet import Sheet
from headstart.data.split_names import part_of
from headstart.data.table_folders import Place
from headstart.data.tabular import DELIMITED_SUFFIXES

UNNAMED = re.compile(r"(unnamed: ?\d+|column \d+)(_level_\d+)?|\.\.\.\d+|x\.\d+", re.IGNORECASE)
ID_ENDING = re.compile(r"[_\-. ][iI][dD]$|[a-z]I[dD]$")
FLAGS = {"0", "1", "0.0", "1.0", "true", "false"}
MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ColumnRoles:
    """The column of each role; "" where there is none. Several of one role are named by commas.

    inputs, labels: the columns of the input, whose texts are joined, and of the label, each of which is a tag
    """

    input: str
    label: str
    group: str
    split: str
    notes: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def infer_roles(sheet: Sheet, *, label: str | None, input: str | None, group: str | None) -> ColumnRoles:
    """The columns as they were named, and those that were not named by what they are called.

    label: "" when labels are not wanted.
    Raises SourceError with every column and its first values when a column is missing or several could be it.
    """
    inputs = _named_columns(sheet, input, "input")
    labels = _named_columns(sheet, label, "label")
    _named_columns(sheet, group, "group")
    unnamed = [n for n in sheet.names if n not in (*labels, *inputs, group)]
    group_column = group or next((n for n in unnamed if n.lower() in GROUP_COLUMNS), "")
    split = next((n for n in unnamed if n.lower() in SPLIT_COLUMNS and _is_split(sheet, n)), "")
    free = [n for n in sheet.names if n not in (group_column, split)]
    input_column, notes = (input, []) if input else _find_input(sheet, [n for n in free if n not in labels], label)
    inputs = inputs or (input_column,)
    others = [n for n in free if n not in inputs]
    label_column, label_notes = (label, []) if label is not None else _find_label(sheet, others)
    labels = labels or ((label_column,) if label_column else ())
    if set(labels) & set(inputs):
        raise SourceError(f"{sheet.path}: {label_column!r} cannot be both the input and the label.\n{sheet.show()}")
    notes += label_notes
    if group_column and not group:
        notes.append(f"Groups: column {group_column!r}; rows of one group stay on one side of a split.")
    if split:
        notes.append(f"Parts: column {split!r} ({', '.join(sorted(map(str, set(sheet.values(split)))))}).")
    unused = [n for n in free if n not in (*inputs, *labels)]
    if unused:
        texts = [n for n in unused if len(inputs) == 1 and not input and _is_text(sheet, n)]
        texts = [n for n in texts if look_like_sentences(sheet.values(n)) and _reads_words(sheet, input_column)]
        hint = f" To read {texts[0]!r} too: --input {shlex.quote(f'{texts[0]},{input_column}')}" if texts else ""
        notes.append(f"Columns not used: {', '.join(map(repr, unused[:MOST_SHOWN]))}.{hint}")
    return ColumnRoles(input_column, label_column, group_column, split, tuple(notes), inputs, labels)


def _named_columns(sheet: Sheet, name: str | None, flag: str) -> tuple[str, ...]:
    """The columns that were named: one, or several by commas. Raises SourceError where there is no such column."""
    if not name:
        return ()
    if name in sheet.names:
        return (name,)
    several = tuple(part.strip() for part in name.split(","))
    if len(several) > 1 and set(several) <= set(sheet.names) and flag != "group":
        return tuple(dict.fromkeys(several))
    missing = next((n for n in several if n not in sheet.names), name) if len(several) > 1 else name
    near = get_close_matches(missing, sheet.names, n=1)
    hint = f" Did you mean --{flag} {near[0]}?" if near else ""
    raise SourceError(f"{sheet.path} has no column {missing!r}.{hint} Its columns:\n{sheet.show()}")


def _is_split(sheet: Sheet, name: str) -> bool:
    if name in sheet.binary:
        return False
    values = set(map(str, sheet.values(name)))
    return len(values) <= 4 and all(part_of(v) for v in values)


def _find_input(sheet: Sheet, free: list[str], label: str | None) -> tuple[str, list[str]]:
    for tier in INPUT_COLUMNS:
        candidates = [n for n in free if n.lower() in tier or (tier is INPUT_COLUMNS[0] and n in sheet.binary)]
        if len(candidates) > 1:
            raise _ask(sheet, "input", "More than one column could be the input", candidates)
        if candidates:
            return candidates[0], []
    known = {name for tier in LABEL_COLUMNS for name in tier} | set(LABEL_NAME_COLUMNS)
    if not sheet.in_memory:
        place = [n for n in free if n not in sheet.binary and name_files(sheet.values(n)[:200], _place(sheet, n))]
        if len(place) == 1:
            return place[0], [f"Column {place[0]!r} is taken as the input: images beside the table are called so."]
    candidates = [n for n in free if n.lower() not in known and _is_text(sheet, n)]
    sentences = [n for n in candidates if look_like_sentences(sheet.values(n))]
    candidates = [n for n in candidates if n in sentences or not is_row_id(sheet, n)] or candidates
    rest = [n for n in free if n not in sentences and not is_row_id(sheet, n) and not _is_empty(sheet, n)]
    titled = not any(look_like_sentences([n]) for n in sentences)  # else the first line is no line of names
    if titled and len(sentences) == 1 and (len(rest) < 2 or all(_is_flag(sheet, n) for n in rest)):
        return sentences[0], [f"Column {sentences[0]!r} is taken as the input, because it alone holds sentences."]
    if label is not None or any(n.lower() in known for n in sheet.names):
        words = [n for n in candidates if looks_like_language(sheet.values(n)[:200])]
        for some in (words, candidates):
            if len(some) == 1:
                return some[0], [f"Column {some[0]!r} is taken as the input, because no other one holds words."]
    problem = "No column is known to be the input (Headstart reads images and texts)"
    joined = f", or both: --input {shlex.quote(','.join(candidates[:2]))}" if len(candidates) > 1 else ""
    raise _ask(sheet, "input", problem, candidates, joined)


def _place(sheet: Sheet, name: str) -> Place:
    return Place(str(sheet.path), sheet.path.parent, sheet.path.stem, name)


def _reads_words(sheet: Sheet, name: str) -> bool:
    return _is_text(sheet, name) and looks_like_language(sheet.values(name)[:200])


def _is_text(sheet: Sheet, name: str) -> bool:
    values = [] if name in sheet.binary else [v for v in sheet.values(name)[:200] if not is_missing(v)]
    return bool(values) and all(isinstance(v, str) for v in values) and not all(is_number(v) for v in values)


def is_row_id(sheet: Sheet, name: str) -> bool:
    """Whether a column numbers the rows, or names each by a word of its own: nothing to be learned.

    Whole numbers that are all different but count nothing, as prices, are no row numbers.
    """
    if name in sheet.binary:
        return False
    values = [v for v in sheet.values(name) if not is_missing(v) and v != ""]
    try:
        distinct = set(values)
    except TypeError:  # lists
        return False
    if len(distinct) < len(values) or len(values) < 3:
        return bool(UNNAMED.fullmatch(name)) and bool(values) and all(is_number(str(v)) for v in values[:200])
    whole = [int(str(v)) for v in values] if all(INTEGER.fullmatch(str(v)) for v in values) else []
    counts = bool(whole) and max(whole) - min(whole) == len(whole) - 1
    called_so = name.strip().lower() in ID_COLUMNS or bool(UNNAMED.fullmatch(name) or ID_ENDING.search(name))
    return counts or called_so or read_numbers([str(v) for v in values[:200]], semicolons=False) is None


def _find_label(sheet: Sheet, free: list[str]) -> tuple[str, list[str]]:
    name_columns = [n for n in free if n.lower() in LABEL_NAME_COLUMNS]
    label_columns = [n for n in free if n.lower() in LABEL_COLUMNS[0]]
    if len(name_columns) == 1 and len(label_columns) <= 1:
        if not label_columns or _is_one_to_one(sheet, label_columns[0], name_columns[0]):
            return name_columns[0], [_label_note(sheet, name_columns[0])]
        words, label = name_columns[0], label_columns[0]
        note = f"Column {words!r} is not used: its words and the values of {label!r} do not stand one for one."
        return label, [_label_note(sheet, label), note]
    for tier in (name_columns, *([n for n in free if n.lower() in tier] for tier in LABEL_COLUMNS)):
        if len(tier) > 1:
            raise _ask(sheet, "label", "More than one column could be the label", tier)
        if tier:
            return tier[0], [_label_note(sheet, tier[0])]
    rest = [n for n in free if not is_row_id(sheet, n) and not _is_empty(sheet, n)]
    if len(rest) == 1 and rest[0] not in sheet.binary:
        return rest[0], [_label_note(sheet, rest[0])]
    if not rest:
        ids = f" ({', '.join(map(repr, free))} only numbers or names the rows)" if free else ""
        raise SourceError(
            f"{sheet.path} has no column left that could be the label{ids}. Say which with --label COLUMN, if there is "
            f"one. Its columns:\n{sheet.show()}"
        )
    flags = [n for n in rest if n not in sheet.binary and _is_flag(sheet, n)]
    several = f", or, as each says whether a tag is there: --label {shlex.quote(','.join(flags))}"
    raise _ask(sheet, "label", "No column is known to be the label", rest, several if len(flags) > 1 else "")


def _is_empty(sheet: Sheet, name: str) -> bool:
    return name not in sheet.binary and all(is_missing(v) or v == "" for v in sheet.values(name))


def _is_flag(sheet: Sheet, name: str) -> bool:
    values = [] if name in sheet.binary else sheet.values(name)
    return bool(values) and {str(v).lower() for v in values if not is_missing(v)} <= FLAGS


def _is_one_to_one(sheet: Sheet, a: str, b: str) -> bool:
    left, right = sheet.values(a), sheet.values(b)
    if any(isinstance(v, list | dict) for v in (*left[:5], *right[:5])):
        return False
    pairs = set(zip(left, right, strict=True))
    return len(pairs) == len({p[0] for p in pairs}) == len({p[1] for p in pairs})


def _label_note(sheet: Sheet, name: str) -> str:
    return f"Label: column {name!r} ({len({str(v) for v in sheet.values(name) if v is not None})} values)."


def _ask(sheet: Sheet, flag: str, problem: str, candidates: list[str], more: str = "") -> SourceError:
    which = f": {', '.join(map(repr, candidates))}" if candidates else ""
    first = " (the first line is taken for their names)" if sheet.path.suffix.lower() in DELIMITED_SUFFIXES else ""
    return SourceError(
        f"{sheet.path}: {problem}{which}. Say which with --{flag} COLUMN{more}. Its columns{first}:\n{sheet.show()}"
    )
