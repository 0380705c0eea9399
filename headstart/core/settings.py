"""The settings of a member read from text, as --set and plan.toml give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from types import ModuleType
from typing import Any, TypeVar

from headstart.core.errors import ArtifactError, PlanError
from headstart.core.schema import shorten

T = TypeVar("T")

# What settings were called in Headstart 0.1 -> today's names, of which a member has one. A name that a member still has
# is not renamed there: `width` is the bottleneck's of an adapter, and still the width of `compact`.
RENAMED: dict[str, tuple[str, ...]] = {
    "batch": ("batch_size",),
    "calibrate": ("calibration",),
    "chunk": ("micro_batch",),
    "classes": ("logit_weight",),
    "decay": ("layer_decay", "weight_decay"),
    "form": ("variant",),
    "heat": ("temperature",),
    "length": ("max_length",),
    "neighbours": ("n_neighbors",),
    "norms": ("batch_norm",),
    "order": ("conv_dim",),
    "passes": ("epochs",),
    "policy": ("augmentation",),
    "project": ("projection_dim",),
    "rate": ("learning_rate",),
    "share": ("alpha", "mask_ratio"),
    "small": ("low_res_fraction",),
    "smooth": ("label_smoothing",),
    "units": ("hidden_units",),
    "vocabulary": ("vocabulary_size",),
    "weight": ("weight_decay",),
    "weights": ("class_weight",),
    "width": ("bottleneck",),
}
WORDS = {int: "a whole number", float: "a number"}


def current_name(settings: type, name: str) -> str:
    """Today's name of a setting that was stored or typed under a former one; else `name`. settings: a Settings class"""
    known = {f.name for f in fields(settings)}
    return next((new for new in RENAMED.get(name, ()) if name not in known and new in known), name)


def own_name(settings: type, name: str) -> str:
    """What a Settings class calls a setting: `name`, or the former name in a member that has kept it; "" if neither."""
    known = {f.name for f in fields(settings)}
    return next((n for n in (name, *(old for old, new in RENAMED.items() if name in new)) if n in known), "")


def own_value(settings: object, name: str) -> Any:
    """The value of a setting, also in a member of another package that has kept its former name."""
    return getattr(settings, own_name(type(settings), name))


def current_settings(known: type, settings: Mapping[str, T]) -> dict[str, T]:
    """Settings under today's names, whatever version stored them. known: the Settings class of their member"""
    return {current_name(known, key): value for key, value in settings.items()}


def stored_settings(settings: type[T], values: Mapping[str, object]) -> T:
    """The Settings of a member with values that a file stores, each of the type of its field.

    values: under today's names or former ones; what no field has is left out, as earlier versions stored more
    Raises ArtifactError naming a value that the field cannot have.
    """
    from typing import get_type_hints

    known, hints = {field.name for field in fields(settings)}, get_type_hints(settings)  # type: ignore[arg-type]
    chosen = {key: value for key, value in current_settings(settings, values).items() if key in known}
    for key, value in chosen.items():
        if not _has_type(value, hints[key]):
            said = f"the setting {key} is stored as {shorten(value)}, which it cannot be"
            raise ArtifactError(f"{said}. Fit again, or restore it from a copy.")
    return settings(**chosen)


def _has_type(value: object, hint: Any) -> bool:
    """Whether JSON's value is one of a field with that hint: a number, a text, one of a Literal, a list of such."""
    from typing import Literal, get_args, get_origin

    kind, arguments = get_origin(hint), get_args(hint)
    if kind is Literal:
        return value in arguments
    if kind is tuple:
        return isinstance(value, list | tuple) and all(_has_type(v, arguments[0]) for v in value)
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint if hint in (int, str, bool) else True


def settings_of(module: ModuleType, settings: dict[str, str]):
    """The Settings of a member, with `settings` read as the types of its fields.

    Raises PlanError naming the nearest spelling of an unknown setting, today's name of a renamed one, or the values
    that one takes.
    """
    name = module.__name__.rpartition(".")[2]
    known = {f.name: f for f in fields(module.Settings)}
    for key in settings:
        if key not in known:
            former = {old: current_name(module.Settings, old) for old in RENAMED if old not in known}
            former = {old: new for old, new in former.items() if new != old}
            if key in former:
                new = former[key]
                raise PlanError(f"{name}: the setting {key!r} is now called {new!r}: --set {new}={settings[key]}")
            near = get_close_matches(key, [*known, *former], n=1)
            hint = f" Did you mean {former.get(near[0], near[0])!r}?" if near else ""
            raise PlanError(f"{name} has no setting {key!r}.{hint} It has: {', '.join(known)}.")
    return module.Settings(**{key: _parsed(module, key, text) for key, text in settings.items()})


def _parsed(module: ModuleType, key: str, text: str) -> object:
    """`text` as the type that the field is annotated with: numbers, words from a Literal, or commas between."""
    from typing import Literal, get_args, get_origin, get_type_hints

    hint = get_type_hints(module.Settings)[key]
    kind, arguments = get_origin(hint), get_args(hint)
    try:
        if kind is Literal:
            if text not in arguments:
                raise PlanError(f"{key}={text} is not possible; {key} is one of: {', '.join(map(str, arguments))}.")
            return text
        if kind is tuple:
            return tuple(arguments[0](part) for part in text.split(",")) if text else ()
        return hint(text)
    except ValueError as error:
        kind = WORDS.get(
            hint
        ) or f"{WORDS.get(arguments[0], 'a word') if arguments else hint}s with commas between".removeprefix("a ")
        raise PlanError(f"{key}={text} cannot be read as {kind}.") from error


def setting_text(value: object) -> str:
    """A value of a setting as --set takes it: commas between the members of a tuple, a list or an array."""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return ",".join(map(setting_text, value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))  # a whole number is one, however it is written
    return str(value)


def setting_texts(settings: Mapping[str, object] | None) -> dict[str, str]:
    """Settings as --set takes them, from values of any type. Raises PlanError for what is no dict of them."""
    if not isinstance(settings or {}, Mapping) or not all(isinstance(name, str) for name in settings or {}):
        raise PlanError(f"settings={settings!r} is no dict of settings. Expected: settings={{'learning_rate': 1e-4}}.")
    return {name: setting_text(value) for name, value in (settings or {}).items()}
