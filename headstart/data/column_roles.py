"""Which column of a table is the input, which the label: by name, or as the user says, never guessed."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from headstart.core.errors import SourceError
from headstart.data.sheet import Sheet
from headstart.data.split_names import part_of
from headstart.data.tabular import DELIMITED_SUFFIXES

# Tiers: the first that holds exactly one column decides; one that holds several is a question to the user.
PATH_COLUMNS = (
    *("image_path", "img_path", "image_file", "filepath", "file_path"),
    *("file_name", "filename", "path", "file"),
)
INPUT_COLUMNS = (
    ("image", "img", "text"),
    ("sentence", "content", "utterance", *PATH_COLUMNS),
    (
        *("message", "review", "tweet", "comment", "question", "document", "body", "query", "prompt"),
        *("description", "photo", "picture", "sms", "email"),
    ),
)
LABEL_COLUMNS = (
    ("label", "labels"),
    (
        *("class", "classes", "class_name", "class_label", "category", "categories", "target", "intent", "y"),
        *("tags", "tag", "sentiment", "topic"),
    ),
)
# A word for each number in "label"; it is what people want to read.
LABEL_NAME_COLUMNS = ("label_name", "label_text", "label_names", "labels_name", "label_str")
GROUP_COLUMNS = ("group", "group_id")
SPLIT_COLUMNS = ("split", "part", "subset", "set")


@dataclass(frozen=True, slots=True)
class ColumnRoles:
    """The column of each role; "" where there is none."""

    input: str
    label: str
    group: str
    split: str
    notes: tuple[str, ...]


def infer_roles(sheet: Sheet, *, label: str | None, input: str | None, group: str | None) -> ColumnRoles:
    """The columns as they were named, and those that were not named by what they are called.

    label: "" when labels are not wanted.
    Raises SourceError with every column and its first values when a column is missing or several could be it.
    """
    for column, flag in ((label, "label"), (input, "input"), (group, "group")):
        if column:
            _check_exists(sheet, column, flag)
    unnamed = [n for n in sheet.names if n not in (label, input, group)]
    group_column = group or next((n for n in unnamed if n.lower() in GROUP_COLUMNS), "")
    split = next((n for n in unnamed if n.lower() in SPLIT_COLUMNS and _is_split(sheet, n)), "")
    free = [n for n in sheet.names if n not in (group_column, split)]
    input_column, notes = (input, []) if input else _find_input(sheet, [n for n in free if n != label], label)
    others = [n for n in free if n != input_column]
    label_column, label_notes = (label, []) if label is not None else _find_label(sheet, others)
    if label_column and label_column == input_column:
        raise SourceError(f"{sheet.path}: {label_column!r} cannot be both the input and the label.\n{sheet.show()}")
    notes += label_notes
    if group_column and not group:
        notes.append(f"Groups: column {group_column!r}; rows of one group stay on one side of a split.")
    if split:
        notes.append(f"Parts: column {split!r} ({', '.join(sorted(map(str, set(sheet.values(split)))))}).")
    unused = [n for n in free if n not in (input_column, label_column)]
    if unused:
        notes.append(f"Columns not used: {', '.join(map(repr, unused[:10]))}.")
    return ColumnRoles(input_column, label_column, group_column, split, tuple(notes))


def _check_exists(sheet: Sheet, name: str, flag: str) -> None:
    if name not in sheet.names:
        near = get_close_matches(name, sheet.names, n=1)
        hint = f" Did you mean --{flag} {near[0]}?" if near else ""
        raise SourceError(f"{sheet.path} has no column {name!r}.{hint} Its columns:\n{sheet.show()}")


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
    candidates = [n for n in free if n.lower() not in known and _is_text(sheet, n)]
    if len(candidates) == 1 and (label is not None or any(n.lower() in known for n in sheet.names)):
        return candidates[0], [f"Column {candidates[0]!r} is taken as the input, because no other one holds words."]
    raise _ask(sheet, "input", "No column is known to be the input (Headstart reads images and texts)", candidates)


def _is_text(sheet: Sheet, name: str) -> bool:
    return name not in sheet.binary and all(isinstance(v, str) for v in sheet.values(name)[:200] if v is not None)


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
    if len(free) == 1 and free[0] not in sheet.binary:
        return free[0], [_label_note(sheet, free[0])]
    if not free:
        raise SourceError(f"{sheet.path} has no column left that could be the label. Its columns:\n{sheet.show()}")
    raise _ask(sheet, "label", "No column is known to be the label", free)


def _is_one_to_one(sheet: Sheet, a: str, b: str) -> bool:
    left, right = sheet.values(a), sheet.values(b)
    if any(isinstance(v, list | dict) for v in (*left[:5], *right[:5])):
        return False
    pairs = set(zip(left, right, strict=True))
    return len(pairs) == len({p[0] for p in pairs}) == len({p[1] for p in pairs})


def _label_note(sheet: Sheet, name: str) -> str:
    return f"Label: column {name!r} ({len({str(v) for v in sheet.values(name) if v is not None})} values)."


def _ask(sheet: Sheet, flag: str, problem: str, candidates: list[str]) -> SourceError:
    which = f": {', '.join(map(repr, candidates))}" if candidates else ""
    first = " (the first line is taken for their names)" if sheet.path.suffix.lower() in DELIMITED_SUFFIXES else ""
    return SourceError(
        f"{sheet.path}: {problem}{which}. Say which with --{flag} COLUMN. Its columns{first}:\n{sheet.show()}"
    )
