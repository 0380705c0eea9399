"""A folder of class folders, with or without train/ and test/ above them: photos/cat/1.jpg is a "cat"."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.core.errors import SourceError, Unreadable
from headstart.core.input_contract import InputContract
from headstart.core.messages import join_plain
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data.contents import (
    IMAGE_SUFFIXES,
    TEXT_SUFFIXES,
    Reading,
    hash_files,
    valid_name,
    valid_text,
)
from headstart.data.directory_walk import describe_left_out, holds_file, is_folder, is_own, is_visible, list_files
from headstart.data.label_spelling import composed
from headstart.data.sample_files import is_sample_folder
from headstart.data.split_names import part_of
from headstart.data.tabular import find_tables
from headstart.data.text_encoding import DecodedText, WantedEncoding, wanted_encoding
from headstart.data.text_files import read_text_files
from headstart.data.unknown_source import describe_bare_images

DOCUMENTATION_STEMS = {
    *("readme", "license", "licence", "copying", "changelog"),
    *("citation", "notice", "classes", "labels"),
}
# A table named so, beside class folders, may well hold the real labels.
LABEL_TABLE_WORDS = ("label", "labels", "metadata", "annotation", "annotations", "index")


def reads(source: object) -> bool:
    """Whether it is a folder with class folders, or one without tables."""
    if not (isinstance(source, str | Path) and os.path.isdir(source)) or is_sample_folder(source):
        return False
    root, tables = Path(source), find_tables(Path(source))
    listed = {
        t.parent for t in tables if t.stem.lower() == "metadata" and t.parent != root
    }  # Hugging Face's ImageFolder
    if listed and not any(_data_folders(part) for part in listed):
        return False
    return not tables or len(_data_folders(root)) > 1


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
    """One example a file; its id is the path from the folder on, its label the class folder's name.

    contract: how what was learned from was read; files are read alike

    Suffixes say what a file is meant to be; whether it is so shows when it is decoded.
    Raises SourceError when there are no class folders, or both images and texts and no `kind`.
    """
    column_flags = [flag for flag, value in (("label", label), ("input", input), ("group", group)) if value]
    if column_flags:
        raise SourceError(
            f"{source} is a folder of files and has no columns; --{column_flags[0]} is for tables. "
            "The names of its folders are the labels."
        )
    root, notes = _unwrap(Path(source), label)
    notes += _check_tables_beside(root) if label != "" else []
    class_folders, folder_notes = _find_class_folders(root, label)
    notes += folder_notes
    files, left_out = _list_files(root, class_folders)
    kind, wanted, skipped = _select_kind(root, files, kind)
    notes.append(f"Kind: {kind}, because of the files' suffixes.")
    if skipped:
        counts = Counter(os.path.splitext(f.path)[1].lower() or "no suffix" for f in skipped)
        suffixes = ", ".join(f"{n} {suffix}" for suffix, n in counts.most_common(5))
        notes.append(f"{len(skipped)} files skipped, as they are no {kind}s: {suffixes}.")
    notes += describe_left_out(str(root)) if label != "" else []
    odd = [f.path for f in files if not f.path.isascii() and valid_text(f.path) != f.path]
    if odd:
        notes.append(f"{len(odd):,} names are no UTF-8; their bytes are shown by number, as in {_id(odd[0], root)}.")
    how = wanted_encoding(encoding, contract)
    rows, decoded = _examples(wanted, root, kind, how)
    notes += [f"A text or more {note}" for note in decoded.notes]
    examples: dict[str, list[Example]] = {}
    for part, row in rows:
        if isinstance(row, Example):
            examples.setdefault(part, []).append(row)
    order = [row for _, row in rows]
    aside = [*left_out, *(row for row in order if isinstance(row, SetAside))]
    form = "path" if kind == "image" else "text"
    found = InputContract(
        kind=kind, container="folder", form=form, encoding=decoded.encoding, encoding_named=how.certain
    )
    return Reading(
        kind, examples, tuple(notes), tuple(aside), contract=found, rows=(*order, *left_out), label_form="names"
    )


@dataclass(frozen=True, slots=True)
class _ClassFolder:
    """A folder whose files, and those in folders below it, share a label and a part."""

    path: str
    label: str | None
    part: str


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    suffix: str
    folder: _ClassFolder


def _is_example(name: str) -> bool:
    stem, suffix = os.path.splitext(name.lower())
    is_text = suffix in TEXT_SUFFIXES and stem not in DOCUMENTATION_STEMS
    return is_visible(name) and (is_text or suffix in IMAGE_SUFFIXES)


def _folders(root: Path | str) -> list[str]:
    """Names of the folders (or links to such) in a folder, sorted."""
    try:
        with os.scandir(root) as entries:
            return sorted(e.name for e in entries if is_visible(e.name) and is_folder(e) and not is_own(e.path))
    except OSError as error:
        raise SourceError(f"{root} cannot be read: {error.strerror}.") from error


def _data_folders(root: Path) -> list[str]:
    """Names of the folders in a folder that hold images or texts."""
    return [name for name in _folders(root) if holds_file(str(root / name), _is_example)]


def _unwrap(root: Path, label: str | None) -> tuple[Path, list[str]]:
    """Goes down while there is one folder of folders with nothing beside it, as archives unpack; and a note."""
    top = root
    while label != "" and not holds_file(str(root), _is_example, deep=False):
        names = _data_folders(root)
        if len(names) != 1 or part_of(names[0]) or not _data_folders(root / names[0]):
            break
        root = root / names[0]
    return root, [f"The class folders are in {root.relative_to(top)}/."] if root != top else []


def _check_tables_beside(root: Path) -> list[str]:
    """A note on tables that lie beside the class folders; an error when their name says that they hold the labels."""
    beside = find_tables(root)
    for table in beside:
        words = table.stem.lower().replace("-", "_").split("_")
        if table.parent == root and (any(part_of(w) for w in words) or any(w in LABEL_TABLE_WORDS for w in words)):
            typed = shlex.quote(str(table))
            raise SourceError(
                f"{root} holds class folders ({join_plain(_data_folders(root))}) and the table {table.name}. "
                f"Which has the labels? Name the table, as in: headstart fit {typed}  or move it elsewhere to use the "
                "folders."
            )
    return [f"{', '.join(t.name for t in beside[:3])} beside the class folders was not read."] if beside else []


def _find_class_folders(root: Path, label: str | None) -> tuple[list[_ClassFolder], list[str]]:
    """The class folders, and notes on what lies beside them.

    label: "" when labels are not wanted: then every file counts.
    """
    if label == "":
        return [_ClassFolder(str(root), None, "")], []
    names = _data_folders(root)
    parts = [name for name in names if part_of(name) and _data_folders(root / name)]
    bare = [name for name in names if part_of(name) and name not in parts]
    others = [name for name in names if not part_of(name)]
    if parts and others:
        raise SourceError(
            f"{root} has parts ({', '.join(parts)}) with class folders in them, and beside them {join_plain(others)}. "
            "If those are classes, put them into a part; if they are not, move them elsewhere."
        )
    if bare and not others and not parts:
        raise SourceError(
            f"{root}/{bare[0]} holds files but no class folders. "
            f"Expected: {root}/{bare[0]}/cat/1.jpg, {root}/{bare[0]}/dog/2.jpg."
        )
    tops = [(root / name, name) for name in parts] or [(root, "")]
    class_folders, loose = [], 0
    for top, part in tops:
        class_folders += [_ClassFolder(str(top / name), valid_name(name), part) for name in _data_folders(top)]
        loose += sum(_is_example(n) and os.path.isfile(top / n) for n in os.listdir(top))
    notes = []
    if loose and class_folders:
        notes.append(f"{loose} loose files beside the class folders have no label and were left out.")
    if parts and bare:
        notes.append(f"{', '.join(bare)}: no class folders in it, so its files have no label and were left out.")
    if len({composed(folder.label or "") for folder in class_folders}) < 2:
        raise SourceError(_no_classes(root, class_folders, loose))
    return class_folders, notes


def _no_classes(root: Path, class_folders: list[_ClassFolder], loose: int) -> str:
    expected = (
        f"One folder a class is expected: {root}/cat/1.jpg, {root}/dog/2.jpg (or with {root}/train/ and {root}/test/ "
        "above them)."
    )
    if class_folders:
        left_out = "".join(f" {note}" for note in describe_left_out(str(root)))
        return f"{root} has one class folder only, {class_folders[0].label!r}. Two are the least.{left_out} {expected}"
    if loose:
        return f"{root} holds {loose} loose files but no class folders, so nothing says what they show. {expected}"
    names = [n for n in sorted(os.listdir(root)) if is_visible(n)]
    if said := describe_bare_images([root, *(root / name for name in _folders(root))]):
        return f"{root} {said}"
    state = f"holds {join_plain(names)}" if names else "is empty"
    return (
        f"{root} {state}: no class folders with images or .txt texts, and no tables (.csv, .jsonl, .parquet). "
        f"{expected}"
    )


def _list_files(root: Path, folders: list[_ClassFolder]) -> tuple[list[_File], list[SetAside]]:
    """The files of all class folders, and the links and folders that were not followed."""
    by_folder, left_out = list_files(str(root), [folder.path for folder in folders])
    files = [
        _File(path, os.path.splitext(path)[1].lower(), folder)
        for folder, paths in zip(folders, by_folder, strict=True)
        for path in paths
    ]
    return files, [SetAside(_id(path, root), valid_name(reason)) for path, reason in left_out]


def _id(path: str, root: Path) -> str:
    """The path from the data folder on."""
    prefix = os.path.join(root, "")  # paths below "." do not begin so
    return valid_name(path.removeprefix(prefix).removeprefix("./").replace(os.sep, "/"))


def _select_kind(root: Path, files: list[_File], kind: str | None) -> tuple[str, list[_File], list[_File]]:
    """What the examples are, their files, and the others."""
    if kind not in (None, "image", "text"):
        raise SourceError(f"{root} is a folder: it can hold images or texts. Say --kind image or --kind text.")
    usable = [f for f in files if _is_example(os.path.basename(f.path))]
    images = {os.path.splitext(f.path)[0] for f in usable if f.suffix in IMAGE_SUFFIXES}
    texts = {os.path.splitext(f.path)[0] for f in usable if f.suffix in TEXT_SUFFIXES}
    if kind is None:
        # A text of the same name as an image is its caption or its boxes; one stray file in twenty decides nothing.
        if images and (texts <= images or len(texts) <= len(images) / 20):
            kind = "image"
        elif texts and len(images) <= len(texts) / 20:
            kind = "text"
        else:
            raise SourceError(
                f"{root} holds {len(images)} images and {len(texts)} texts. "
                "Say which to learn from: --kind image or --kind text."
            )
    suffixes = IMAGE_SUFFIXES if kind == "image" else TEXT_SUFFIXES
    if not (images if kind == "image" else texts):
        raise SourceError(f"{root} holds no {kind}s: no file ends in {join_plain(suffixes)}.")
    return kind, [f for f in usable if f.suffix in suffixes], [f for f in files if f.suffix not in suffixes]


def _examples(
    files: list[_File], root: Path, kind: str, wanted: WantedEncoding
) -> tuple[list[tuple[str, Example | SetAside]], DecodedText]:
    """(part, example or why there is none) of each file, and how texts were decoded."""
    rows: list[tuple[str, Example | SetAside]] = []
    paths, decoded = [f.path for f in files], DecodedText("")
    contents: Sequence[tuple[Path | str, str | Unreadable]]
    if kind == "image":
        contents = list(zip(map(Path, paths), hash_files(paths), strict=True))
    else:
        contents, decoded = read_text_files(paths, str(root), wanted)
    for file, (content, mark) in zip(files, contents, strict=True):
        name = _id(file.path, root)
        if isinstance(mark, Unreadable):
            rows.append((file.folder.part, SetAside(name, str(mark))))
        else:
            rows.append((file.folder.part, Example(name, content, mark, file.folder.label)))
    return rows, decoded
