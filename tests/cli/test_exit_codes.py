"""Exit codes: the table in the docs, the constants, and what commands do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from headstart.cli import exit_codes
from tests.support.command_line import run_command
from tests.support.paths import ROOT


def test_the_docs_and_the_constants_agree():
    table = re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8"), re.M)
    assert [(int(code), meaning) for code, meaning in table] == list(exit_codes.MEANINGS.items())
    assert set(re.findall(r"\b\d+\b", exit_codes.SUMMARY)) == {str(code) for code in exit_codes.MEANINGS}
    help = " ".join(run_command("--help").stdout.split())
    assert exit_codes.SUMMARY in help


def test_mistakes_and_stops(tmp_path):
    assert "Error: 'nothing' does not exist" in run_command("fit", "nothing", code=exit_codes.MISTAKE).stderr
    assert "Usage: " in run_command("fit", "--no-such-flag", code=exit_codes.MISTAKE).stderr
    assert "No such command" in run_command("nonsense", code=exit_codes.MISTAKE).stderr
    for kind in ("a", "b"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(30):
            (tmp_path / "photos" / kind / f"{i}.jpg").write_bytes(b"\xff\xd8\xff" + bytes([i]) * 99)
    words = ["fit", str(tmp_path / "photos"), "--backbone", "stats", "--into", str(tmp_path / "run")]
    assert "Stopped: " in run_command(*words, code=exit_codes.STOPPED).stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_onto_a_full_disk_is_no_success():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "headstart", "backbones", "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == exit_codes.MISTAKE
    assert "No space left" in done.stderr and "Traceback" not in done.stderr


def test_a_reader_of_our_output_that_goes_is_no_error():
    command = [sys.executable, "-m", "headstart", "backbones", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    with process.stderr:
        assert (process.stderr.read(), process.wait()) == (b"", exit_codes.DONE)
