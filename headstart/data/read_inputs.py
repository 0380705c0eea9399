"""What a model is asked about, read by the readers that read what it learned from: one example a row, in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from headstart.core.errors import SourceError
from headstart.core.input_contract import InputContract
from headstart.core.options import DataOptions
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data.contents import IMAGE_SUFFIXES, TEXT_SUFFIXES, valid_name
from headstart.data.directory_walk import holds_file, is_visible, keeping
from headstart.data.read import read_source
from headstart.data.tabular import find_tables

NOUNS = {"image": "photos", "text": "texts", "vector": "feature vectors"}
Item = Example | SetAside  # an input, or why there is none


def read_inputs(
    source: object, contract: InputContract, column: str | None = None, shown: str | None = None
) -> Iterator[Item]:
    """The examples of a folder, a table, a frame or a collection in memory, as they were read to learn from.

    shown: what a folder is called in the ids, where it was unpacked from an archive
    column: the input column where it has another name than in what was learned from
    Raises SourceError where the source is not like that: another kind, or no such column.
    """
    folder = isinstance(source, str | Path) and os.path.isdir(source)
    if folder and not holds_inputs(str(source), contract.kind, contract.keep):
        yield SetAside(
            shown or str(source), f"no {'photos' if contract.kind == 'image' else 'text files'} in this folder"
        )
        return
    kind = contract.kind if contract.kind != "vector" or not isinstance(source, str | Path) else None
    found = read_source(source, DataOptions(label="", input=column, kind=kind), contract)
    if found.kind != contract.kind:
        raise SourceError(f"These inputs are {NOUNS.get(found.kind, found.kind)}; the model reads "
                          f"{NOUNS.get(contract.kind, contract.kind)}.")  # fmt: skip
    rows = found.rows or (*(e for part in found.examples.values() for e in part), *found.aside)
    if folder and found.contract is not None and found.contract.container == "folder":
        yield from (replace(row, id=os.path.join(valid_name(shown or str(source)), row.id)) for row in rows)
    else:
        yield from rows


def holds_inputs(folder: str, kind: str, keep: Sequence[str] = ()) -> bool:
    """Whether a folder holds files of a kind, or tables. keep: names that are read whatever they look like"""
    suffixes = IMAGE_SUFFIXES if kind == "image" else TEXT_SUFFIXES
    with keeping(keep):
        own = holds_file(folder, lambda name: is_visible(name) and name.lower().endswith(suffixes))
        return own or bool(find_tables(Path(folder)))
