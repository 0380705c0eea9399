"""Which column of a table is the input, which the label: by name, or asked, never guessed."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from headstart.core.errors import SourceError
from headstart.data.split_names import part_of
from headstart.data.tabular import SEPARATED, Sheet

# Tiers: the first that holds exactly one column decides; one that holds several is a question to the user.
PATHS = (
    *("image_path", "img_path", "image_file", "filepath", "file_path"),
    *("file_name", "filename", "path", "file"),
)
INPUTS = (
    ("image", "img", "text"),
    ("sentence", "content", "utterance", *PATHS),
    (
        *("message", "review", "tweet", "comment", "question", "document", "body", "query", "prompt"),
        *("description", "photo", "picture", "sms", "email"),
    ),
)
LABELS = (
    ("label", "labels"),
    (
        *("class", "classes", "class_name", "class_label", "category", "categories", "target", "intent", "y"),
        *("tags", "tag", "sentiment", "topic"),
    ),
)
# A word for each number in "label"; it is what people want to read.
WORDS = ("label_name", "label_text", "label_names", "labels_name", "label_str")
GROUPS = ("group", "group_id")
SPLITS = ("split", "part", "subset", "set")


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns' parts in the play; "" where no column has it."""

    input: str
    label: str
    group: str
    split: str
    notes: tuple[str, ...]


def roles(sheet: Sheet, *, label: str | None, input: str | None, group: str | None) -> Roles:
    """Finds the columns that were not named.

    label: "" when labels are not wanted.
    Raises SourceError with every column and its first values when a column is missing or several could be it.
    """
    for asked, flag in ((label, "label"), (input, "input"), (group, "group")):
        if asked:
            _must_have(sheet, asked, flag)
    open_ = [n for n in sheet.names if n not in (label, input, group)]
    found_group = group or next((n for n in open_ if n.lower() in GROUPS), "")
    split = next((n for n in open_ if n.lower() in SPLITS and _is_split(sheet, n)), "")
    free = [n for n in sheet.names if n not in (found_group, split)]
    found_input, notes = (input, []) if input else _input(sheet, [n for n in free if n != label], label)
    found_label, more = (label, []) if label is not None else _label(sheet, [n for n in free if n != found_input])
    if found_label and found_label == found_input:
        raise SourceError(f"{sheet.path}: {found_label!r} cannot be both the input and the label.\n{sheet.show()}")
    notes += more
    if found_group and not group:
        notes.append(f"Groups: column {found_group!r}; rows of one group stay on one side of a split.")
    if split:
        notes.append(f"Parts: column {split!r} ({', '.join(sorted(map(str, set(sheet.values(split)))))}).")
    unused = [n for n in free if n not in (found_input, found_label)]
    if unused:
        notes.append(f"Columns not used: {', '.join(map(repr, unused[:10]))}.")
    return Roles(found_input, found_label, found_group, split, tuple(notes))


def _must_have(sheet: Sheet, name: str, flag: str) -> None:
    if name not in sheet.names:
        near = get_close_matches(name, sheet.names, n=1)
        hint = f" Did you mean --{flag} {near[0]}?" if near else ""
        raise SourceError(f"{sheet.path} has no column {name!r}.{hint} Its columns:\n{sheet.show()}")


def _is_split(sheet: Sheet, name: str) -> bool:
    if name in sheet.binary:
        return False
    values = set(map(str, sheet.values(name)))
    return len(values) <= 4 and all(part_of(v) for v in values)


def _input(sheet: Sheet, free: list[str], label: str | None) -> tuple[str, list[str]]:
    for tier in INPUTS:
        some = [n for n in free if n.lower() in tier or (tier is INPUTS[0] and n in sheet.binary)]
        if len(some) > 1:
            raise _which(sheet, "input", "More than one column could be the input", some)
        if some:
            return some[0], []
    known = {name for tier in LABELS for name in tier} | set(WORDS)
    rest = [n for n in free if n.lower() not in known and _is_words(sheet, n)]
    if len(rest) == 1 and (label is not None or any(n.lower() in known for n in sheet.names)):
        return rest[0], [f"Column {rest[0]!r} is taken as the input, because no other one holds words."]
    raise _which(sheet, "input", "No column is known to be the input (Headstart reads images and texts)", rest)


def _is_words(sheet: Sheet, name: str) -> bool:
    return name not in sheet.binary and all(isinstance(v, str) for v in sheet.values(name)[:200] if v is not None)


def _label(sheet: Sheet, free: list[str]) -> tuple[str, list[str]]:
    words = [n for n in free if n.lower() in WORDS]
    plain = [n for n in free if n.lower() in LABELS[0]]
    if len(words) == 1 and len(plain) <= 1:
        if not plain or _one_to_one(sheet, plain[0], words[0]):
            return words[0], [_label_note(sheet, words[0])]
        note = f"Column {words[0]!r} is not used: its words and the values of {plain[0]!r} do not stand one for one."
        return plain[0], [_label_note(sheet, plain[0]), note]
    for tier in (words, *([n for n in free if n.lower() in tier] for tier in LABELS)):
        if len(tier) > 1:
            raise _which(sheet, "label", "More than one column could be the label", tier)
        if tier:
            return tier[0], [_label_note(sheet, tier[0])]
    if len(free) == 1 and free[0] not in sheet.binary:
        return free[0], [_label_note(sheet, free[0])]
    if not free:
        raise SourceError(f"{sheet.path} has no column left that could be the label. Its columns:\n{sheet.show()}")
    raise _which(sheet, "label", "No column is known to be the label", free)


def _one_to_one(sheet: Sheet, a: str, b: str) -> bool:
    left, right = sheet.values(a), sheet.values(b)
    if any(isinstance(v, list | dict) for v in (*left[:5], *right[:5])):
        return False
    pairs = set(zip(left, right, strict=True))
    return len(pairs) == len({p[0] for p in pairs}) == len({p[1] for p in pairs})


def _label_note(sheet: Sheet, name: str) -> str:
    return f"Label: column {name!r} ({len({str(v) for v in sheet.values(name) if v is not None})} values)."


def _which(sheet: Sheet, flag: str, what: str, some: list[str]) -> SourceError:
    which = f": {', '.join(map(repr, some))}" if some else ""
    first = " (the first line is taken for their names)" if sheet.path.suffix.lower() in SEPARATED else ""
    return SourceError(
        f"{sheet.path}: {what}{which}. Say which with --{flag} COLUMN. Its columns{first}:\n{sheet.show()}"
    )
