"""A folder of tables named after the parts: train.parquet, validation-00000-of-00002.parquet, data/test.csv …"""

from __future__ import annotations

import os
import re
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.core.messages import plain
from headstart.data.contents import Reading
from headstart.data.readers import folder
from headstart.data.readers.table import gather
from headstart.data.split_names import part_of
from headstart.data.tabular import open_sheet, tables

# Hugging Face's "-00000-of-00002", with the hash that older versions put behind it.
SHARD = re.compile(r"-\d{5}-of-\d{5}(-[0-9a-f]+)?$")


def reads(source: object) -> bool:
    """Whether it is a folder that holds tables and not class folders."""
    return isinstance(source, str | Path) and os.path.isdir(source) and not folder.reads(source)


def read(
    source: str | Path, *, label: str | None, input: str | None, kind: str | None, group: str | None = None
) -> Reading:
    """The parts as the file names say; a folder with one table is that table.

    Raises SourceError when it cannot be told which table is which part.
    """
    root = Path(source)
    parts, left = _parts(root, tables(root))
    sheets = {}
    for part, files in parts.items():
        sheets[part] = [(file.relative_to(root).as_posix().removesuffix(file.name), open_sheet(file)) for file in files]
    reading = gather(sheets, label=label, input=input, kind=kind, group=group)
    which = "; ".join(plain((f.name for f in files), 3) for files in parts.values())
    notes = [f"Tables read: {which}."]
    if left:
        notes.append(f"Not read, because no part is named so: {plain(f.name for f in left)}.")
    return Reading(reading.kind, reading.examples, (*notes, *reading.notes), reading.aside, reading.column)


def _parts(root: Path, found: list[Path]) -> tuple[dict[str, list[Path]], list[Path]]:
    """Name of the part -> its tables, and the tables that are none."""
    named: dict[str, dict[str, list[Path]]] = {}
    left = []
    for table in found:
        part, rest = _named(root, table)
        if part:
            named.setdefault(rest, {}).setdefault(part, []).append(table)
        else:
            left.append(table)
    if not named and len(left) == 1:
        return {"": left}, []
    chosen = named[""] if any(part_of(p) == "train" for p in named.get("", {})) else None
    if chosen is None and len(named) == 1:
        chosen = next(iter(named.values()))
    if chosen is None or not any(part_of(part) == "train" for part in chosen):
        raise SourceError(_unclear(root, found))
    for part, files in chosen.items():
        if len({f.suffix for f in files}) > 1 or (len(files) > 1 and not all(_is_shard(root, f) for f in files)):
            raise SourceError(
                f"{root} has part {part!r} more than once: {', '.join(f.name for f in files)}. Keep one of them."
            )
    return chosen, [
        *left,
        *(f for rest in named.values() if rest is not chosen for files in rest.values() for f in files),
    ]


def _is_shard(root: Path, table: Path) -> bool:
    return bool(SHARD.search(table.stem)) or bool(part_of(table.parent.name) and table.parent != root)


def _named(root: Path, table: Path) -> tuple[str, str]:
    """("train", "mnist") of mnist_train.parquet; ("", "") where no part is named."""
    if table.parent != root and part_of(table.parent.name):
        return table.parent.name, ""
    stem = SHARD.sub("", table.stem).lower()
    if part_of(stem):
        return stem, ""
    words = re.split(r"[-_. ]+", stem)
    for at in (-1, 0):
        if part_of(words[at]):
            return words[at], "_".join(words[:-1] if at else words[1:])
    return "", ""


def _unclear(root: Path, found: list[Path]) -> str:
    names = plain((t.relative_to(root).as_posix() for t in found), 8)
    train = next((t for t in found if _named(root, t)[0] and part_of(_named(root, t)[0]) == "train"), found[0])
    other = next((t for t in found if t != train and _named(root, t)[1] == _named(root, train)[1]), found[-1])
    return (
        f"{root} holds {len(found)} tables, and their names do not say which is the training part: {names}. "
        "Expected: train.parquet, validation.parquet, test.parquet (or .csv, .jsonl). "
        f"Or name the table: headstart fit {train}" + (f" --test {other}" if other != train else "")
    )
