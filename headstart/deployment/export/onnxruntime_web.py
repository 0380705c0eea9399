"""ONNX Runtime for browsers, pinned by content: fetched when the owner asks for it, kept in the cache, never ours.

    <root>/web-runtime/<version>/    the three files that a page needs, out of the npm package onnxruntime-web

Only the standard library reads the package: no script of it runs. Where the registry is, npm or its owner says.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import urllib.request
from pathlib import Path

from headstart.core.errors import ArtifactError
from headstart.core.files import write_bytes

VERSION = "1.30.0"
# As `npm view onnxruntime-web@1.30.0 dist.integrity` says.
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
SCRIPT, GLUE, WASM = "ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
FILES = {
    SCRIPT: "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
    GLUE: "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
LARGEST = 128 << 20  # bytes of the package; it has 33 MB
COMMAND = "headstart runtime web"


def folder(root: Path) -> Path:
    """Where it is kept. root: the cache folder"""
    return root / "web-runtime" / VERSION


def found(root: Path) -> dict[str, bytes]:
    """The three files by name. Raises ArtifactError, with the command to type, where one is missing or another one."""
    files = {}
    for name, pinned in FILES.items():
        file = folder(root) / name
        content = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(content).hexdigest() != pinned:
            what = "is not what it must be" if content else "is not on this machine"
            raise ArtifactError(
                f"A page needs ONNX Runtime for browsers {VERSION}, and {file} {what}. To fetch it once (33 MB "
                f"from the npm registry, checked by its digest): {COMMAND}"
            )
        files[name] = content
    return files


def kept(root: Path) -> bool:
    """Whether all three files are there, and the pinned ones."""
    try:
        return bool(found(root))
    except ArtifactError:
        return False


def fetch(root: Path, registry: str) -> Path:
    """Downloads the package and keeps what a page needs of it.

    registry: an npm registry, https://…  Gives the folder. Raises ArtifactError where it cannot be had, or is another.
    """
    return _kept(root, *_package(f"{registry.rstrip('/')}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"))


def take(root: Path, package: Path) -> Path:
    """Keeps what a page needs of the package that lies in a file, as `npm pack` writes it.

    Gives the folder. Raises ArtifactError where it cannot be read, or is another.
    """
    try:
        return _kept(root, package.read_bytes(), str(package))
    except OSError as error:
        raise ArtifactError(f"{package} cannot be read: {error.strerror}.") from error


def _kept(root: Path, package: bytes, source: str) -> Path:
    """The folder with the three files, once the package has proved to be the pinned one."""
    digest = base64.b64encode(hashlib.sha512(package).digest()).decode()
    if digest != INTEGRITY:
        raise ArtifactError(
            f"What came from {source} is not onnxruntime-web {VERSION}: its SHA-512 is {digest[:16]}…, and "
            f"{INTEGRITY[:16]}… is pinned. Nothing was kept."
        )
    into = folder(root)
    into.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        for name in FILES:
            member = archive.extractfile(f"package/dist/{name}")
            if member is None:
                raise ArtifactError(f"onnxruntime-web {VERSION} holds no {name}. Please report it.")
            write_bytes(into / name, member.read())
    found(root)
    return into


def _package(url: str) -> tuple[bytes, str]:
    """What lies at an address, and the address as it may be shown."""
    if not url.startswith(("https://", "http://")):
        raise ArtifactError(
            f"{url} is no address of a registry: https://… is expected. Look at `npm config get registry`."
        )
    shown = url.rpartition("@")[2]  # without a name and password that stood in it
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read(LARGEST), shown
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"ONNX Runtime for browsers could not be fetched from {shown}: {error}. Is there a network? Another "
            "registry is named by npm_config_registry=https://…"
        ) from error
