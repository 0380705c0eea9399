"""A name, and the one file that implements it.

A family is a folder of this package; a member is one file in it. Another
package adds a member through the entry-point group `headstart.<family>`.
Listing names imports nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from headstart.core.errors import NameNotFound

# family -> the package that holds its members
FAMILIES = {
    "readers": "headstart.data.readers",
    "preprocess": "headstart.features.preprocess",
    "backbones": "headstart.backbones.providers",
    "engines": "headstart.features.engines",
    "objectives": "headstart.data.objectives",
    "methods": "headstart.training.methods",
    "guards": "headstart.evaluation.guards",
    "pretexts": "headstart.pretraining.pretexts",
    "formats": "headstart.deployment.export.formats",
}
ROOT = Path(__file__).parents[1]


def names(family: str) -> list[str]:
    """All members, ours and those of installed packages, sorted."""
    ours = [p.stem for p in _folder(family).glob("[a-z]*.py")]
    return sorted({*ours, *(e.name for e in _entries(family))})


def member(family: str, name: str) -> ModuleType:
    """The module that implements `name`.

    Raises NameNotFound, naming the nearest spelling and the whole family.
    """
    if _folder(family).joinpath(f"{name}.py").exists() and not name.startswith("_"):
        return import_module(f"{FAMILIES[family]}.{name}")
    for entry in _entries(family):
        if entry.name == name:
            return entry.load()
    from difflib import get_close_matches

    near = get_close_matches(name, names(family), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise NameNotFound(f"No {family} member is called {name!r}.{hint} There are: {', '.join(names(family))}.")


def members(family: str) -> Iterator[ModuleType]:
    """All of a family, by name. Imports them, so members import their heavy libraries inside functions."""
    return (member(family, name) for name in names(family))


def name_of(thing: object) -> str:
    """The member's name of a value that its module made: "logistic" of a Logistic; another package's, as it registers.

    A value of a type that belongs to no member is called like the file of its type.
    """
    module = type(thing).__module__
    if not module.startswith("headstart."):
        named = (e.name for family in FAMILIES for e in _entries(family) if e.value.partition(":")[0] == module)
        return next(named, module.rpartition(".")[2])
    return module.rpartition(".")[2]


def _folder(family: str) -> Path:
    return ROOT.joinpath(*FAMILIES[family].split(".")[1:])


def _entries(family: str):
    # importlib.metadata costs 30 ms: it is not touched where a built-in answers.
    from importlib.metadata import entry_points

    return entry_points(group=f"headstart.{family}")
