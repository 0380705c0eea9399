"""Model folders that arrive as one ZIP file, as exported pages make them: checked strictly, then unpacked.

Only the three files of a model folder are taken, by their exact names and up to a size each; sizes claimed in a header
are not trusted. Whether the files are sound is checked by `model_folder.load`.
"""

from __future__ import annotations

import zipfile
from contextlib import suppress
from pathlib import Path

from headstart.core import digest
from headstart.core.checked_folder import read_manifest, write_manifest
from headstart.core.errors import ArtifactError
from headstart.core.files import make_folder, move, remove_folder, temporary_path, write_atomic
from headstart.deployment.stored_arrays import DAMAGED_ZIP, check_file_size, check_zip_directory

# A page's delta has a few megabytes for a thousand classes; its witness holds a dozen photos.
MAX_BYTES = {"card.json": 16 << 20, "delta.safetensors": 256 << 20, "witness.npz": 256 << 20}
# Of a file's size to what it takes in the ZIP. A card of a thousand classes has 12; numbers and photos hardly shrink.
MAX_RATIO = {"card.json": 100, "delta.safetensors": 10, "witness.npz": 20}
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
FIX = "Download it again from the page that made it, or ask whoever sent it."


def unpack_if_zip(path: Path, root: Path) -> Path:
    """A folder as it is; a ZIP file as the folder in the cache into which it is unpacked.

    root: the cache folder.  Raises ArtifactError for a ZIP file that is no model folder.
    """
    if not path.is_file():
        return path
    check_file_size(path, sum(MAX_BYTES.values()))
    folder = root / "unpacked" / digest.of_files([path]).partition(":")[2]
    manifest = folder.with_suffix(".json")
    if read_manifest(manifest, folder) is None:
        unpack(path, folder)
        with suppress(OSError):  # it is unpacked again next time
            write_manifest(manifest, folder)
    return folder


def unpack(file: Path, into: Path) -> Path:
    """Writes the model folder in a ZIP file to `into`, whole or not at all; one that is there is mended. Gives it.

    Raises ArtifactError naming what is wrong with it; nothing is written then.
    """
    contents = read_zip(file)
    folder = into if into.exists() else temporary_path(into)
    try:
        make_folder(folder)
        for name, content in contents.items():
            write_atomic(folder / name, content)
        if folder != into and not into.exists():  # another process may have been faster
            move(folder, into)
    except OSError as error:
        raise ArtifactError(f"{into} cannot be written: {error.strerror or error}. Name another folder.") from error
    finally:
        if folder != into:
            with suppress(OSError):  # what cannot be deleted is swept later
                remove_folder(folder)
    return into


def read_zip(file: Path) -> dict[str, bytes]:
    """The three files by name. Raises ArtifactError naming what is wrong."""
    try:
        check_zip_directory(file, 100)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            names = [m.filename for m in members]
            unexpected = [name for name in names if name not in MAX_BYTES]
            if unexpected or len(set(names)) != len(names):
                culprit = unexpected[0] if unexpected else next(name for name in names if names.count(name) > 1)
                problem = "which is no file of a model" if unexpected else "twice"
                raise ArtifactError(f"{file} holds {culprit[:80]!r}, {problem}. {FIX}")
            if missing := sorted(MAX_BYTES.keys() - set(names)):
                raise ArtifactError(f"{file} is no model: it holds no {missing[0]}. {FIX}")
            for member in members:
                _check_member(member, file)
            return {m.filename: _read_member(archive, m, file) for m in members}
    except PermissionError:
        raise
    except DAMAGED_ZIP as error:
        raise ArtifactError(f"{file} is no ZIP file, or damaged ({error}). {FIX}") from error


def _check_member(member: zipfile.ZipInfo, file: Path) -> None:
    """Raises ArtifactError where a file is too large, or grows as it is unpacked as none of a model does."""
    name, limit = member.filename, MAX_BYTES[member.filename]
    if member.file_size > limit:
        raise ArtifactError(f"{file}: {name} has more than {limit >> 20} MB, too much for a model from a page. {FIX}")
    if member.compress_type not in COMPRESSIONS or member.file_size > MAX_RATIO[name] * max(member.compress_size, 4096):
        raise ArtifactError(f"{file}: {name} is packed as none of a model is: it may be a zip bomb. {FIX}")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: Path) -> bytes:
    with archive.open(member) as stream:
        content = stream.read(member.file_size + 1)
    if len(content) != member.file_size:
        raise ArtifactError(f"{file}: {member.filename} has other bytes than its directory tells of. {FIX}")
    return content
