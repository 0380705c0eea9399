"""Phrases that messages share: lists, hints at a misspelling, the reason of an exception, figures, safe text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

# What a terminal obeys instead of showing it: control characters, marks that reverse or hide text, line separators,
# and halves of surrogate pairs, which no output can encode. Joiners stay: scripts and emoji need them.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """Text as a terminal may show it on one line: what would move, colour, reverse or hide something is an escape."""
    return UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def printable_lines(text: str) -> str:
    """The same for text of several lines, the further ones indented: none can pass for a line of ours."""
    return "\n  ".join(map(printable, text.split("\n")))


def printable_facts(facts: Any) -> Any:
    """Facts as JSON holds them, with all their texts and names `printable`."""
    if isinstance(facts, str):
        return printable(facts)
    if isinstance(facts, Mapping):
        return {printable_facts(name): printable_facts(value) for name, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [printable_facts(value) for value in facts]
    return facts


def join_quoted(items: Iterable, most: int = 5) -> str:
    """The first items in quotation marks with commas between, and … where there are more."""
    return join_plain((repr(item) for item in items), most)


def join_plain(items: Iterable[str], most: int = 5) -> str:
    """Like `join_quoted`, without quotation marks: for files and suffixes."""
    shown = list(items)
    return ", ".join(shown[:most]) + (" …" if len(shown) > most else "")


def did_you_mean(name: str, choices: Collection[str]) -> str:
    """A hint at the choice nearest to a misspelled name, " Did you mean 'lora'?"; "" where none is near."""
    from difflib import get_close_matches

    near = get_close_matches(name, choices, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, at most 200 characters; its type where it has none."""
    return next((line[:200] for line in str(error).splitlines() if line.strip()), type(error).__name__)


def type_and_first_line(error: BaseException) -> str:
    """An exception of a foreign library, "OSError: no space left", for those whose message alone says little."""
    name, line = type(error).__name__, first_line(error)
    return name if line == name else f"{name}: {line}"


def format_p_value(p: float) -> str:
    """A p-value: 'p = 0.03', 'p < 0.001'."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def describe_delta_size(delta: float, full: float) -> str:
    """How much less a delta takes than a whole copy: "290 times smaller than the model"; "" where neither is known.

    delta, full: bytes
    """
    if not delta or not full:
        return ""
    times = full / delta
    if times < 1.5:
        return "as large as the model" if times > 0.67 else "larger than the model"
    return f"{f'{times:,.1f}' if times < 10 else _two_digits(times)} times smaller than the model"


def _two_digits(times: float) -> str:
    """Two significant digits: 293.4 is 290."""
    unit = 10 ** (len(str(int(times))) - 2)
    return f"{round(times / unit) * unit:,}"
