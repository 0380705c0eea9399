"""A data set of the Hugging Face hub: hub:owner/name, or hub:owner/name:configuration."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from headstart.core.errors import SourceError, import_extra
from headstart.core.input_contract import InputContract
from headstart.core.messages import type_and_first_line
from headstart.data.contents import Reading
from headstart.data.readers.table import read_tables
from headstart.data.split_names import part_of
from headstart.data.tabular import open_sheet


def reads(source: object) -> bool:
    """Whether it begins with hub: ."""
    return isinstance(source, str) and source.startswith("hub:")


def read(
    source: str,
    *,
    label: str | None,
    input: str | None,
    kind: str | None,
    group: str | None = None,
    contract: InputContract | None = None,
) -> Reading:
    """The data set's splits, from the cache of the `datasets` library where they are there.

    Raises MissingExtra without that library, SourceError when the data are neither cached nor reachable.
    """
    name, _, configuration = source.removeprefix("hub:").partition(":")
    if not name:
        raise SourceError("hub: needs a name, as in hub:owner/name.")
    splits = _splits(name, configuration)
    parts = {split: data for split, data in splits.items() if part_of(split)}
    others = [split for split in splits if split not in parts]
    if not parts:
        raise SourceError(f"{source} has the splits {', '.join(splits)}; none is named train, validation or test.")
    sheets = {part: [(f"{part}/", open_sheet(f)) for f in _files(source, part, data)] for part, data in parts.items()}
    reading = read_tables(sheets, "hub", label=label, input=input, kind=kind, group=group, contract=contract)
    notes = [f"Splits left out, because no part is named so: {', '.join(others)}."] if others else []
    return replace(reading, notes=(*notes, *reading.notes))


def _splits(name: str, configuration: str) -> dict:
    datasets = import_extra("datasets", "hub", f"hub:{name}")
    # The library raises a dozen types for "not there", "not reachable" and "which configuration?".
    try:
        return dict(datasets.load_dataset(name, configuration or None))
    except Exception as error:
        if "onfig name is missing" in str(error):
            choices = str(error).strip().splitlines()[0]
            raise SourceError(
                f"hub:{name} has several configurations. Name one: hub:{name}:CONFIGURATION. {choices}"
            ) from error
        cache = datasets.config.HF_DATASETS_CACHE
        raise SourceError(
            f"hub:{name} is neither in the cache nor reachable, or there is no such data set "
            f"({type_and_first_line(error)}). On a machine with a network, run: "
            f"python -c \"from datasets import load_dataset; load_dataset('{name}')\"  "
            f"and copy {cache} here; or download its table files and give their folder: headstart fit FOLDER"
        ) from error


def _files(source: str, split: str, data) -> list[Path]:
    """The Arrow files in which the library keeps a split: rows are read from there, a few at a time."""
    files = [Path(f["filename"]) for f in data.cache_files]
    if not files or not all(os.path.isfile(f) for f in files):
        raise SourceError(
            f"{source}: split {split!r} is not kept in files. "
            "Save it as Parquet and give the folder: headstart fit FOLDER"
        )
    return files
