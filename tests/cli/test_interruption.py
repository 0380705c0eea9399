"""Ctrl-C and SIGTERM: one sentence, an event in the journal, exit 130 or 143, and never a hang."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from headstart.cli import interruption
from headstart.core import open_runs
from headstart.data.demo.tickets import write_tickets

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
# What a command may be doing, as the code of one.
STUCK = {
    "in a long native call": "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', (1 << 31) - 1)",
    "waiting for a worker": """
import threading
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool:
    pool.submit(threading.Event().wait).result()""",
    "in a library that swallows it": """
import time
while True:
    try:
        time.sleep(0.01)
    except BaseException:
        pass""",
    "in a library that turns it into an error": """
import time
try:
    time.sleep(60)
except BaseException as error:
    raise RuntimeError("Error calling __set_name__") from error""",
}


def start(*line, **options):
    """A process whose SIGINT is not ignored, as it would be in the background of a shell."""
    take_signals = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    return subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=take_signals, **options
    )


def interrupt(process, number):
    """Exit code and stderr, after a signal. Fails where it takes long: 2 s are allowed, and a busy machine's delay."""
    process.send_signal(number)
    began = time.monotonic()
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert "Traceback" not in said and "Exception ignored" not in said
    return process.returncode, said


def wait_for(file, words, process):
    """Until the file holds the words."""
    while not (file.is_file() and words in file.read_text()):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("doing", STUCK)
def test_the_process_ends_whatever_it_is_doing(number, doing):
    command = f"""
from headstart.cli.interruption import run_interruptible
def command():
    print("begun", flush=True)
    {STUCK[doing].strip().replace(chr(10), chr(10) + "    ")}
    return 0
run_interruptible(lambda: command)
"""
    process = start(sys.executable, "-c", command)
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.05)
    code, said = interrupt(process, number)
    assert (code, said) == (CODES[number], "Interrupted: no file is half-written. To go on: headstart\n")


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("stage", ['"event": "start"', '"event": "opening"', '"name": "extract"'])
def test_a_fit_says_what_was_kept_and_journals_it(number, stage, tmp_path):
    rows = "".join(f"a text of {i} and {i % 977} words,{'ab'[i % 2]}\n" for i in range(20_000))
    (tmp_path / "texts.csv").write_text("text,label\n" + rows)
    words = ["fit", "texts.csv", "--into", "the run", "--method", "mlp"]
    words += ["--set", "epochs=1000000", "--set", "patience=1000000"]
    environment = {**os.environ, "HEADSTART_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    process = start(sys.executable, "-m", "headstart", *words, cwd=tmp_path, env=environment)
    journal = tmp_path / "the run" / "journal.jsonl"
    wait_for(journal, stage, process)
    code, said = interrupt(process, number)
    assert code == CODES[number]
    again = "headstart fit texts.csv --into 'the run' --method mlp --set epochs=1000000 --set patience=1000000"
    assert said.splitlines()[-1] == f"Interrupted: what was embedded so far is in the cache. To go on: {again}"
    last = json.loads(journal.read_text().splitlines()[-1])
    assert (last["event"], last["by"]) == ("interrupted", signal.Signals(number).name)
    assert not (tmp_path / "the run" / ".lock").exists() and not list(tmp_path.rglob(".*.tmp"))


def test_at_start_up_there_is_no_traceback_either():
    """From the first line of main on, while most of the package is still imported."""
    script = """
import sys
from headstart.cli import main
class Begun:
    def find_spec(name, *rest):  # asked for what main imports first
        sys.meta_path.remove(Begun)
        print("main", flush=True)
sys.meta_path.insert(0, Begun)
main()
"""
    for delay in (0, 0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.25):
        process = start(sys.executable, "-c", script, "fit", "nothing")
        assert process.stdout.readline() == "main\n"
        time.sleep(delay)
        code, said = interrupt(process, signal.SIGINT)
        assert (code == 130 and said.splitlines()[-1].startswith("Interrupted: ")) or code == 2, said


def test_the_library_leaves_signals_alone(tmp_path):
    code = "import signal; import headstart.cli.app, headstart; from headstart.cli import main; headstart.fit; "
    code += "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler; "
    code += "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and signal.set_wakeup_fd(-1) == -1"
    process = start(sys.executable, "-c", code)
    assert process.communicate()[1] == ""


def test_an_ignored_signal_stays_ignored(tmp_path):
    line = [sys.executable, "-m", "headstart", "fit", str(write_tickets(tmp_path)), "--into", str(tmp_path / "run")]
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731 as nohup does
    environment = {**os.environ, "HEADSTART_CACHE": str(tmp_path / "cache")}
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(line, **nowhere, preexec_fn=ignore, env=environment)
    wait_for(tmp_path / "run" / "journal.jsonl", "start", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_the_command_that_goes_on(monkeypatch):
    monkeypatch.setattr(open_runs, "latest_folder", lambda: "runs/distill-features")
    said = interruption.sentence(["distill", "my photos", "--teacher", "timm:a", "--restart"])
    assert said.endswith("To go on: headstart distill 'my photos' --teacher timm:a --into runs/distill-features")
    assert interruption.sentence(["pretrain", "x", "--into=a"]).endswith("headstart pretrain x --into=a")
    assert "runs that ended are kept" in interruption.sentence(["compare", "x"])
    assert interruption.sentence(["predict", "m", "it's\x1b[2J"]).endswith(r"""headstart predict m 'it'"'"'s\x1b[2J'""")
