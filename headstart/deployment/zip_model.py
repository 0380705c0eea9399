"""Model folders that arrive as one ZIP file, as exported pages make them: checked strictly, then unpacked.

Only the three files of a model folder are taken, by their exact names and up to a size each; sizes claimed in a header
are not trusted. Whether the files are sound is checked by `model_folder.load`.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from headstart.core.errors import ArtifactError
from headstart.core.files import write_atomic

# A page's delta has a few megabytes for a thousand classes; its witness holds a dozen photos.
MAX_BYTES = {"card.json": 16 << 20, "delta.safetensors": 256 << 20, "witness.npz": 256 << 20}


def unpack_if_zip(path: Path, root: Path) -> Path:
    """A folder as it is; a ZIP file as the folder in the cache into which it is unpacked.

    root: the cache folder.  Raises ArtifactError for a ZIP file that is no model folder.
    """
    if not path.is_file():
        return path
    return unpack(path, root / "unpacked" / hashlib.sha256(path.read_bytes()).hexdigest())


def unpack(file: Path, into: Path) -> Path:
    """Writes the model folder in a ZIP file to `into`, which is made. Gives it.

    Raises ArtifactError naming what is wrong with it; nothing is written then.
    """
    contents = read_zip(file)
    try:
        into.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_atomic(into / name, content)
    except OSError as error:
        raise ArtifactError(f"{into} cannot be written: {error.strerror or error}. Name another folder.") from error
    return into


def read_zip(file: Path) -> dict[str, bytes]:
    """The three files by name. Raises ArtifactError naming what is wrong."""
    fix = "Download it again from the page that made it, or ask whoever sent it."
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            names = [m.filename for m in members]
            unexpected = [name for name in names if name not in MAX_BYTES]
            if unexpected or len(set(names)) != len(names):
                culprit = unexpected[0] if unexpected else next(name for name in names if names.count(name) > 1)
                problem = "which is no file of a model" if unexpected else "twice"
                raise ArtifactError(f"{file} holds {culprit[:80]!r}, {problem}. {fix}")
            if missing := sorted(MAX_BYTES.keys() - set(names)):
                raise ArtifactError(f"{file} is no model: it holds no {missing[0]}. {fix}")
            return {m.filename: _read_member(archive, m, file) for m in members}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise ArtifactError(f"{file} is no ZIP file, or damaged ({error}). {fix}") from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path) -> bytes:
    name, limit = member.filename, MAX_BYTES[member.filename]
    with archive.open(member) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ArtifactError(f"{file}: {name} has more than {limit >> 20} MB, too much for a model from a page.")
    return content
