"""Rules for what is read from a file that anybody may have written: types, lengths and ranges, checked before use.

A rule takes a value and says what is wrong with it, "" where nothing is. One schema stands beside each kind of file.
(pydantic says the same in as many lines, and takes 0.14 s of each command to import.)
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headstart.core.errors import ArtifactError, HeadstartError
from headstart.core.messages import first_line

Rule = Callable[[Any], str]

MAX_BYTES = 16 << 20  # of one JSON file; a card with a thousand classes has 60 KB
MAX_ITEMS = 1_000_000  # values in it: each takes up to 100 bytes of memory, whatever few bytes it has in the file


def whole(low: int, high: int) -> Rule:
    """A whole number from low to high. True and False are none."""
    return lambda v: "" if type(v) is int and low <= v <= high else _is_not(v, f"a whole number from {low} to {high}")


def number(low: float, high: float) -> Rule:
    """A finite number from low to high."""

    def rule(value: Any) -> str:
        # Not isfinite, which turns whole numbers to floats and stumbles over large ones; NaN is in no range.
        valid = type(value) in (int, float) and low <= value <= high and value not in (math.inf, -math.inf)
        return "" if valid else _is_not(value, f"a number from {low:g} to {high:g}")

    return rule


def text(most: int = 200, pattern: str = "") -> Rule:
    """A text of at most `most` characters that UTF-8 can hold, and that all of the regular expression matches."""

    def rule(value: Any) -> str:
        if not isinstance(value, str) or len(value) > most or (pattern and not re.fullmatch(pattern, value)):
            return _is_not(value, f"a text of at most {most} characters{f' like {pattern}' if pattern else ''}")
        return _is_not(value, "text that UTF-8 can hold") if re.search("[\ud800-\udfff]", value) else ""

    return rule


def boolean(value: Any) -> str:
    """True or False."""
    return "" if isinstance(value, bool) else _is_not(value, "true or false")


def anything(value: Any) -> str:
    """Any value: for what no code reads."""
    return ""


def one_of(*values: Any) -> Rule:
    """One of the values, of the same type."""
    possible = ", ".join(map(repr, values))
    return lambda v: "" if any(type(v) is type(o) and v == o for o in values) else _is_not(v, f"one of {possible}")


def items(item: Rule, most: int, least: int = 0) -> Rule:
    """A list, or tuple, of `least` to `most` such items."""

    def rule(value: Any) -> str:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            return _is_not(value, f"a list of {least} to {most:,} items" if least != most else f"a list of {most}")
        return next((f"[{i}]{problem}" for i, v in enumerate(value) if (problem := item(v))), "")

    return rule


def distinct(item: Rule, most: int, least: int = 0) -> Rule:
    """A list of `least` to `most` such items, no two of them equal. item: takes what can be hashed alone"""
    listed = items(item, most, least)

    def rule(value: Any) -> str:
        if problem := listed(value):
            return problem
        twice = next((v for v, count in Counter(value).items() if count > 1), None)
        return "" if twice is None else f" names {shorten(twice)} twice"

    return rule


def table(value: Rule, most: int, key: Rule | None = None) -> Rule:
    """An object of at most `most` such values. key: what its names must be, by default texts"""
    name_rule = key or text()

    def rule(facts: Any) -> str:
        if not isinstance(facts, Mapping) or len(facts) > most:
            return _is_not(facts, f"an object of at most {most:,} names")
        for name, entry in facts.items():
            if problem := name_rule(name):
                return f": a name in it{problem}"
            if problem := value(entry):
                return f".{name}{problem}"
        return ""

    return rule


def record(required: Mapping[str, Rule], optional: Mapping[str, Rule] | None = None, *, others: bool = False) -> Rule:
    """An object with these names. others: whether it may have further ones, which no code reads"""
    known = {**required, **(optional or {})}

    def rule(facts: Any) -> str:
        if not isinstance(facts, Mapping):
            return _is_not(facts, "an object")
        for name in required:
            if name not in facts:
                return f" lacks {name}"
        for name, value in facts.items():
            if name not in known:
                if not others:
                    return f" has {shorten(name)}, which is not known"
            elif problem := known[name](value):
                return f".{name}{problem}"
        return ""

    return rule


def either(*rules: Rule) -> Rule:
    """What one of the rules takes. Says what the last of them misses."""
    return lambda value: "" if any(not rule(value) for rule in rules) else rules[-1](value)


def check(value: Any, rule: Rule, where: str, fix: str, error: type[HeadstartError] = ArtifactError) -> None:
    """Raises `error` where the rule finds something wrong. where: the file, for the message.  fix: what to do"""
    if problem := rule(value):
        raise error(f"{where}{': ' if problem[0] in '.[' else ''}{problem.removeprefix('.')}. {fix}")


def load_json(
    file: Path,
    rule: Rule,
    fix: str,
    error: type[HeadstartError] = ArtifactError,
    max_bytes: int = MAX_BYTES,
    max_items: int = MAX_ITEMS,
) -> Any:
    """The JSON in a file, after its size and its content were checked.

    Raises `error` where it cannot be read, has more than `max_bytes`, is no JSON, or breaks the rule.
    """
    try:
        size = file.stat().st_size
        if size > max_bytes:
            raise error(f"{file} has {size:,} bytes; {max_bytes:,} are the most that are read. {fix}")
        raw = file.read_bytes()
        if sum(map(raw.count, (b",", b"[", b"{"))) > max_items:
            raise error(f"{file} holds more than {max_items:,} values, which is no file of ours. {fix}")
        value = json.loads(raw.decode())
    except OSError as problem:
        raise error(f"{file} cannot be read: {problem.strerror or problem}. {fix}") from problem
    except (ValueError, RecursionError) as problem:
        raise error(f"{file} is damaged: it is no JSON ({first_line(problem)}). {fix}") from problem
    check(value, rule, str(file), fix, error)
    return value


@contextmanager
def damage_in_words(file: Path, fix: str, error: type[HeadstartError] = ArtifactError) -> Iterator[None]:
    """A context that reads details of a file for people, of which only the outline was checked.

    Raises `error`, naming the file, where one of its details is missing or of another type than what reads it expects.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as problem:
        kind, said = type(problem).__name__, first_line(problem)
        raise error(f"{file} is damaged: what is read of it does not fit together ({kind}: {said}). {fix}") from problem


def shorten(value: object) -> str:
    """A value as a message shows it: at most 80 characters."""
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:79] + "…"


def _is_not(value: object, expected: str) -> str:
    return f" is {shorten(value)}, not {expected}"
