"""Options as flags: a verb names the groups it takes, and their fields become its flags, with their help."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from headstart.core.errors import HeadstartError
from headstart.core.options import default_of

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; progress goes to stderr.")]
Base = Annotated[
    str | None,
    typer.Option(help="The backbone of a model from elsewhere that names it by a path, or where its weights lie here."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the result.")]
Data = Annotated[
    str,
    typer.Argument(metavar="DATA", help="A folder of class folders, a CSV, JSONL or Parquet table, or hub:owner/name."),
]


def flags_of(*groups: type, **own_help: str) -> Callable[[Callable], Callable]:
    """Decorates a verb with a parameter `options`: what was typed for fields of these groups, by name.

    own_help: of a flag that says more in this verb than its field does
    """
    hints = {name: hint for group in groups for name, hint in get_type_hints(group).items()}
    known = {f.name: f for group in groups for f in fields(group) if f.metadata["flag"]}
    flags = {_flag_name(f): f for f in known.values()}

    def decorate(verb: Callable) -> Callable:
        def run(context: typer.Context, **typed: Any) -> None:
            values = {name: typed.pop(name) for name in flags}
            # What was typed, also where it is the default: it takes the place of what a config says.
            named = [name for name in flags if _typed(context, name)]
            verb(**typed, options={flags[name].name: _parsed(values[name], hints[flags[name].name]) for name in named})

        parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
        for parameter in inspect.signature(verb, eval_str=True).parameters.values():
            if parameter.name == "options":
                parameters += [_parameter(name, f, hints[f.name], own_help.get(name)) for name, f in flags.items()]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        run.__name__, run.__doc__ = verb.__name__, verb.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def pairs(texts: Sequence[str] | None) -> dict[str, str]:
    """KEY=VALUE texts as a dict. Raises HeadstartError for one without a sign of equality."""
    settings = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise HeadstartError(f"--set {text}: KEY=VALUE is expected, as in --set class_weight=balanced.")
        settings[key.strip()] = value.strip()
    return settings


def _flag_name(f: Field) -> str:
    named = f.metadata["flag"]
    return f.name if named is True else named.removeprefix("--")


def _parameter(name: str, f: Field, hint: Any, own_help: str | None) -> inspect.Parameter:
    """A field as typer wants a parameter."""
    kinds = {get_origin(t) or t for t in (hint, *get_args(hint))}
    least, default = f.metadata["minimum"], default_of(f)
    words: dict[str, Any] = {"help": own_help or f.metadata["help"]} | ({"min": least} if least is not None else {})
    typed: Any
    if bool in kinds:
        typed, declared = bool, [f"--{name.replace('_', '-')}"]  # without its --no- twin
    elif Mapping in kinds:
        typed, declared = list[str] | None, []
    elif Sequence in kinds:
        typed, declared, default = str, [], ",".join(default)
    elif float in kinds:
        typed, declared = float, []
    elif int in kinds:
        typed, declared = (int if default is not None else int | None), []
    elif Path in kinds:
        typed, declared = Path | None, []
    else:
        typed, declared = (str if default is not None else str | None), []
    annotation = Annotated[typed, typer.Option(*declared, **words)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _parsed(value: Any, hint: Any) -> Any:
    """What was typed, as the field's type."""
    kinds = {get_origin(t) or t for t in (hint, *get_args(hint))}
    if Mapping in kinds:
        return pairs(value)
    if Sequence in kinds and isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value
