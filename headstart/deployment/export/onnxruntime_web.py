"""ONNX Runtime for browsers, pinned by its digest: downloaded on request and kept in the cache, never bundled.

    <root>/web-runtime/<version>/    the three files that a page needs, from the npm package onnxruntime-web

Only the standard library reads the package: no script of it runs. The registry is npm's configured one.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import urllib.request
from pathlib import Path

from headstart.core.errors import ArtifactError
from headstart.core.files import remove, write_atomic

VERSION = "1.30.0"
# As `npm view onnxruntime-web@1.30.0 dist.integrity` says.
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
SCRIPT, GLUE, WASM = "ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
FILES = {
    SCRIPT: "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
    GLUE: "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
MAX_PACKAGE_BYTES = 128 << 20  # bytes of the package; it has 33 MB
COMMAND = "headstart runtime web"


def runtime_folder(root: Path) -> Path:
    """The folder of the runtime. root: the cache folder"""
    return root / "web-runtime" / VERSION


def read_runtime(root: Path) -> dict[str, bytes]:
    """The three files by name. Raises ArtifactError, with the command to type, where one is missing or changed."""
    files = {}
    for name, expected in FILES.items():
        file = runtime_folder(root) / name
        content = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(content).hexdigest() != expected:
            problem = "has changed" if content else "is not on this machine"
            raise ArtifactError(
                f"A page needs ONNX Runtime for browsers {VERSION}, and {file} {problem}. To fetch it once (33 MB "
                f"from the npm registry, checked by its digest): {COMMAND}"
            )
        files[name] = content
    return files


def is_installed(root: Path) -> bool:
    """Whether all three files are there and match their digests."""
    try:
        return bool(read_runtime(root))
    except ArtifactError:
        return False


def drop_damaged(root: Path) -> list[str]:
    """Deletes the files that do not match their digests. Gives a line for each."""
    problems = []
    for name, expected in FILES.items():
        file = runtime_folder(root) / name
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            remove(file)
            problems.append(f"{file} was damaged and is dropped; to fetch it again: {COMMAND}")
    return problems


def fetch(root: Path, registry: str) -> Path:
    """Downloads the package and installs the files that a page needs. Gives the folder.

    registry: an npm registry, https://…  Raises ArtifactError where the download fails, or its digest is wrong.
    """
    return _install(root, *_download(f"{registry.rstrip('/')}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"))


def install(root: Path, package: Path) -> Path:
    """Installs the files that a page needs from a package file, as `npm pack` writes it. Gives the folder.

    Raises ArtifactError where it cannot be read, or its digest is wrong.
    """
    try:
        return _install(root, package.read_bytes(), str(package))
    except OSError as error:
        raise ArtifactError(f"{package} cannot be read: {error.strerror}.") from error


def _install(root: Path, package: bytes, source: str) -> Path:
    """Writes the three files, once the package's digest was checked. Gives the folder."""
    digest = base64.b64encode(hashlib.sha512(package).digest()).decode()
    if digest != INTEGRITY:
        raise ArtifactError(
            f"What came from {source} is not onnxruntime-web {VERSION}: its SHA-512 is {digest[:16]}…, and "
            f"{INTEGRITY[:16]}… is pinned. Nothing was kept."
        )
    into = runtime_folder(root)
    into.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        for name in FILES:
            member = archive.extractfile(f"package/dist/{name}")
            if member is None:
                raise ArtifactError(f"onnxruntime-web {VERSION} holds no {name}. Please report it.")
            write_atomic(into / name, member.read())
    read_runtime(root)
    return into


def _download(url: str) -> tuple[bytes, str]:
    """The bytes at a URL, and the URL without credentials."""
    if not url.startswith(("https://", "http://")):
        raise ArtifactError(
            f"{url} is no address of a registry: https://… is expected. Look at `npm config get registry`."
        )
    shown = url.rpartition("@")[2]  # without a user name and password
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return response.read(MAX_PACKAGE_BYTES), shown
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"ONNX Runtime for browsers could not be fetched from {shown}: {error}. Is there a network? Another "
            "registry is named by npm_config_registry=https://…"
        ) from error
