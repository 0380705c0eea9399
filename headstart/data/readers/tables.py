"""A folder of tables named after the parts: train.parquet, validation-00000-of-00002.parquet, data/test.csv …"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import replace
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.core.input_contract import InputContract
from headstart.core.messages import join_plain
from headstart.data.contents import Reading
from headstart.data.readers import folder
from headstart.data.readers.table import read_tables, with_encoding
from headstart.data.sample_files import is_sample_folder
from headstart.data.split_names import part_of
from headstart.data.tabular import find_tables, open_sheet
from headstart.data.text_encoding import wanted_encoding

# Hugging Face's "-00000-of-00002", with the hash that older versions put behind it.
SHARD = re.compile(r"-\d{5}-of-\d{5}(-[0-9a-f]+)?$")


def reads(source: object) -> bool:
    """Whether it is a folder that holds tables and not class folders."""
    return (
        isinstance(source, str | Path)
        and os.path.isdir(source)
        and not folder.reads(source)
        and not is_sample_folder(source)
    )


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
    """The parts as the file names say; a folder with one table is that table.

    Raises SourceError when it cannot be told which table is which part.
    """
    root = Path(source)
    parts, unused = _assign_tables(root, find_tables(root))
    sheets, wanted = {}, wanted_encoding(encoding, contract)
    for part, files in parts.items():
        sheets[part] = [
            (file.relative_to(root).as_posix().removesuffix(file.name), open_sheet(file, wanted)) for file in files
        ]
    reading = read_tables(sheets, "tables", label=label, input=input, kind=kind, group=group, contract=contract)
    reading = with_encoding(reading, encoding)
    which = "; ".join(join_plain((f.name for f in files), 3) for files in parts.values())
    notes = [f"Tables read: {which}."]
    if unused:
        notes.append(f"Not read, because no part is named so: {join_plain(f.name for f in unused)}.")
    return replace(reading, notes=(*notes, *reading.notes))


def _assign_tables(root: Path, tables: list[Path]) -> tuple[dict[str, list[Path]], list[Path]]:
    """Name of the part -> its tables, and the tables of no part."""
    by_name: dict[str, dict[str, list[Path]]] = {}  # "mnist" -> the parts of it
    unused = []
    for table in tables:
        part, name = _part_and_name(root, table)
        if part:
            by_name.setdefault(name, {}).setdefault(part, []).append(table)
        else:
            unused.append(table)
    shards = {SHARD.sub("", table.stem) for table in unused}
    if not by_name and (len(unused) == 1 or (len(shards) == 1 and all(SHARD.search(t.stem) for t in unused))):
        return {"": unused}, []
    chosen = by_name[""] if any(part_of(p) == "train" for p in by_name.get("", {})) else None
    if chosen is None and len(by_name) == 1:
        chosen = next(iter(by_name.values()))
    if chosen is None or not any(part_of(part) == "train" for part in chosen):
        raise SourceError(_unclear(root, tables))
    for part, files in chosen.items():
        if len({f.suffix for f in files}) > 1 or (len(files) > 1 and not all(_is_shard(root, f) for f in files)):
            raise SourceError(
                f"{root} has part {part!r} more than once: {', '.join(f.name for f in files)}. Keep one of them."
            )
    others = [parts for parts in by_name.values() if parts is not chosen]
    return chosen, [*unused, *(file for parts in others for files in parts.values() for file in files)]


def _is_shard(root: Path, table: Path) -> bool:
    return bool(SHARD.search(table.stem)) or bool(part_of(table.parent.name) and table.parent != root)


def _part_and_name(root: Path, table: Path) -> tuple[str, str]:
    """("train", "mnist") of mnist_train.parquet; ("", "") where no part is named."""
    if table.parent != root and part_of(table.parent.name):
        return table.parent.name, ""
    stem = SHARD.sub("", table.stem).lower()
    if part_of(stem):
        return stem, ""
    words = re.split(r"[-_. ]+", stem)
    if part_of(words[-1]):
        return words[-1], "_".join(words[:-1])
    if part_of(words[0]):
        return words[0], "_".join(words[1:])
    return "", ""


def _unclear(root: Path, tables: list[Path]) -> str:
    names = join_plain((t.relative_to(root).as_posix() for t in tables), 8)
    part_and_name = {t: _part_and_name(root, t) for t in tables}
    train = next((t for t in tables if part_of(part_and_name[t][0]) == "train"), tables[0])
    other = next((t for t in tables if t != train and part_and_name[t][1] == part_and_name[train][1]), tables[-1])
    test = f" --test {shlex.quote(str(other))}" if other != train else ""
    return (
        f"{root} holds {len(tables)} tables, and their names do not say which is the training part: {names}. "
        "Expected: train.parquet, validation.parquet, test.parquet (or .csv, .jsonl). "
        f"Or name the table: headstart fit {shlex.quote(str(train))}{test}"
    )
