"""Files that belong together by their name, as in WebDataset: 000.jpg has its label in 000.cls or 000.json."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from headstart.data.column_names import LABEL_COLUMNS, LABEL_NAME_COLUMNS
from headstart.data.contents import IMAGE_SUFFIXES, TEXT_SUFFIXES
from headstart.data.directory_walk import is_visible

LABEL_SUFFIXES = (".cls", ".json")  # in this order
LOOKED_AT = 64
MAX_LABEL_BYTES = 1 << 20
NAMES = (*LABEL_NAME_COLUMNS, *(name for tier in LABEL_COLUMNS for name in tier), "cls")


def is_sample_folder(root: str | Path) -> bool:
    """Whether most files of a folder, or of those in it, have a label in a file of their name."""
    samples = list(islice(samples_below(root), LOOKED_AT))
    labelled = sum(any(suffix in sample for suffix in LABEL_SUFFIXES) for _, sample in samples)
    return len(samples) > 1 and labelled > len(samples) / 2 and any(read_label(s) is not None for _, s in samples)


def samples_below(root: str | Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(key, suffix -> path) of every image or text below a folder, by path; the suffix begins at the first point."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if is_visible(name))
        found: dict[str, dict[str, str]] = {}
        for name in sorted(files):
            if is_visible(name):
                key, point, suffix = name.partition(".")
                found.setdefault(key, {})[f"{point}{suffix}".lower()] = os.path.join(folder, name)
        for key, sample in found.items():
            if input_of(sample):
                yield os.path.relpath(os.path.join(folder, key), root), sample


def input_of(sample: dict[str, str], kind: str | None = None) -> str:
    """The suffix of the image of a sample, else of its text; "" where it has none, or none of the kind."""
    suffixes = {"image": IMAGE_SUFFIXES, "text": TEXT_SUFFIXES}.get(kind or "", (*IMAGE_SUFFIXES, *TEXT_SUFFIXES))
    return next((suffix for suffix in suffixes if suffix in sample), "")


def read_label(sample: dict[str, str]) -> Any:
    """What the sample's own file says; None where it says nothing."""
    for suffix in LABEL_SUFFIXES:
        path = sample.get(suffix)
        if path is None or os.path.getsize(path) > MAX_LABEL_BYTES:
            continue
        text = Path(path).read_text(encoding="utf-8", errors="replace").strip()
        if suffix == ".cls":
            return text or None
        facts = None
        with suppress(ValueError, RecursionError):
            facts = json.loads(text)
        if isinstance(facts, dict):
            name = next((name for name in NAMES if name in facts), "")
            value = facts.get(name)
            if isinstance(value, str | int | float | list) and not isinstance(value, bool):
                return value
    return None
