"""Verbs around the page: fetching what it needs, and unpacking what it gives."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.flags import Json
from headstart.cli.screen import show


def runtime(
    name: Annotated[str, typer.Argument(help="web: ONNX Runtime for browsers, which `export --to web` packs.")],
    package: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE.tgz", help="The package, fetched by other means."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch what a page in a browser needs, once: 33 MB from the npm registry, checked against a pinned digest.

    Which registry, npm_config_registry or npm itself says.

    \b
    headstart runtime web
    npm pack onnxruntime-web@1.30.0 && headstart runtime web --from onnxruntime-web-1.30.0.tgz
    """
    from headstart.core.errors import NameNotFound
    from headstart.deployment.export import onnxruntime_web
    from headstart.features.cache import store

    if name != "web":
        raise NameNotFound(f"There is no runtime {name!r} to fetch. There is one: web.")
    root = store.default_root()
    if package is not None:
        folder = onnxruntime_web.install(root, package)
    else:
        folder = (
            onnxruntime_web.runtime_folder(root)
            if onnxruntime_web.is_installed(root)
            else onnxruntime_web.fetch(root, npm_registry())
        )
    show({"runtime": str(folder), "version": onnxruntime_web.VERSION}, lambda facts: facts["runtime"], as_json)


def unpack(
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="What a page gave: a model as one file.")],
    into: Annotated[Path, typer.Option(help="The model folder to write.")],
    as_json: Json = False,
) -> None:
    """Unpack a model that a page gave into a model folder. `headstart predict` takes the file as it is, too.

    \b
    headstart unpack ant-bee.zip --into models/ant-bee
    """
    from headstart.core.errors import ArtifactError
    from headstart.deployment.zip_model import unpack as unpacked

    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise ArtifactError(f"{into} is there already. Name a folder that is new: --into FOLDER.")
    folder = unpacked(file, into)
    show({"model": str(folder)}, lambda facts: facts["model"], as_json)


def npm_registry() -> str:
    """The npm registry that is configured here: the environment first, then npm itself.

    Raises ArtifactError where neither says.
    """
    from headstart.core.errors import ArtifactError
    from headstart.deployment.export.onnxruntime_web import VERSION

    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if os.environ.get(name):
            return os.environ[name]
    if npm := shutil.which("npm"):
        try:
            said = subprocess.run([npm, "config", "get", "registry"], capture_output=True, text=True, timeout=20).stdout
        except (OSError, subprocess.TimeoutExpired):
            said = ""
        if said.strip().startswith("http"):
            return said.strip()
    raise ArtifactError(
        "Which npm registry? There is no npm here that would say. Name it, npm_config_registry=https://… headstart "
        f"runtime web, or fetch onnxruntime-web {VERSION} yourself: headstart runtime web --from FILE.tgz"
    )
