"""The settings of a member read from text, as --set and plan.toml give them."""

from __future__ import annotations

from dataclasses import fields
from difflib import get_close_matches
from types import ModuleType

from headstart.core.errors import PlanError

WORDS = {int: "a whole number", float: "a number"}


def settings_of(module: ModuleType, settings: dict[str, str]):
    """The Settings of a member, with `settings` read as the types of its fields.

    Raises PlanError naming the nearest spelling of an unknown setting, or the values that one takes.
    """
    name = module.__name__.rpartition(".")[2]
    known = {f.name: f for f in fields(module.Settings)}
    for key in settings:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise PlanError(f"{name} has no setting {key!r}.{hint} It has: {', '.join(known)}.")
    return module.Settings(**{key: _parsed(module, key, text) for key, text in settings.items()})


def _parsed(module: ModuleType, key: str, text: str) -> object:
    """`text` as the type that the field is annotated with: numbers, words from a Literal, or commas between."""
    from typing import Literal, get_args, get_origin, get_type_hints

    hint = get_type_hints(module.Settings)[key]
    try:
        if get_origin(hint) is Literal:
            if text not in get_args(hint):
                raise PlanError(
                    f"{key}={text} is not possible; {key} is one of: {', '.join(map(str, get_args(hint)))}."
                )
            return text
        if get_origin(hint) is tuple:
            item = get_args(hint)[0]
            return tuple(item(part) for part in text.split(","))
        return hint(text)
    except ValueError as error:
        raise PlanError(f"{key}={text} cannot be read as {WORDS.get(hint, hint)}.") from error
