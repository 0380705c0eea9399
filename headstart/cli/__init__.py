"""The command line: verbs, flags made from the options, progress, terminal summaries."""

from __future__ import annotations

from collections.abc import Callable


def main() -> None:
    """The command `headstart`, which ends the process.

    It owns the signals from its first line on; the library never touches them.
    """
    try:
        from headstart.cli.interruption import run_interruptible

        run_interruptible(_prepare)
    except BaseException as error:  # of Ctrl-C before the signals are ours, whatever error it ended in
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        import os

        os.write(2, b"Interrupted: nothing was begun.\n")
        os._exit(130)


def _prepare() -> Callable[[], int]:
    from headstart.cli.app import run  # imports a large part of the package

    return run
