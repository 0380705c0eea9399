"""Where the files are that a table names: in which folder beside it, and with which suffix.

A folder that is called like the table (train/ or train_images/ beside train.csv) is the table's own.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.core.input_contract import TABLE, InputContract
from headstart.core.messages import join_plain
from headstart.data.contents import IMAGE_SUFFIXES
from headstart.data.directory_walk import is_visible

PROBED = 20  # strings of a sample, that files are looked for
MAX_FOLDERS = 50  # beside a table, in which files are looked for
ALIKE = 0.9  # of the files that the fullest folder holds: one that holds so many may be meant


@dataclass(frozen=True, slots=True)
class StringForm:
    """What strings are. form, base, suffixes: as in an InputContract.  notes: what was found out"""

    form: str
    base: str = ""
    suffixes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where strings stand: in words, for messages; the folder that paths are relative to; the table's name, or "".

    column: "" for strings in memory.  kind_flag: how one says what they are
    """

    where: str
    folder: Path
    table: str = ""
    column: str = ""
    kind_flag: str = "--kind"

    def kind(self, kind: str) -> str:
        """How one says that they are of a kind."""
        return f"--kind {kind}" if self.kind_flag == "--kind" else f'kind="{kind}"'


def resolve(base: str | Path, value: object, suffixes: Sequence[str] = ()) -> str:
    """A path as a file here, "" for none; tables written on Windows have backslashes.

    suffixes: what is appended to an id, the first that is there
    """
    text = str(value).strip() if value is not None else ""
    if not text or "\0" in text:
        return ""
    if "\\" in text and not os.path.exists(os.path.join(base, text)):
        text = text.replace("\\", "/")
    path = os.path.join(base, text)
    if not path.isascii():
        path = _as_on_disk(base, text)
    if not suffixes:
        return path
    others = (s for s in (*suffixes, *known_suffixes(None)) if os.path.isfile(path + s))
    return path if text.lower().endswith(IMAGE_SUFFIXES) else path + next(others, suffixes[0])


def _as_on_disk(base: str | Path, text: str) -> str:
    """A path with each name in the form of Unicode, NFC or NFD, that it has on this disk; as written where in none."""
    whole = os.path.join(base, text)
    if os.path.exists(whole):
        return whole
    path = os.sep if os.path.isabs(text) else os.fspath(base)
    for name in filter(None, text.split("/")):
        forms = (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
        there = (form for form in forms if os.path.exists(os.path.join(path, form)))
        path = os.path.join(path, next(there, "") or _with_suffix_there(path, forms) or name)
    return path


def _with_suffix_there(folder: str, forms: Sequence[str]) -> str:
    """The form of an id that is an image's name here, "" where none is."""
    return next(
        (form for form in forms for s in known_suffixes(None) if os.path.isfile(os.path.join(folder, form + s))), ""
    )


def base_folder(place: Place, base: str) -> Path:
    """The folder that a contract's `base` means for a table."""
    return place.folder / base.replace(TABLE, place.table) if base else place.folder


def known_suffixes(contract: InputContract | None) -> tuple[str, ...]:
    """Those of images, in small and capital letters; those that were fitted first."""
    known = contract.suffixes if contract is not None else ()
    return tuple(dict.fromkeys((*known, *IMAGE_SUFFIXES, *(s.upper() for s in IMAGE_SUFFIXES))))


def folders_beside(place: Place, contract: InputContract | None) -> list[str]:
    """Where paths may be relative to, the likeliest first: as fitted, the table's folder, one of its name, images/ …"""
    bases = [contract.base] if contract is not None and contract.form == "path" else []
    if not place.table:
        return [*bases, ""]
    try:
        with os.scandir(place.folder) as entries:
            beside = sorted(e.name for e in entries if is_visible(e.name) and e.is_dir())
    except OSError:
        beside = []
    called_so = [_by_table(name, place.table) for name in beside]
    likely = sorted(name for name in called_so if TABLE in name) + ["images"] * ("images" in beside)
    return list(dict.fromkeys([*bases, "", *likely, *called_so][:MAX_FOLDERS]))


def _by_table(folder: str, table: str) -> str:
    """The name of a folder beside a table, TABLE in place of the table's: train_images/ beside train.csv."""
    words = re.split(r"([^a-zA-Z0-9]+)", folder)
    return folder.replace(table, TABLE) if table == folder or table in words else folder


def find_base(
    sample: list[str], place: Place, contract: InputContract | None, suffixes: tuple[str, ...], least: float = 0.0
) -> StringForm | None:
    """Where most of the paths lie, with what must be appended; None where less than a share of them lies anywhere.

    Raises SourceError where they lie in several folders and nothing says which is meant.
    """
    probed = sample[:: max(1, len(sample) // PROBED)][:PROBED]
    holders: dict[str, Counter[str]] = {}
    for base in folders_beside(place, contract):
        folder = base_folder(place, base)
        known = suffixes if os.path.isdir(folder) else ()
        found = Counter(s for text in probed for s in known if _is_file(folder, text, s))
        if found:
            holders[base] = found
        if base == "" and found.total() >= len(probed):
            break
    most = max((found.total() for found in holders.values()), default=0)
    if most < max(1, least * len(probed)):
        return None
    likely = [base for base, found in holders.items() if found.total() >= ALIKE * most]
    base = _meant(likely, place, contract)
    appended = tuple(s for s, _ in holders[base].most_common() if s)
    notes = []
    if base:
        others = [str(base_folder(place, other)) for other in likely if other != base]
        also = f" ({join_plain(others, 3)} hold files of these names too)" if others else ""
        notes.append(f"Paths in {place.column!r} are relative to {base_folder(place, base)}{also}.")
    if appended:
        notes.append(f"The values are ids: {probed[0]} is {resolve(base_folder(place, base), probed[0], appended)}.")
    return StringForm("path", base, appended, tuple(notes))


def _meant(likely: list[str], place: Place, contract: InputContract | None) -> str:
    """Of the folders that hold the files the one that is meant. Raises SourceError where nothing says which."""
    fitted = [contract.base] if contract is not None and contract.base in likely else []
    named = [base for base in likely if TABLE in base]
    for some in (fitted, [base for base in likely if base == ""], named, [b for b in likely if b == "images"], likely):
        if len(some) == 1:
            return some[0]
        if some:
            break
    folders = join_plain((str(base_folder(place, base)) for base in likely), 5)
    first = base_folder(place, likely[0]).name
    raise SourceError(
        f"{describe_place(place)} holds names that are in several folders: {folders}. Write the folder into the paths "
        f"({first}/…), or put the table into the folder that is meant."
    )


def _is_file(folder: Path, text: str, suffix: str) -> bool:
    try:
        return os.path.isfile(resolve(folder, text) + suffix)
    except ValueError:
        return False


def describe_place(place: Place) -> str:
    """The place in words."""
    return f"{place.where}: column {place.column!r}" if place.column else place.where
