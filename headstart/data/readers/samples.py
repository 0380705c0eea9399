"""A folder of samples, as WebDataset's tar files hold them: 000.jpg, 000.cls, 001.jpg, 001.cls …"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from headstart.core.errors import SourceError, Unreadable
from headstart.core.input_contract import InputContract
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data.contents import Reading, hash_files, valid_name
from headstart.data.label_values import NO_LABEL, clean_label
from headstart.data.sample_files import input_of, is_sample_folder, read_label, samples_below
from headstart.data.split_names import part_of
from headstart.data.text_encoding import DecodedText, wanted_encoding
from headstart.data.text_files import read_text_files


def reads(source: object) -> bool:
    """Whether it is a folder of samples, or of train/, test/ … of such."""
    return isinstance(source, str | Path) and os.path.isdir(source) and is_sample_folder(source)


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
    """One example an image or text, whose id is its path; its label is in the file of its name (.cls, .json).

    Raises SourceError when columns are named, or nothing can be read.
    """
    if label or input or group:
        raise SourceError(f"{source} holds files with a label beside each; it has no columns: leave the flags out.")
    found = list(samples_below(source))
    kinds = Counter("image" if input_of(sample, "image") else "text" for _, sample in found)
    kind = kind or kinds.most_common(1)[0][0]
    wanted = [(key, sample, suffix) for key, sample in found if (suffix := input_of(sample, kind))]
    if not wanted:
        raise SourceError(f"{source} holds no {kind}s.")
    paths = [sample[suffix] for _, sample, suffix in wanted]
    decoded = DecodedText("")
    contents: list[tuple[Path | str, str | Unreadable]] = []
    if kind == "image":
        contents = list(zip(map(Path, paths), hash_files(paths), strict=True))
    else:
        texts, decoded = read_text_files(paths, str(source), wanted_encoding(encoding, contract))
        contents = [*texts]
    examples: dict[str, list[Example]] = {}
    unlabelled: dict[str, list[Example]] = {}
    order: list[Example | SetAside] = []
    for (key, sample, suffix), (content, mark) in zip(wanted, contents, strict=True):
        name, part = valid_name(key.replace(os.sep, "/") + suffix), key.split(os.sep)[0]
        part = part if os.sep in key and part_of(part) else ""
        value = clean_label(read_label(sample)) if label is None else None
        if isinstance(mark, Unreadable):
            order.append(SetAside(name, str(mark)))
            continue
        example = Example(name, content, mark, value)
        lacking = value is None and label is None
        (unlabelled if lacking else examples).setdefault(part, []).append(example)
        order.append(SetAside(name, NO_LABEL) if lacking else example)
    made = InputContract(
        kind=kind, container="folder", form="path" if kind == "image" else "text", encoding=decoded.encoding,
        encoding_named=bool(encoding),
    )  # fmt: skip
    notes = [f"{len(wanted):,} {kind}s, each with its label in a file of its name.", *decoded.notes]
    aside = tuple(row for row in order if isinstance(row, SetAside))
    return Reading(kind, examples, tuple(notes), aside, contract=made, rows=tuple(order), unlabelled=unlabelled)
