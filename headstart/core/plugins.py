"""Plugin lookup: a name, and the one module that implements it.

A family is a folder of this package; a member is one module in it. Another
package adds a member through the entry-point group `headstart.<family>`.
Listing names imports nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from headstart.core.errors import NameNotFound, PluginError
from headstart.core.messages import did_you_mean

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
    """All members, built in and of installed packages, sorted."""
    return sorted({*_builtin(family), *(entry.name for entry in _entry_points(family))})


def is_member(family: str, name: str) -> bool:
    """Whether `name` is among `names`; those of other packages are looked up only where it is none of ours."""
    return name in _builtin(family) or any(entry.name == name for entry in _entry_points(family))


def member(family: str, name: str) -> ModuleType:
    """The module that implements `name`.

    Raises NameNotFound, naming the nearest spelling and the whole family.
    """
    if _folder(family).joinpath(f"{name}.py").exists() and not name.startswith("_"):
        return import_module(f"{FAMILIES[family]}.{name}")
    for entry in _entry_points(family):
        if entry.name == name:
            return _load(entry, family)
    hint = did_you_mean(name, names(family))
    raise NameNotFound(f"No {family} member is called {name!r}.{hint} There are: {', '.join(names(family))}.")


def members(family: str) -> Iterator[ModuleType]:
    """All of a family, by name. Imports them, so members import their heavy libraries inside functions."""
    return (member(family, name) for name in names(family))


def name_of(value: object) -> str:
    """The name of the member whose module defines the value's type: "logistic" of a Logistic.

    Another package's member is called as it is registered, and any other type like its module.
    """
    module = type(value).__module__
    name = module.rpartition(".")[2]
    if module.startswith("headstart."):
        return name
    entries = (entry for family in FAMILIES for entry in _entry_points(family))
    return next((entry.name for entry in entries if entry.value.partition(":")[0] == module), name)


def _builtin(family: str) -> set[str]:
    return {path.stem for path in _folder(family).glob("[a-z]*.py")}


def _folder(family: str) -> Path:
    return ROOT.joinpath(*FAMILIES[family].split(".")[1:])


def _load(entry, family: str) -> ModuleType:
    """A member of another package. Raises PluginError, naming the package, where it cannot be imported."""
    try:
        return entry.load()
    except ImportError as error:
        package = entry.dist.name if entry.dist else entry.value
        raise PluginError(
            f"{entry.name!r} of {family}, which the package {package} brings, cannot be imported: {error}. Upgrade "
            f"{package}, or remove it: pip uninstall {package}"
        ) from error


def _entry_points(family: str):
    # importlib.metadata costs 30 ms: it is not touched where a built-in answers.
    from importlib.metadata import entry_points

    return entry_points(group=f"headstart.{family}")
