"""plan.toml of a run: what was chosen and what was asked for, so that `headstart fit --config plan.toml` repeats it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from headstart.core.errors import PlanError, SourceError
from headstart.core.files import read_json, write_atomic
from headstart.core.messages import did_you_mean
from headstart.core.options import BackboneOptions, DataOptions, MethodOptions, OutputOptions, TrainingOptions, build
from headstart.core.plan import Plan
from headstart.core.plugins import member
from headstart.core.settings import current_settings

OPTIONS = (DataOptions, BackboneOptions, MethodOptions, TrainingOptions, OutputOptions)
CHOSEN = ("backbone", "weights", "method", "seed", "repeat")  # facts of a plan that are options too
MAX_BYTES = 1 << 20  # of a plan.toml; ours have a kilobyte
RESOLVED = ("cut", "blocks", "precision", "reasons")  # facts that follow from them


def write(file: Path, plan: Plan, source: object, options: Mapping[str, Any]) -> None:
    """The plan with its resolved settings, the source, and the other options that were not at their defaults.

    source: as it was typed; arrays in memory are left out, as no file can name them
    """
    facts = plan.facts()
    settings = facts.pop("settings")
    plain = {k: str(v) if isinstance(v, Path) else v for k, v in {"source": source, **options}.items()}
    plain = {k: v for k, v in plain.items() if isinstance(v, str | int | float)}
    head = {"source": plain.pop("source")} if "source" in plain else {}
    tables = {"settings": settings, "options": plain}
    lines = [f"{k} = {json.dumps(v)}" for k, v in {**head, **facts}.items()]
    for name, table in tables.items():
        # JSON's strings, numbers, booleans and lists are TOML's too.
        lines += ["", f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items() if v is not None)]
    write_atomic(file, "\n".join(lines) + "\n")


def repeated(config: str | Path | None, source: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The source and the keywords of the run whose plan.toml is given, with what else was given in their place.

    config: None leaves both as they are.  Another method than the file's brings its own settings, another budget its
    own steps, another backbone its own weights.
    Raises SourceError where it cannot be read, PlanError for a key or a value that no option has.
    """
    if config is None:
        if source is None:
            raise SourceError("No data were named: a folder, a table, hub:owner/name, arrays (X, y), or a config.")
        return source, given
    file = Path(config)
    facts = _read(file)
    settings, options, named = facts.pop("settings", {}), facts.pop("options", {}), facts.pop("source", None)
    if not isinstance(settings, dict) or not isinstance(options, dict) or not isinstance(named, str | None):
        raise PlanError(f"{file}: [settings] and [options] are tables, and the source is a text.")
    keywords = {**{k: v for k, v in facts.items() if k not in RESOLVED}, **options}
    _check(file, keywords)
    method = given.get("method", keywords.get("method", "probe"))
    if method == keywords.get("method", "probe"):
        if settings and method != "probe":
            settings = current_settings(member("methods", str(method)).Settings, settings)
        if "budget" in given:  # the steps that the former one allowed
            settings = {k: v for k, v in settings.items() if k not in ("steps", "views")}
        keywords["settings"] = {**settings, **(given.get("settings") or {})}
        given = {k: v for k, v in given.items() if k != "settings"}
    if given.get("backbone", keywords.get("backbone")) != keywords.get("backbone"):
        keywords.pop("weights", None)
    if source is None and named is None:
        raise SourceError(
            f"{file} does not say which data it was about. Name them: headstart fit DATA --config {file}."
        )
    if source is None and not Path(str(named)).expanduser().exists() and not str(named).startswith("hub:"):
        raise SourceError(f"{named}, which {file} names, does not exist seen from {Path.cwd()}. Name it: headstart fit "
                          f"DATA --config {file}.")  # fmt: skip
    return source if source is not None else named, {**keywords, **given}


def _read(file: Path) -> dict[str, Any]:
    """A plan.toml as a dict; one of Headstart 0.1, which kept no options, with those of the command beside it."""
    import tomllib

    try:
        if file.stat().st_size > MAX_BYTES:
            raise PlanError(f"{file} has more than {MAX_BYTES:,} bytes. The plan.toml of a run folder is expected.")
        facts = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{file} is no TOML ({error}). The plan.toml of a run folder is expected.") from error
    if "cut" in facts and "options" not in facts:
        try:
            words = shlex.split((read_json(file.with_name("result.json")) or {})["command"])
            facts["options"] = _options_of(words[3:])
            facts |= {"source": words[2]} if words[2] != "arrays in memory" else {}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise PlanError(
                f"{file} is of an older version, which kept the options (label, group, test …) in result.json alone, "
                "and there is none beside it. Put it there, or fit again."
            ) from error
    return facts


def _options_of(words: list[str]) -> dict[str, Any]:
    """Options of a command line that Headstart wrote: data and training, not what the plan has."""
    known = {f.name: f for group in (DataOptions, BackboneOptions, TrainingOptions) for f in fields(group)}
    options: dict[str, Any] = {}
    for word, value in zip(words, [*words[1:], ""], strict=True):
        name = word.removeprefix("--").replace("-", "_")
        if word.startswith("--") and name in known and name not in CHOSEN:
            options[name] = True if known[name].default is False else int(value) if name == "shots" else value
    return options


def _check(file: Path, keywords: Mapping[str, Any]) -> None:
    """Raises PlanError for a key that is no option, naming the nearest, or a value that it cannot have."""
    known = {f.name for group in OPTIONS for f in fields(group)} - {"settings", "root", "echo"}
    for key in keywords:
        if key not in known:
            raise PlanError(f"{file}: {key!r} is no option of fit.{did_you_mean(key, known)}")
    try:
        build(OPTIONS, keywords)
    except PlanError as error:
        raise PlanError(f"{file}: {error}") from error
