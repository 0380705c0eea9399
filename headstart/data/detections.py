"""Boxes in pictures, as YOLO, COCO and Pascal VOC write them: which classes each picture shows.

Sources: the formats of Ultralytics YOLO (a text file a picture, a line a box), of the COCO data set (one JSON file),
and of the PASCAL VOC challenge (an XML file a picture).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from headstart.core.errors import SourceError
from headstart.core.messages import first_line
from headstart.data.contents import IMAGE_SUFFIXES
from headstart.data.directory_walk import is_visible

MAX_BYTES = 512 << 20  # of a file of annotations
BOX = re.compile(r"\s*(\d+)((\s+-?[\d.]+(e-?\d+)?){4,})\s*", re.IGNORECASE)  # a box, or the corners of an outline
NAMES_LIST = re.compile(r"^names\s*:\s*\[(.*?)\]", re.MULTILINE | re.DOTALL)
NAMES_TABLE = re.compile(r"^names\s*:\s*\{(.*?)\}", re.MULTILINE | re.DOTALL)
NAMES_LINES = re.compile(r"^names\s*:\s*\n((?:[ \t]*(?:-|\d+\s*:)[ \t]*.+\n?)+)", re.MULTILINE)
NAME = re.compile(r"^[ \t]*(?:-|\d+\s*:)[ \t]*(.+?)[ \t]*$", re.MULTILINE)
VOC_FOLDERS = ("annotations", "xml", "xmls", "labels")
LOOKED_AT = 100  # entries of a folder


@dataclass(frozen=True, slots=True)
class Detections:
    """What the annotations of a folder say.

    format:  "YOLO", "COCO", "Pascal VOC"
    classes: path of a picture -> the classes that have a box in it, () where none has
    wrong:   path -> why its annotation cannot be read
    notes:   what was assumed, in sentences
    """

    format: str
    classes: dict[str, tuple[str, ...]]
    wrong: dict[str, str]
    notes: tuple[str, ...] = ()


def detection_format(root: str | Path) -> str:
    """ "YOLO", "COCO" or "Pascal VOC" where a folder holds such annotations, else "". Looks at few files."""
    root = Path(root)
    if next(_coco_files(root), None) is not None:
        return "COCO"
    folders = [root, *_folders(root)]
    inner = [
        folder for top in folders[1:] for folder in _folders(top) if folder.name.lower() in (*VOC_FOLDERS, "images")
    ]
    for folder in (*folders, *inner):
        xml = next((f for f in _first_files(folder) if f.suffix.lower() == ".xml"), None)
        if xml is not None and _is_voc(xml):
            return "Pascal VOC"
    pictures = [f for top in (*folders, *inner) if top.name.lower() == "images" for f in _first_below(top)]
    if _yolo_names(root):
        pictures += [f for folder in folders for f in _first_files(folder)]
    labelled = (_label_file(str(f)) for f in pictures if f.suffix.lower() in IMAGE_SUFFIXES)
    return "YOLO" if any(os.path.isfile(file) and _is_yolo(file) for file in labelled) else ""


def read_detections(root: str | Path) -> Detections:
    """The classes in each picture of a folder that has a format. Raises SourceError where annotations are damaged."""
    root = Path(root)
    return {"COCO": _coco, "Pascal VOC": _voc, "YOLO": _yolo}[detection_format(root)](root)


def _folders(root: Path) -> list[Path]:
    return [path for path in _entries(root) if path.is_dir()]


def _first_files(folder: Path) -> list[Path]:
    return [path for path in _entries(folder, LOOKED_AT) if path.is_file()]


def _entries(folder: Path, most: int | None = None) -> list[Path]:
    """What is visible in a folder, links in a circle left out; nothing of one that cannot be read."""
    found: list[Path] = []
    with suppress(OSError), os.scandir(folder) as entries:
        found += [Path(e.path) for e in islice(entries, most) if is_visible(e.name)]
    return sorted(found)


def _first_below(folder: Path) -> list[Path]:
    return [file for place in (folder, *_folders(folder)) for file in _first_files(place)]


def _images(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if is_visible(name))
        yield from (
            os.path.join(folder, n) for n in sorted(files) if is_visible(n) and n.lower().endswith(IMAGE_SUFFIXES)
        )


def _label_file(image: str) -> str:
    """labels/train/1.txt of images/train/1.jpg."""
    head, found, tail = image.rpartition(f"{os.sep}images{os.sep}")
    return os.path.splitext(f"{head}{os.sep}labels{os.sep}{tail}" if found else image)[0] + ".txt"


def _is_yolo(file: str) -> bool:
    lines = [line for line in _text(file).splitlines() if line.strip()]
    return bool(lines) and all(map(BOX.fullmatch, lines))


def _yolo(root: Path) -> Detections:
    names = _yolo_names(root)
    classes: dict[str, tuple[str, ...]] = {}
    wrong: dict[str, str] = {}
    notes = [] if names else ["No data.yaml or classes.txt names the classes; they are called by their numbers."]
    for image in _images(root):
        file = _label_file(image)
        lines = [line for line in (_text(file) if os.path.isfile(file) else "").splitlines() if line.strip()]
        boxes = [BOX.fullmatch(line) for line in lines]
        numbers = [int(box[1]) for box in boxes if box]
        odd = next((line for line, box in zip(lines, boxes, strict=True) if box is None), None)
        beyond = next((n for n in numbers if names and n >= len(names)), None)
        if odd is not None:
            wrong[image] = f"{os.path.basename(file)} has a line that is no box: {odd[:40]!r}"
        elif beyond is not None:
            wrong[image] = f"{os.path.basename(file)} has the class {beyond}; there are {len(names)}"
        else:
            classes[image] = tuple(dict.fromkeys(names[n] if names else str(n) for n in numbers))
    return Detections("YOLO", classes, wrong, tuple(notes))


def _yolo_names(root: Path) -> list[str]:
    for file in (*sorted(root.glob("*.yaml")), *sorted(root.glob("*.yml"))):
        text = re.sub(r"(?m)[ \t]+#.*$", "", _text(file))
        if found := NAMES_LIST.search(text):
            return [name.strip().strip("'\"") for name in found[1].split(",") if name.strip()]
        if found := NAMES_TABLE.search(text):
            return [entry.partition(":")[2].strip().strip("'\"") for entry in found[1].split(",") if entry.strip()]
        if found := NAMES_LINES.search(text):
            return [name.strip("'\"") for name in NAME.findall(found[1])]
    for name in ("classes.txt", "obj.names", "labels/classes.txt"):
        if (root / name).is_file():
            return [line.strip() for line in _text(root / name).splitlines() if line.strip()]
    return []


def _coco_files(root: Path) -> Iterator[Path]:
    """JSON files of annotations, as their first bytes and names tell."""
    for file in sorted(
        chain(root.glob("*.json"), root.glob("annotations/*.json"), root.glob("*/_annotations.coco.json"))
    ):
        with open(file, "rb") as opened:
            head = opened.read(1 << 16)
        named = "coco" in file.name or file.name.startswith("instances")
        if named or (b'"images"' in head and (b'"annotations"' in head or b'"file_name"' in head)):
            yield file


def _coco(root: Path) -> Detections:
    by_name: dict[str, list[str]] = {}
    for path in _images(root):
        by_name.setdefault(os.path.basename(path), []).append(path)
    classes: dict[str, tuple[str, ...]] = {}
    wrong: dict[str, str] = {}
    absent = 0
    for file in _coco_files(root):
        try:
            facts = json.loads(_text(file))
            names = {c["id"]: str(c["name"]) for c in facts["categories"]}
            shown: dict[Any, list[str]] = {image["id"]: [] for image in facts["images"]}
            for box in facts["annotations"]:
                shown[box["image_id"]].append(names[box["category_id"]])
            files = {image["id"]: str(image["file_name"]) for image in facts["images"]}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            problem = f"{type(error).__name__}: {first_line(error)}"
            raise SourceError(
                f"{file} is no file of COCO annotations that can be read ({problem}). Export it again."
            ) from error
        for number, found in shown.items():
            place = _coco_image(root, file, files[number], by_name)
            absent += place is None
            if place is not None:
                classes[place] = tuple(dict.fromkeys((*classes.get(place, ()), *found)))
    notes = [f"{absent:,} pictures of the annotations are not there."] if absent else []
    return Detections("COCO", classes, wrong, tuple(notes))


def _coco_image(root: Path, file: Path, name: str, by_name: dict[str, list[str]]) -> str | None:
    """Where a picture lies: beside its annotations, below the folder, or in the folder that the annotations name."""
    candidates = by_name.get(os.path.basename(name.replace("\\", "/")), [])
    if len(candidates) < 2:
        return next(iter(candidates), None)
    beside = [path for path in candidates if Path(path).parent == file.parent]
    tail = [path for path in candidates if path.replace(os.sep, "/").endswith("/" + name.lstrip("./"))]
    part = file.stem.rpartition("_")[2]
    named = [path for path in candidates if part in Path(path).relative_to(root).parts]
    return next((some[0] for some in (beside, named, tail) if len(some) == 1), None)


def _voc_files(root: Path) -> Iterator[Path]:
    yield from (file for file in sorted(root.rglob("*.xml")) if _is_voc(file))


def _is_voc(file: Path) -> bool:
    beside = any(file.with_suffix(suffix).is_file() for suffix in (".jpg", ".png", ".jpeg"))
    if file.parent.name.lower() not in VOC_FOLDERS and not beside:
        return False
    with open(file, "rb") as opened:
        return b"<annotation" in opened.read(4096)


def _voc(root: Path) -> Detections:
    by_stem: dict[str, list[str]] = {}
    for path in _images(root):
        by_stem.setdefault(os.path.splitext(os.path.basename(path))[0], []).append(path)
    classes: dict[str, tuple[str, ...]] = {}
    wrong: dict[str, str] = {}
    absent = 0
    for file in _voc_files(root):
        found = by_stem.get(file.stem, [])
        image = found[0] if len(found) == 1 else next((p for p in found if Path(p).parent == file.parent), None)
        if image is None:
            absent += 1
            continue
        text = _text(file)
        try:
            if "<!DOCTYPE" in text or "<!ENTITY" in text:
                raise ElementTree.ParseError("it declares entities")
            names = [node.findtext("name", "").strip() for node in ElementTree.fromstring(text).iter("object")]
        except ElementTree.ParseError as error:
            wrong[image] = f"{file.name} is no XML that can be read ({first_line(error)})"
            continue
        classes[image] = tuple(dict.fromkeys(name for name in names if name))
    notes = [f"{absent:,} files of annotations have no picture."] if absent else []
    return Detections("Pascal VOC", classes, wrong, tuple(notes))


def _text(file: str | Path) -> str:
    if os.path.getsize(file) > MAX_BYTES:
        raise SourceError(f"{file} has more than {MAX_BYTES >> 20} MB, too much for annotations.")
    return Path(file).read_text(encoding="utf-8-sig", errors="replace")
