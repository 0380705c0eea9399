"""While a library opens what may be a stranger's network, this thread reaches no other machine and opens no pickle.

What a configuration may say is checked before (timm_arguments.py, transformers_files.py). This holds for what those
lists do not know: a kernel that a kind of network fetches by itself, a field of a library's next version.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headstart.core.errors import PlanError

FORBIDDEN = {
    "socket.connect": "reach another machine",
    "socket.getaddrinfo": "reach another machine",
    "pickle.find_class": "open a pickle, which can run code",
}
_thread = threading.local()
_installed = threading.Lock()  # taken once and kept: an audit hook cannot be taken away again


def _refuse(event: str, arguments: tuple) -> None:
    if event in FORBIDDEN and (name := getattr(_thread, "name", "")):
        raise PlanError(
            f"{name}: opening it would {FORBIDDEN[event]}, which is never done. If that is a network you trust, use "
            "another of the same family that needs nothing beside its files."
        )


@contextmanager
def sealed(name: str) -> Iterator[None]:
    """A context in which this thread may do none of `FORBIDDEN`. name: of the backbone, for the PlanError"""
    if _installed.acquire(blocking=False):
        sys.addaudithook(_refuse)
    before, _thread.name = getattr(_thread, "name", ""), name
    try:
        yield
    finally:
        _thread.name = before
