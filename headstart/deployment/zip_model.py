"""A model folder that came as one ZIP file, as pages in browsers give it: looked over strictly, then put into a folder.

Only the three files of a model folder are taken, by their exact names and up to a size each; what a header claims is
never believed. The rest, whether they are what they say, is for `artifact.load` to see.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from headstart.core.errors import ArtifactError
from headstart.core.files import write_bytes

# Bytes at most. A page's delta has a few megabytes for a thousand classes; its witness holds a dozen photos.
FILES = {"card.json": 16 << 20, "delta.safetensors": 256 << 20, "witness.npz": 256 << 20}
KEPT = 64  # hex digits that name the folder of a file's content in the cache


def opened(place: Path, root: Path) -> Path:
    """A folder as it is; of a ZIP file the folder in the cache into which it was unpacked.

    root: the cache folder.  Raises ArtifactError for a ZIP file that is no model folder.
    """
    if not place.is_file():
        return place
    content = place.read_bytes()
    into = root / "unpacked" / hashlib.sha256(content).hexdigest()[:KEPT]
    return unpack(place, into)


def unpack(file: Path, into: Path) -> Path:
    """Puts the model folder of a ZIP file into the folder `into`, which is made. Gives it.

    Raises ArtifactError naming what is wrong with it; nothing is written then.
    """
    contents = read(file)
    try:
        into.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_bytes(into / name, content)
    except OSError as error:
        raise ArtifactError(f"{into} cannot be written: {error.strerror or error}. Name another folder.") from error
    return into


def read(file: Path) -> dict[str, bytes]:
    """The three files by name. Raises ArtifactError naming what is wrong."""
    why = "Download it again from the page that made it, or ask whoever sent it."
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            names = [m.filename for m in members]
            strange = [name for name in names if name not in FILES]
            if strange or len(set(names)) != len(names):
                odd = strange[0] if strange else next(name for name in names if names.count(name) > 1)
                what = "which is no file of a model" if strange else "twice"
                raise ArtifactError(f"{file} holds {odd[:80]!r}, {what}. {why}")
            if lacking := sorted(FILES.keys() - set(names)):
                raise ArtifactError(f"{file} is no model: it holds no {lacking[0]}. {why}")
            return {m.filename: _one(archive, m, file) for m in members}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise ArtifactError(f"{file} is no ZIP file, or damaged ({error}). {why}") from error


def _one(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path) -> bytes:
    most = FILES[member.filename]
    with archive.open(member) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ArtifactError(
            f"{file}: {member.filename} has more than {most >> 20} MB, too much for a model from a page."
        )
    return content
