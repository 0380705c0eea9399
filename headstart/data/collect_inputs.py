"""What a model is asked: words of a command line, lines, values and whole sources, each as examples in order."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.errors import Unreadable
from headstart.core.input_contract import InputContract
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data.archives import SUFFIXES as ARCHIVE_SUFFIXES
from headstart.data.archives import is_archive, unpacked
from headstart.data.contents import (
    IMAGE_SUFFIXES,
    TEXT_SUFFIXES,
    hash_files,
    valid_name,
    valid_text,
)
from headstart.data.directory_walk import is_own, is_visible
from headstart.data.frames import is_frame, require_rows
from headstart.data.image_bytes import is_colour
from headstart.data.label_values import is_missing
from headstart.data.memory_labels import gives_pairs, pairs_apart
from headstart.data.read_inputs import Item, read_inputs
from headstart.data.tabular import TABLE_SUFFIXES
from headstart.data.text_encoding import first_lost_byte, wanted_encoding
from headstart.data.text_files import read_text_files

VALUES, WORDS, FILES = "values", "words", "files"  # what strings are: see `collect_inputs`
FILE_SUFFIXES = {  # a word that ends so is no text
    *TABLE_SUFFIXES, *TEXT_SUFFIXES, *IMAGE_SUFFIXES, *ARCHIVE_SUFFIXES,
    *(".gz", ".bz2", ".xz", ".7z", ".rar", ".docx", ".doc", ".pdf", ".xlsx", ".xls", ".pptx", ".html", ".xml"),
}  # fmt: skip
PATH = re.compile(r"(\.{0,2}/|~/|[A-Za-z]:[\\/])[^\s]*|[^\s]+[/\\]")  # so does one that is written like a path


def collect_inputs(
    inputs: Any,
    contract: InputContract | str,
    column: str | None,
    lines: Iterable[str] | None,
    how: str = VALUES,
    root: Path | None = None,
) -> Iterator[Item]:
    """One example an input, in order; for what cannot be found, the reason.

    inputs: as of `predict`; "-" in a list stands for `lines`
    contract: how what was learned from was read, or its kind alone
    column: of a table, where it is not the one of the contract
    root: the cache folder, into which archives are unpacked; None where they are none
    how: what strings are: VALUES, which are texts where the model reads texts; WORDS of a command line; or FILES
    Raises SourceError where a whole source is not like what was learned from.
    """
    contract = InputContract(kind=contract) if isinstance(contract, str) else contract
    require_rows(inputs)
    if isinstance(inputs, str | Path | bytes):
        inputs = [inputs]
    source = _whole_source(inputs, contract)
    if source is not None:
        yield from read_inputs(source, contract, column)
        return
    for position, item in enumerate(inputs):
        if isinstance(item, str) and item == "-" and lines is not None:
            for line in lines:
                yield from _expand(line.rstrip("\r\n"), contract, column, FILES if how == FILES else VALUES)
        elif isinstance(item, str | Path) and root is not None and how != VALUES and is_archive(item):
            yield from read_inputs(unpacked(item, root), contract, column, str(item))
        elif isinstance(item, str | Path):
            yield from _expand(item, contract, column, how)
        elif is_missing(item):
            yield SetAside(str(position), "there is nothing: the value is missing")
        else:
            found = list(read_inputs(item if is_frame(item) else ([item], None), contract, column))
            yield from (replace(i, id=str(position)) if len(found) == 1 else i for i in found)


def _whole_source(inputs: Any, contract: InputContract) -> Any:
    """The inputs as a source for the readers, None where they are single ones, to be looked at one by one."""
    if hasattr(inputs, "to_pylist") and not is_frame(inputs):
        return (inputs, None)  # an array of pyarrow
    if is_frame(inputs):
        return inputs if contract.kind != "vector" else (inputs, None)
    if isinstance(inputs, dict):
        return inputs
    if isinstance(inputs, tuple) and len(inputs) in (2, 3) and _are_examples(inputs[0], contract.kind):
        return (inputs[0], None)  # (X, y), as it was fitted
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind not in "UO":
        lone = contract.kind == "image" and (inputs.ndim == 2 or is_colour(inputs))
        return ([inputs], None) if lone else (inputs, None)
    if gives_pairs(inputs) and not isinstance(inputs, Iterator):
        return (pairs_apart(inputs)[0], None)
    return None


def _are_examples(x: Any, kind: str) -> bool:
    """Whether the first of a tuple is X, and not one input."""
    if kind == "vector":
        return np.ndim(x) == 2 or is_frame(x)
    return is_frame(x) or isinstance(x, list | tuple | np.ndarray) or hasattr(x, "to_list")


def _expand(item: str | Path, contract: InputContract, column: str | None, how: str) -> Iterator[Item]:
    """The examples that a string or path stands for: a file's, a folder's, a glob's, a table's, or the text itself."""
    text, kind = str(item), contract.kind
    named = isinstance(item, Path) or how == FILES or kind == "image"  # surely the name of something
    if not text.strip():
        yield SetAside(text, "no file is named" if named else "empty text")
    elif kind == "text" and not named and how == VALUES:
        lost = first_lost_byte(text)
        yield SetAside(valid_text(text), lost) if lost else _text_example(text)
    elif kind not in ("text", "image") and not _exists(text):
        yield SetAside(text, "this model reads feature vectors: call headstart.predict with an array")
    elif how != VALUES and text.startswith("hub:"):
        yield from read_inputs(text, contract, column)
    elif _exists(text):
        yield from _expand_path(Path(text), contract, column, named)
    elif kind == "image" and glob.has_magic(text):
        matches = _matching_files(text)
        for path in matches:
            yield from _expand_path(path, contract, column, named)
        if not matches:
            yield SetAside(text, "no file has such a name")
    elif named or (Path(text).suffix.lower() in FILE_SUFFIXES and " " not in text) or PATH.fullmatch(text):
        yield SetAside(text, "no such file")
    else:
        yield _text_example(text)


def _matching_files(pattern: str) -> list[Path]:
    """The files of a pattern, less those that no reader would take: a system's own, and what lies in a run of ours."""
    found = [p for p in map(Path, glob.glob(pattern, recursive=True)) if p.is_file()]
    own = {folder for folder in {parent for p in found for parent in p.parents} if is_own(str(folder))}
    written = Path(pattern).parts
    seen = (p for p in found if all(part in written or is_visible(part) for part in p.parts))
    return sorted(p for p in seen if own.isdisjoint(p.parents))


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # a long text is no file name
        return False


def _expand_path(path: Path, contract: InputContract, column: str | None, named: bool) -> Iterator[Item]:
    """The examples of a folder, a table or a file that is there. named: whether it surely is the name of something"""
    suffix, name = path.suffix.lower(), valid_name(str(path))
    if path.is_dir() or suffix in TABLE_SUFFIXES:
        yield from read_inputs(path, contract, column)
    elif contract.kind == "image":
        (mark,) = hash_files([str(path)])
        yield SetAside(name, str(mark)) if isinstance(mark, Unreadable) else Example(name, path, mark, None)
    elif suffix in IMAGE_SUFFIXES:
        yield SetAside(name, "is an image, and this model reads texts")
    elif contract.kind == "text" and (suffix in TEXT_SUFFIXES or named):
        ((text, mark),), _ = read_text_files([path], name, wanted_encoding(None, contract))
        yield SetAside(name, str(mark)) if isinstance(mark, Unreadable) else Example(name, text, mark, None)
    elif contract.kind == "text" and not suffix and path.name == str(path):
        yield _text_example(str(path))  # a word that happens to be a file's name
    else:
        yield SetAside(name, f"is a file, but none of texts ({', '.join(TEXT_SUFFIXES)}) nor a table: say --files")


def _text_example(text: str) -> Example:
    text = valid_text(text)
    return Example(text, text, digest.of_bytes(text.encode()), None)
