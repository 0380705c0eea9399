"""plan.toml of a run: what was chosen and what was asked for, so that `headstart fit --config plan.toml` repeats it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from headstart.core.errors import PlanError, SourceError
from headstart.core.messages import did_you_mean
from headstart.core.options import BackboneOptions, DataOptions, MethodOptions, OutputOptions, TrainingOptions
from headstart.core.plan import Plan
from headstart.core.plugins import member
from headstart.core.settings import current_settings

OPTIONS = (DataOptions, BackboneOptions, MethodOptions, TrainingOptions, OutputOptions)
CHOSEN = ("backbone", "weights", "method", "seed", "repeat")  # facts of a plan that are options too
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
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def repeated(config: str | Path | None, source: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The source and the keywords of the run whose plan.toml is given, with what else was given in their place.

    config: None leaves both as they are.  Another method than the file's brings its own settings, another backbone its
    own weights.
    Raises SourceError where it cannot be read, PlanError for a key or a value that no option has.
    """
    if config is None:
        if source is None:
            raise SourceError("No data were named: a folder, a table, hub:owner/name, arrays (X, y), or a config.")
        return source, given
    file = Path(config)
    try:
        facts = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise PlanError(f"{file} is no TOML ({error}). The plan.toml of a run folder is expected.") from error
    settings, options = facts.pop("settings", {}), facts.pop("options", {})
    if not isinstance(settings, dict) or not isinstance(options, dict):
        raise PlanError(f"{file}: [settings] and [options] are tables.")
    named = facts.pop("source", "")
    _check(file, {**{k: v for k, v in facts.items() if k not in RESOLVED}, **options})
    keywords = {**{k: facts[k] for k in CHOSEN if k in facts}, **options}
    method = given.get("method", keywords.get("method"))
    if method == keywords.get("method"):
        if settings:
            settings = current_settings(member("methods", str(method)).Settings, settings)
        keywords["settings"] = {**settings, **(given.get("settings") or {})}
    if given.get("backbone", keywords.get("backbone")) != keywords.get("backbone"):
        keywords.pop("weights", None)
    keywords |= {k: v for k, v in given.items() if k != "settings" or method != keywords.get("method")}
    if source is None and not named:
        raise SourceError(
            f"{file} does not say which data it was about. Name them: headstart fit DATA --config {file}."
        )
    return source if source is not None else named, keywords


def _check(file: Path, keywords: Mapping[str, Any]) -> None:
    """Raises PlanError for a key that is no option, naming the nearest, or a value of another type."""
    known = {f.name: hint for group in OPTIONS for f, hint in zip(fields(group), _hints(group), strict=True)}
    for key, value in keywords.items():
        if key not in known:
            hint = did_you_mean(key, known)
            raise PlanError(f"{file}: {key!r} is no option of fit.{hint}")
        hint = known[key]
        if hint in (int, str, bool) and type(value) is not hint:
            raise PlanError(f"{file}: {key} = {json.dumps(value, default=str)} is not of the type {hint.__name__}.")


def _hints(group: type) -> list[Any]:
    hints = get_type_hints(group)
    return [hints[f.name] for f in fields(group)]
