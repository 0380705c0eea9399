"""Ctrl-C and SIGTERM: the command says what was kept and what goes on, and ends within two seconds, come what may.

The first signal raises `Interrupted` in the main thread, so that what is being done is left in order: rows that were
computed are saved, temporary files deleted. Where that takes too long (the main thread is in a long native call, waits
for a worker, or the exception was swallowed by a library) a watching thread ends the process. So does a second signal.

Only the command does this, never the library. Nothing is imported here that takes time: signals are ours from the first
line of `main` on.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from headstart.cli.exit_codes import INTERRUPTED, MISTAKE, TERMINATED
from headstart.core import open_runs
from headstart.core.messages import printable

GRACE = 1.2  # seconds for leaving in order
LAST_WORD = 0.3  # seconds for the sentence, should a pipe that nobody reads block it
CODES = {"SIGINT": INTERRUPTED, "SIGBREAK": INTERRUPTED, "SIGTERM": TERMINATED}
EMBEDDING = ("fit", "check", "plan", "demo", "predict")
PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"


class Interrupted(BaseException):
    """A signal came; its name. No KeyboardInterrupt, which libraries catch and turn into an exit of their own."""


class _State:
    """What the handler, the watching thread and the main thread know of each other."""

    by = ""  # name of the first signal
    begun = False  # the command does something: until then there is nothing to leave in order
    raised = False  # in the main thread
    finished = False  # the command has done its work: `code` is its exit code
    code = 0
    leaving = threading.Lock()  # held by the thread that ends the process


def run_interruptible(prepare: Callable[[], Callable[[], int]]) -> NoReturn:
    """Ends the process with the exit code of a command; on SIGINT or SIGTERM with 130 or 143, and a sentence on stderr.

    prepare: imports what the command needs, and gives it
    """
    try:
        _own_signals()
        command = prepare()
        _State.begun = True
        _State.code = command()
        _State.finished = not _State.raised
    except BaseException:
        # Not Interrupted alone: what is interrupted within an import or a callback may end in an error of its own.
        if not _State.raised:
            raise
    if _State.raised:
        _leave()
    # At once: the interpreter's own end waits for threads, and has given the signals back by then.
    os._exit(_flushed(_State.code))


def _flushed(code: int) -> int:
    """The exit code, once what was printed is out."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        return code  # the reader of our output (head, less) has gone
    except OSError as error:
        os.write(2, f"Error: what was printed cannot be written: {error.strerror}.\n".encode())
        return code or MISTAKE
    return code


def _own_signals() -> None:
    """From here on signals are ours. One that is ignored, as nohup does it, stays ignored."""
    if os.name != "nt":  # the C part of a handler writes into the pipe at once, whatever the main thread is doing
        read, written = os.pipe()
        os.set_blocking(written, False)
        threading.Thread(target=_watch, args=(read,), name="interruption", daemon=True).start()
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    for name in CODES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    """Runs in the main thread, as soon as that runs Python."""
    if _State.finished:
        os._exit(_State.code)  # only the interpreter's own end is cut short
    _State.by = _State.by or signal.Signals(number).name
    if _State.raised or not _State.begun:
        _leave()
    _State.raised = True
    # What threads and destructors complain of while the process ends is no news.
    sys.unraisablehook = lambda unraisable: None
    threading.excepthook = lambda arguments: None
    if os.name == "nt":
        timer = threading.Timer(GRACE, _leave)
        timer.daemon = True
        timer.start()
    raise Interrupted(_State.by)


def _watch(signals: int) -> None:
    """Ends the process when leaving in order takes too long, or at a second signal. signals: a pipe of their numbers"""
    ours = {getattr(signal, name, None) for name in CODES}
    while (number := os.read(signals, 1)[0]) not in ours:
        continue  # the pipe tells of other signals too
    _State.by = signal.Signals(number).name
    deadline = time.monotonic() + GRACE
    while (left := deadline - time.monotonic()) > 0 and select.select([signals], [], [], left)[0]:
        if os.read(signals, 1)[0] in ours:
            break
    _leave()


def _leave() -> NoReturn:
    """Says what there is to say, and ends the process without waiting for threads or libraries."""
    if not _State.leaving.acquire(blocking=False):
        threading.Event().wait()  # until the other thread has ended the process
    if _State.finished:
        os._exit(_State.code)
    last_word = threading.Thread(target=_say_last_word, daemon=True)
    last_word.start()
    last_word.join(LAST_WORD)
    os._exit(CODES[_State.by])


def _say_last_word() -> None:
    new_line = "\n" if os.isatty(2) else ""  # a line of progress may be open
    with suppress(OSError):  # nobody reads stderr any more
        os.write(2, f"{new_line}{sentence(sys.argv[1:])}\n".encode())
    open_runs.journal_interruption(_State.by)
    with suppress(OSError, ValueError):  # nor stdout
        sys.stdout.flush()


def sentence(words: Sequence[str]) -> str:
    """What was kept, and the command that goes on. words: as they were typed"""
    verb, again = next((word for word in words if not word.startswith("-")), ""), list(words)
    kept = "no file is half-written"
    if verb in EMBEDDING:
        kept = "what was embedded so far is in the cache"
    if verb == "compare":
        kept = "runs that ended are kept, and what was embedded so far is in the cache"
    if verb in ("distill", "pretrain"):
        kept = "the run is kept up to its last checkpoint, and what teachers said so far is in the cache"
        again = [word for word in words if word != "--restart"]
        folder = open_runs.latest_folder()
        if folder and not any(word.partition("=")[0] == "--into" for word in words):
            again += ["--into", folder]
    return f"Interrupted: {kept}. To go on: {printable(' '.join(map(_quoted, ('headstart', *again))))}"


def _quoted(word: str) -> str:
    """A word as one types it into a shell. (shlex would import more than this file may.)"""
    return word if word and all(c in PLAIN for c in word) else "'" + word.replace("'", "'\"'\"'") + "'"
