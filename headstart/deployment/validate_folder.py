"""Validates an untrusted model folder before anything of it is opened: file names, sizes, types, digests.

Only safetensors, JSON and one uncompressed .npz are read, never a pickle.
"""

from __future__ import annotations

from pathlib import Path

from headstart.core import digest
from headstart.core.errors import ArtifactError
from headstart.core.file_names import regular_file
from headstart.core.schema import load_json, record
from headstart.deployment import card_file
from headstart.deployment.stored_arrays import FIX, MAX_BYTES, MAX_NPZ_BYTES, check_file_size, read_header

LIMITS = {".safetensors": MAX_BYTES, ".npz": MAX_NPZ_BYTES, ".json": 16 << 20}  # bytes of a file of the suffix


def validate(folder: Path) -> dict:
    """card.json of a model folder, after the digest and header of every file that it names were checked.

    Raises ArtifactError naming the file, what is wrong with it, and what to do.
    """
    facts = card_file.read(folder)
    files = {name: regular_file(folder, name, FIX) for name in facts["files"]}
    for file in files.values():
        check_file_size(file, LIMITS[file.suffix])
    for name, pinned in facts["files"].items():
        if digest.of_files([files[name]]) != pinned:
            raise ArtifactError(f"{files[name]} has changed since it was saved ({pinned[:19]}…). {FIX}")
        if name.endswith(".safetensors"):
            read_header(files[name])
        elif name.endswith(".json"):
            load_json(files[name], record({}, others=True), FIX)
    return facts
