"""A folder of pictures with boxes (YOLO, COCO, Pascal VOC): an example shows the classes that have a box in it."""

from __future__ import annotations

import os
from pathlib import Path

from headstart.core.errors import SourceError, Unreadable
from headstart.core.input_contract import InputContract
from headstart.core.messages import join_plain
from headstart.core.result import SetAside
from headstart.core.task import Example
from headstart.data.contents import Reading, hash_files, valid_name, valid_text
from headstart.data.detections import detection_format, read_detections
from headstart.data.split_names import part_of


def reads(source: object) -> bool:
    """Whether it is a folder with such annotations."""
    return isinstance(source, str | Path) and os.path.isdir(source) and detection_format(source) != ""


def read(
    source: str | Path, *, label: str | None, input: str | None, kind: str | None, group: str | None = None
) -> Reading:
    """One example a picture, whose id is its path. Its label is its one class, or all of its classes as tags where some
    pictures have several or none.

    Raises SourceError when columns or texts are asked for, or no picture has a class.
    """
    if label or input or group or kind not in (None, "image"):
        raise SourceError(f"{source} holds pictures with boxes; it has no columns and no texts: leave the flags out.")
    found, root = read_detections(source), Path(source)
    names = sorted({name for classes in found.classes.values() for name in classes})
    if not names:
        raise SourceError(
            f"{source} looks like {found.format}, and no picture has a box. One folder a class is read too."
        )
    if len(names) == 1 and all(found.classes.values()) and not found.wrong:
        raise SourceError(
            f"{source}: boxes of {found.format} show one class, {names[0]!r}, in every picture: nothing is to be told "
            "apart. Add pictures without it, or with others."
        )
    paths = sorted({*found.classes, *found.wrong})
    single = all(len(classes) == 1 for classes in found.classes.values())
    examples: dict[str, list[Example]] = {}
    order: list[Example | SetAside] = []
    for path, mark in zip(paths, hash_files(paths), strict=True):
        relative = Path(path).relative_to(root)
        name = valid_name(relative.as_posix())
        reason = found.wrong.get(path) or (str(mark) if isinstance(mark, Unreadable) else "")
        if reason or isinstance(mark, Unreadable):
            order.append(SetAside(name, valid_text(reason)))
            continue
        classes = tuple(map(valid_text, found.classes[path]))
        folders = (p.rstrip("0123456789") for p in relative.parts[:-1])  # train2017
        part = next((p for p in folders if part_of(p)), "")
        example = Example(name, Path(path), mark, classes[0] if single else classes)
        examples.setdefault(part, []).append(example)
        order.append(example)
    counts = [len(classes) for classes in found.classes.values()]
    said = f"Boxes of {found.format} say which of {len(names)} classes ({join_plain(names, 4)}) each picture shows"
    several, none = sum(n > 1 for n in counts), sum(n == 0 for n in counts)
    said += "." if single else f": {several:,} show several, {none:,} none, so they are tags."
    aside = tuple(row for row in order if isinstance(row, SetAside))
    made = InputContract(kind="image", container="folder", form="path")
    notes = (said + " Where and how many is not learned.", *found.notes)
    return Reading("image", examples, notes, aside, contract=made, rows=tuple(order), label_form="names")
