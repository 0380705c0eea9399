"""Environments for other libraries, made once under bench/envs by uv from the package registry."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks.speed.harness import Missing

FREE = 12 << 30  # bytes that a whole environment may need: torch brings CUDA with it
PATIENCE = 1800  # seconds for an installation


def made(folder: Path, packages: tuple[str, ...], *, over_ours: bool = False) -> Path:
    """The Python of an environment that has these packages; the one that is there, or a new one.

    over_ours: only these packages are new; all else is found in our own environment, so that both sides run on the same
    torch.  Raises Missing with the installer's last words.
    """
    python = folder / "bin" / "python"
    if (folder / "complete").is_file() and (folder / "complete").read_text() == " ".join(packages):
        return python
    uv = Path(sys.executable).with_name("uv")
    if not uv.is_file():
        raise Missing("no uv beside this Python: make setup installs it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not over_ours and shutil.disk_usage(folder.parent).free < FREE:
        raise Missing(f"less than {FREE >> 30} GiB are free on the disk of {folder.parent.name}/")
    shutil.rmtree(folder, ignore_errors=True)
    _run([uv, "venv", "--quiet", "--python", sys.executable, folder])
    _run([uv, "pip", "install", "--quiet", "--python", python, *(["--no-deps"] if over_ours else []), *packages])
    if over_ours:
        site, ours = next(folder.glob("lib/python*/site-packages")), sysconfig.get_paths()["purelib"]
        (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n", encoding="utf-8")
    (folder / "complete").write_text(" ".join(packages), encoding="utf-8")
    return python


def _run(line: list[object]) -> None:
    try:
        done = subprocess.run([str(part) for part in line], capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise Missing(f"installing took more than {PATIENCE} s") from error
    if done.returncode:
        words = [w.strip() for w in done.stderr.strip().splitlines() if w.strip()]
        raise Missing(f"could not be installed: {' '.join(words[-3:])[:300]}")
