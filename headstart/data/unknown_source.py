"""What to say of a source that no reader knows."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from headstart.data.input_form import MAGIC

LOOKED_AT = 20  # files of a folder
SPREADSHEET, COMPRESSED = "Save it as CSV in UTF-8 first. ", "Unpack it first. "
# What to do with files that are not read.
WAYS = {
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), SPREADSHEET),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"), COMPRESSED),
    ".txt": "If it is a table, call it .csv, or .tsv where tabs cut the columns. ",
}


def describe_unknown_source(source: object) -> str:
    """What was seen, what is expected, and what to do."""
    expected = (
        "Expected: a folder of class folders (photos/cat/1.jpg), a table (.csv, .tsv, .jsonl, .parquet), "
        "a folder with train.parquet and test.parquet, hub:owner/name, or in Python (X, y)."
    )
    if isinstance(source, list) and source:
        like = "headstart.fit(pandas.DataFrame(records))" if isinstance(source[0], dict) else "headstart.fit((X, y))"
        return f"Data of type list cannot be read. Give {like}. {expected}"
    if not isinstance(source, str | Path):
        return f"Data of type {type(source).__name__} cannot be read. {expected}"
    path = Path(source)
    if os.path.exists(path):
        return f"{path} is a file of unknown suffix {path.suffix!r}. {WAYS.get(path.suffix.lower(), '')}{expected}"
    try:
        near = get_close_matches(path.name, os.listdir(path.parent), n=1)
    except OSError:
        near = []
    hint = f" Did you mean {path.parent / near[0]}?" if near else ""
    return f"{str(path)!r} does not exist.{hint} {expected}"


def describe_bare_images(folders: Sequence[Path]) -> str:
    """What to do with files that have no suffix and begin like images; "" where there are none."""
    for folder in folders:
        for name in sorted(os.listdir(folder))[:LOOKED_AT]:
            file = os.path.join(folder, name)
            with suppress(OSError):
                if "." not in name and os.path.isfile(file):
                    with open(file, "rb") as opened:
                        if opened.read(8).startswith(MAGIC):
                            renamed = f'for f in {shlex.quote(str(folder))}/*; do mv "$f" "$f.png"; done'
                            said = f"holds files without a suffix that begin like images (first: {file})"
                            return f"{said}. Give them one, as in: {renamed}"
    return ""
