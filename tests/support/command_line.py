"""The command line as a user runs it."""

import subprocess
import sys
from pathlib import Path


def run_command(*words: str, code: int = 0, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess:
    """The command line as a process, with the warnings of a user's machine as errors."""
    line = [sys.executable, "-W", "error", "-m", "headstart.cli", *words]
    done = subprocess.run(line, capture_output=True, text=True, input=stdin, cwd=cwd, check=False)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done
