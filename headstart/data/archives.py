"""Archives of images, texts or tables: unpacked once into the cache, and read from there as a folder is."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from headstart.core import digest
from headstart.core.checked_folder import read_manifest, write_manifest
from headstart.core.errors import SourceError
from headstart.core.files import make_folder, move, remove_folder, temporary_path, write_file, writing_cache
from headstart.core.messages import first_line, printable
from headstart.data.contents import MAX_FILE_BYTES
from headstart.data.directory_walk import is_visible

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
SUFFIXES = (".zip", *TAR_SUFFIXES)
MAX_MEMBERS = 2_000_000
MAX_RATIO, FREE_BYTES = 200, 1 << 30  # of what comes out to the archive: beyond both it is like a bomb
ROOM = 0.8  # of the free disk
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError)
Member = tuple[str, int, Callable[[], IO[bytes] | None]]  # name, bytes as it claims, how it is opened


def is_archive(source: object) -> bool:
    """Whether a source is an archive, several by number ("{000..003}.tar"), or a folder of nothing but tar files."""
    return isinstance(source, str | Path) and bool(_files(str(source)))


def unpacked(source: Any, root: Path) -> Any:
    """The folder in the cache into which an archive was unpacked; any other source as it is.

    root: the cache folder
    Raises SourceError for an archive that is damaged, encrypted or expands like a bomb, CacheError for a full disk.
    """
    files = _files(str(source)) if isinstance(source, str | Path) else []
    if not files:
        return source
    closed = next((file for file in files if not os.access(file, os.R_OK)), None)
    if closed is not None:
        raise SourceError(f"{closed} cannot be read: permission denied.")
    folder = root / "unpacked" / f"data-{digest.of_value([digest.of_file(file) for file in files])}"
    manifest = folder.with_suffix(".json")
    if read_manifest(manifest, folder) is None:
        with writing_cache(root):
            _unpack_all(files, folder)
        with suppress(OSError):  # it is unpacked again next time
            write_manifest(manifest, folder)
    return folder


def _files(source: str) -> list[Path]:
    """The archives that a source means, in order; none where it is no such source."""
    source = os.path.expanduser(source)
    if os.path.isdir(source):
        try:
            names = sorted(name for name in os.listdir(source) if is_visible(name))
        except OSError:
            return []
        files = [Path(source) / name for name in names]
        shards = [file for file in files if file.name.lower().endswith(TAR_SUFFIXES)]
        return shards if shards and all(f in shards or f.suffix in (".json", ".txt", ".md") for f in files) else []
    if not source.lower().endswith(SUFFIXES):
        return []
    if os.path.isfile(source):
        return [Path(source)]
    numbers = RANGE.search(source)
    if numbers is None:
        return []
    first, last = int(numbers[1]), int(numbers[2])
    if not 0 <= last - first < 100_000:
        raise SourceError(f"{source}: {numbers[0]} counts no files. Write the first number, two points, and the last.")
    named = [Path(RANGE.sub(f"{n:0{len(numbers[1])}}", source, count=1)) for n in range(first, last + 1)]
    missing = next((file for file in named if not file.is_file()), None)
    if missing is not None:
        raise SourceError(f"{missing} does not exist; {source} names {len(named)} files.")
    return named


def _unpack_all(files: Sequence[Path], folder: Path) -> None:
    temporary = temporary_path(folder)
    make_folder(temporary)
    try:
        for file in files:
            shard = temporary if len(files) == 1 else temporary / file.name.partition(".")[0]
            _unpack(file, shard)
        remove_folder(folder)
        move(temporary, folder)
    finally:
        remove_folder(temporary)


def _unpack(file: Path, folder: Path) -> None:
    """Raises SourceError naming what is wrong with the archive."""
    size = file.stat().st_size
    room = min(max(MAX_RATIO * size, FREE_BYTES), int(ROOM * shutil.disk_usage(folder.parent).free))
    total, seen = 0, set()
    try:
        with _opened(file) as archive:
            for count, (name, claimed, content) in enumerate(_members(archive)):
                path = _safe_path(name)
                if path is None or path in seen or claimed > MAX_FILE_BYTES:
                    continue
                total += claimed
                if total > room or count > MAX_MEMBERS:
                    raise SourceError(
                        f"{file} has {size / 1e6:,.1f} MB and would be more than {room / 1e9:,.1f} GB unpacked: there "
                        "is no room, or it is made to fill a disk. Unpack it yourself, and name the folder."
                    )
                seen.add(path)
                stream = content()
                data = stream.read(claimed + 1) if stream is not None else b""
                if len(data) != claimed:
                    raise ValueError(f"{printable(name)[:80]} has other bytes than it claims")
                make_folder((folder / path).parent)
                write_file(folder / path, data)
    except DAMAGE as error:
        if isinstance(error, RuntimeError) and "encrypted" in str(error):
            raise SourceError(f"{file} is encrypted. Unpack it yourself, and name the folder.") from error
        reason = "" if isinstance(error, tarfile.ReadError) else f" ({first_line(error)})"
        raise SourceError(f"{file} is damaged, ends early, or is no archive{reason}. Fetch it again.") from error
    if not seen:
        raise SourceError(f"{file} holds no files.")


def _opened(file: Path) -> zipfile.ZipFile | tarfile.TarFile:
    return zipfile.ZipFile(file) if zipfile.is_zipfile(file) else tarfile.open(file)


def _members(archive: zipfile.ZipFile | tarfile.TarFile) -> Iterator[Member]:
    """The plain files; no folders, links or devices."""
    if isinstance(archive, zipfile.ZipFile):
        for entry in archive.infolist():
            mode = entry.external_attr >> 28  # the kind of file, where Unix wrote it
            if not entry.is_dir() and mode in (0, 8):
                yield _zip_name(entry), entry.file_size, lambda entry=entry: archive.open(entry)  # type: ignore[misc]
        return
    for member in archive:
        if member.isreg():
            yield member.name, member.size, lambda member=member: archive.extractfile(member)  # type: ignore[misc]
    stream: Any = archive.fileobj
    stream.seek(archive.offset)
    if 0 < len(stream.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:  # half a header, which the library passes over
        raise tarfile.ReadError("unexpected end of data")


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """The name of a member; programs that do not mark UTF-8 as such write it all the same."""
    if entry.flag_bits & 0x800:
        return entry.filename
    with suppress(UnicodeError):
        return entry.filename.encode("cp437").decode("utf-8")
    return entry.filename


def _safe_path(name: str) -> PurePosixPath | None:
    """Where a member goes below the folder; None for what is hidden, a system's own, or would lie elsewhere."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    parts = tuple(part for part in parts if part != ".")
    wrong = not parts or any(part in ("..", "/") or "\0" in part or ":" in part or len(part) > 255 for part in parts)
    return None if wrong or not all(map(is_visible, parts)) else PurePosixPath(*parts)
