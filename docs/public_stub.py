"""Writes headstart/__init__.pyi: the public names with their types, the verbs with every option as a keyword.

    python docs/public_stub.py           writes it
    python docs/public_stub.py --check   exits 1 where it is not what would be written

The names are resolved on first use, so a type checker sees them only here; the options are fields of dataclasses, so
the keywords are made from these.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from pathlib import Path

STUB = Path(__file__).parents[1] / "headstart" / "__init__.pyi"
HEAD = '''"""Types of the public names. Made by `make docs` from headstart/core/options.py: edit that."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.core.version import __version__ as __version__
'''


def stub() -> str:
    """The text of the stub."""
    import headstart

    imports, verbs = [], []
    for name, home in sorted(headstart._HOME.items()):
        value = getattr(importlib.import_module(home), name)
        if hasattr(value, "__wrapped__") and hasattr(value, "__signature__"):
            verbs.append(_verb(name, value))
        else:
            imports.append(f"from {home} import {name} as {name}")
    return "\n".join([HEAD.rstrip(), *sorted(imports), "", *verbs])


def _verb(name: str, verb: object) -> str:
    signature = inspect.signature(verb)  # type: ignore[arg-type]
    lines = [f"def {name}("]
    keywords = False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keywords:
            lines.append("    *,")
            keywords = True
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        lines.append(f"    {parameter.name}: {parameter.annotation}{default},")
    doc = inspect.getdoc(verb) or ""
    body = [f"    {line}".rstrip() for line in doc.replace("\\", "\\\\").splitlines()]
    body[0] = '    """' + body[0].lstrip()
    return "\n".join([*lines, f") -> {signature.return_annotation}:", *body, '    """', "    ...", ""])


def main() -> None:
    """Writes the stub, or compares it."""
    text = stub()
    ast.parse(text)
    if "--check" not in sys.argv:
        STUB.write_text(text, encoding="utf-8")
    elif not STUB.is_file() or STUB.read_text(encoding="utf-8") != text:
        sys.exit(f"{STUB.name} is not what the options say: run `make docs`.")


if __name__ == "__main__":
    main()
