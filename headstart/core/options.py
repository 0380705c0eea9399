"""What a user may ask of the verbs on data: one option is one field, with its default and its help, here and only here.

The public functions take the fields as flat keywords (`flat_keywords`), the command line as flags, `plan.toml` as keys.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from headstart.core.disk_errors import disk_errors_in_words
from headstart.core.errors import PlanError
from headstart.core.messages import did_you_mean

T = TypeVar("T")


def option(default: Any, help: str, *, flag: str | bool = True, minimum: int | None = None) -> Any:
    """A field of an options class. flag: its name on the command line, False for none.  minimum: the least value"""
    default = {"default_factory": default} if callable(default) else {"default": default}
    return field(**default, metadata={"help": help, "flag": flag, "minimum": minimum})


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOptions:
    """What the data are, and which examples may train, validate and test."""

    seed: int = option(0, "Split, folds and intervals are drawn from it.", minimum=0)
    test: object = option(None, "More data like DATA, to judge on instead of a held-out share.")
    label: str | None = option(None, "The column with the labels.")
    input: str | None = option(None, "The column with the texts, images or paths.")
    group: str | None = option(None, "A column; rows of one group never stand on two sides of a split.")
    shots: int | None = option(
        None, "Learn from at most so many examples of each class: what would fewer labels do?", minimum=1
    )
    group_twins: bool = option(False, "Keep near-duplicates on one side of the split.")
    kind: str | None = option(None, "image or text, where it cannot be told.")
    task: str | None = option(None, "classes, tags (several a row) or number, where it cannot be told.")
    decimal: str | None = option(None, "comma or point: which mark in the labels is the decimal one.")
    encoding: str | None = option(None, "Of files of text, as cp1252 or shift_jis, where it cannot be told.")
    keep: str | None = option(
        None, 'Names by commas that are read though they look hidden or like a system\'s own: ".net,@eaDir".'
    )
    merge: str | None = option(
        None, 'Classes or tags that are one, as "Dog,dog;Cat,CAT"; alike: all that differ in spelling only.'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneOptions:
    """What to borrow, and what runs it."""

    backbone: str = option(
        "own", "What to borrow, as FAMILY:NAME; own: what comes with Headstart; auto: the best of the hub."
    )
    engine: str = option(
        "", "What runs the frozen part: torch, openvino, openvino:bfloat16. Default: what is fastest here."
    )
    weights: str = option("", "The digest that the backbone's weights must have; any where empty.", flag=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodOptions:
    """What learns above the cut."""

    method: str = option(
        "probe", "What to train: probe (the head for the labels), finetune, lora, … `headstart methods`."
    )
    settings: Mapping[str, object] | None = option(
        None, "A setting of the method, as KEY=VALUE; may be repeated (in Python a dict).", flag="--set"
    )
    repeat: int = option(0, "Another number trains on the same split from other random numbers.", flag=False, minimum=0)
    find_rate: bool = option(False, "Find the learning rate by a range test first; the report shows it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How long and in how much memory a method trains that trains in steps."""

    budget: str = option("normal", "quick, normal or thorough: how long a method trains that trains in steps.")
    save_memory: bool = option(False, "Train in less memory, a third slower: activations are computed twice.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Where results go. echo: is called with every event of the journal"""

    into: str | Path | None = option(None, "The run's folder. Default: a new one in runs/, called like DATA.")
    root: Path | None = option(None, "The cache folder; the user's where none is named.", flag=False)
    echo: Callable[[dict[str, Any]], None] | None = option(None, "Called with every event of the journal.", flag=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What `check` does beside looking."""

    against: object = option(
        None, "What the backbone was trained on, if you have it: is any of it in your test part? Labels are not read."
    )
    fix: str | Path | None = option(None, "A new folder for a cleaned list of the examples; your files are left alone.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What `plan` measures beside the data themselves."""

    reference: object = option(None, "Data like those the backbone was trained on, if you have any.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """What `compare` sets side by side."""

    methods: Sequence[str] = option(
        ("probe", "finetune", "lora", "lpft", "full", "scratch"),
        "By commas: probe, knn, auto, contrast, bias, … `headstart methods`.",
    )
    seeds: int = option(3, "Runs of each method, from other random numbers on one split.", minimum=1)


def groups_of(function: Callable) -> dict[str, type]:
    """The parameters of a function that are groups of options, by name."""
    hints = get_type_hints(function)
    return {name: hints[name] for name in inspect.signature(function).parameters if _is_group(hints.get(name))}


def flat_keywords(
    function: Callable[..., T], name: str, config: Callable[[Any, Any, dict], tuple[Any, dict]] | None = None
) -> Callable[..., T]:
    """The public face of a function that takes groups of options: each field of theirs is a keyword.

    config: where given there is a keyword `config` too; called with its value, the source and the other keywords, it
    gives the source and the keywords to go on with
    The face raises TypeError for an unknown keyword, naming the nearest, and DiskError where a disk refuses.
    """
    groups = groups_of(function)
    known = {f.name: f for group in groups.values() for f in fields(group)}
    worded = disk_errors_in_words(function)

    def face(source: object = None, **given: Any) -> T:
        if config is not None:
            source, given = config(given.pop("config", None), source, given)
        for key in given:
            if key not in known:
                hint = did_you_mean(key, known)
                raise TypeError(f"{name}() has no keyword {key!r}.{hint} It has: {', '.join(known)}.")
        return worded(source, *build(groups.values(), given))

    face.__name__ = face.__qualname__ = name
    face.__module__, face.__doc__ = function.__module__, _described(function.__doc__ or "", known, config is not None)
    face.__signature__ = _signature(function, known, config is not None)  # type: ignore[attr-defined]
    face.__wrapped__ = function  # type: ignore[attr-defined]
    return face


def build(groups: Any, given: Mapping[str, Any]) -> list[Any]:
    """One value of each group, from the keywords that are its fields.

    Raises PlanError for a value of another type, or below the least that is possible.
    """
    for group in groups:
        hints = get_type_hints(group)
        for f in fields(group):
            if f.name in given:
                _check_value(f, hints[f.name], given[f.name])
    return [group(**{f.name: given[f.name] for f in fields(group) if f.name in given}) for group in groups]


def _check_value(f: Any, hint: Any, value: Any) -> None:
    union = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kinds = [kind for kind in union if kind is not type(None)]
    plain = {int: "a whole number", str: "a word", bool: "true or false"}
    if value is None or not all(kind in plain for kind in kinds):
        return  # what takes paths, data in memory or functions says itself what it cannot take
    right = isinstance(value, Integral) and not isinstance(value, bool) if int in kinds else isinstance(value, *kinds)
    if not right:
        raise PlanError(f"{f.name}={value!r}: {plain[kinds[0]]} is expected. {f.metadata['help']}")
    least = f.metadata["minimum"]
    if least is not None and value < least:
        raise PlanError(f"{f.name}={value}: {least} is the least. {f.metadata['help']}")


def asked(*groups: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The options among the values of groups that are not at their defaults, by name: what a command line would say."""
    return {
        f.name: value
        for group in groups
        for f in fields(group)
        if f.metadata["flag"] and f.name not in without and not _is_default(value := getattr(group, f.name), f)
    }


def _is_default(value: Any, f: Any) -> bool:
    default = default_of(f)  # arrays would compare element by element
    return value is default or (isinstance(value, str | int | float) and value == default)


def default_of(f: Any) -> Any:
    """The default of an option."""
    return f.default_factory() if f.default is MISSING else f.default


def _is_group(hint: Any) -> bool:
    return isinstance(hint, type) and hasattr(hint, "__dataclass_fields__") and hint.__name__.endswith("Options")


def _signature(function: Callable, known: Mapping[str, Any], config: bool) -> inspect.Signature:
    own = inspect.signature(function)
    keyword = inspect.Parameter.KEYWORD_ONLY
    source = inspect.Parameter("source", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="object")
    if config:
        source = source.replace(default=None)
    flat = [inspect.Parameter(n, keyword, default=default_of(f), annotation=f.type) for n, f in known.items()]
    if config:
        flat.append(inspect.Parameter("config", keyword, default=None, annotation="str | Path | None"))
    return inspect.Signature([source, *flat], return_annotation=own.return_annotation)


def _described(doc: str, known: Mapping[str, Any], config: bool) -> str:
    rows = [f"    {name}: {f.metadata['help']}" for name, f in known.items()]
    if config:
        rows.append("    config: plan.toml of an earlier run, which is repeated; what else is given takes its place.")
    return inspect.cleandoc(doc) + "\n\nKeywords:\n" + "\n".join(rows) + "\n"
