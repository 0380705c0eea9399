"""Numbers as people write them: decimal commas, thousands separators, per cent, units, marks for what is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

INTEGER = re.compile(r"-?(0|[1-9]\d{0,14})")
NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
GROUPED = re.compile(r"-?[1-9]\d{0,2}\.\d{3}")
LEADING_ZERO = re.compile(r"[+-]?0\d")
WRITTEN = re.compile(
    r"(?P<sign>[+-]?)\s*(?P<before>[$€£¥]?)\s*"
    r"(?P<body>(?:\d[\d.,' ]*\d|\d)[.,]?(?:[eE][+-]?\d+)?|[.,]\d+)"
    r"\s*(?P<after>[%‰$€£¥]|°\s?[^\W\d_]?|[^\W\d_]{1,6}\.?[²³23]?(?:\s?/\s?[^\W\d_]{1,4}[²³23]?)?|)"
)
SPACES = str.maketrans({"\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2212": "-", "\u2019": "'"})
MISSING_MARKS = {
    *("", "-", "--", "---", "–", "—", "?", ".", "n/a", "na", "n.a.", "nan", "none", "null", "nil", "#n/a", "#na"),
    *("missing", "unknown", "k.a.", "<na>", "nat", "(null)", "\\n", "#value!", "#div/0!"),
}
MOST_DIGITS = 15  # of a whole number that floats hold; more are an id
NEARLY_ALL = 0.9  # of the values must be numbers for a column of numbers


@dataclass(frozen=True, slots=True)
class NumberReading:
    """A column of texts as numbers.

    values:  a number each, None where there is none
    odd:     positions of values that are neither numbers nor marks for what is missing
    missing: how many marks for what is missing
    decimal, thousands, unit: how the numbers were written, "" where they were plain
    unclear: what must be asked, in words; "" where nothing
    """

    values: list[float | int | None]
    odd: list[int]
    missing: int
    decimal: str = ""
    thousands: str = ""
    unit: str = ""
    unclear: str = ""

    def describe(self) -> str:
        """How they were read, a sentence; "" where they were plain."""
        marks = {",": "comma", ".": "point", "'": "apostrophe", " ": "space"}
        said = [f"a decimal {marks[self.decimal]}"] if self.decimal else []
        said += [f"a {marks[self.thousands]} between thousands"] if self.thousands else []
        said += [f"the unit {self.unit}"] if self.unit else []
        return f"The numbers were read with {' and '.join(said)}." if said else ""


def is_number(text: str) -> bool:
    """Whether a text is a number as programs write it."""
    return bool(NUMBER.fullmatch(text.strip()))


def read_numbers(
    texts: Sequence[str], *, semicolons: bool, least: float = NEARLY_ALL, decimal: str = ""
) -> NumberReading | None:
    """A column of texts as numbers; None where too few of them are such, or they are names (007).

    semicolons: whether the table's columns are cut by them, as where the comma is a decimal one
    decimal: the decimal mark, where the user says it
    least: the share of numbers among what is not missing
    """
    stripped = [text.strip() for text in texts]
    if all(map(INTEGER.fullmatch, stripped)):
        return NumberReading([int(text) for text in stripped], [], 0)
    if not decimal and _may_be_thousands(stripped):
        said = "the point in them may be a decimal one or stand between thousands"
        return NumberReading([None] * len(texts), [], 0, unclear=f"{said}. Say --decimal point, or --decimal comma")
    if (
        not semicolons
        and decimal != ","
        and all(map(NUMBER.fullmatch, stripped))
        and not any(map(LEADING_ZERO.match, stripped))
    ):
        return NumberReading([int(t) if INTEGER.fullmatch(t) else float(t) for t in stripped], [], 0)
    parsed: list[tuple[str, str] | None] = []  # (body with its sign, unit)
    missing = 0
    for text in stripped:
        if NUMBER.fullmatch(text):
            parsed.append((text, ""))
            continue
        match = WRITTEN.fullmatch(text.translate(SPACES))
        if match and not (match["before"] and match["after"]):
            parsed.append((match["sign"] + match["body"], (match["before"] or match["after"]).replace(" ", "")))
        else:
            missing += text.lower() in MISSING_MARKS
            parsed.append(None)
    if any(entry and LEADING_ZERO.match(entry[0]) for entry in parsed):
        return None
    if decimal:
        thousands, unclear = "." if decimal == "," else ",", ""
    else:
        decimal, thousands, unclear = _separators({body for body, _ in filter(None, parsed)}, semicolons)
    if unclear:
        found = sum(entry is not None for entry in parsed)
        enough = found >= max(1, least * (len(texts) - missing))
        return NumberReading([None] * len(texts), [], missing, unclear=unclear) if enough else None
    values = [None if entry is None else _value(entry[0], decimal, thousands) for entry in parsed]
    odd = [i for i, v in enumerate(values) if v is None and stripped[i].lower() not in MISSING_MARKS]
    count = len(texts) - missing - len(odd)
    if count < max(1, least * (count + len(odd))):
        return None
    units = Counter(entry[1] for entry, value in zip(parsed, values, strict=True) if entry and value is not None)
    if len(units) > 1:
        said = ", ".join(f"{unit or 'none'} ({n})" for unit, n in units.most_common(4))
        unclear = f"they are in several units: {said}. Give all in one"
    comma = "," if decimal == "," else ""
    return NumberReading(values, odd, missing, comma, thousands, next(iter(units)), unclear)


def _may_be_thousands(texts: list[str]) -> bool:
    """Whether 5.855 stands beside 613: three digits after every point, and no whole number of four."""
    pointed = [text for text in texts if "." in text]
    whole = [text for text in texts if INTEGER.fullmatch(text)]
    return (
        len(pointed) > 2 and len(whole) > 2 and all(map(GROUPED.fullmatch, pointed))
        and all(len(text.lstrip("-")) <= 3 for text in whole)
    )  # fmt: skip


def _separators(bodies: set[str], semicolons: bool) -> tuple[str, str, str]:
    """(decimal mark, mark between thousands, what must be asked) of a column's numbers."""
    sure: Counter[str] = Counter()  # decimal mark -> numbers that leave no doubt
    grouped, unsure = set(), set()  # marks that surely, or perhaps, stand between thousands
    for body in bodies:
        digits = body.lstrip("+-").split("e")[0].split("E")[0]
        grouped |= {mark for mark in " '" if mark in digits}
        marks = [mark for mark in ",." if mark in digits]
        if len(marks) == 2:
            last = max(marks, key=digits.rfind)
            sure[last] += 1
            grouped.add(marks[0] if last == marks[1] else marks[1])
        elif marks:
            parts = digits.split(marks[0])
            if len(parts) > 2:
                grouped.add(marks[0])
            elif len(parts[1]) == 3 and 1 <= len(parts[0]) <= 3 and parts[0] != "0":
                unsure.add(marks[0])
            else:
                sure[marks[0]] += 1
    if len(sure) > 1:
        return ".", "", "some have a decimal comma, others a decimal point. Give all the same one"
    decimal = next(iter(sure), "")
    if not decimal and grouped & {",", "."}:
        decimal = "." if "," in grouped else ","
    if not decimal:
        if semicolons and unsure:
            mark, opposite = ("comma", "point") if "," in unsure else ("point", "comma")
            said = f"the {mark} in them may be a decimal one or stand between thousands"
            return ".", "", f"{said}. Say --decimal {mark}, or --decimal {opposite}"
        decimal = "."
    other = {"," if decimal == "." else "."}
    thousands = next(iter(sorted(grouped | (unsure & other))), "")
    return decimal, "" if thousands == decimal else thousands, ""


def _value(body: str, decimal: str, thousands: str) -> float | int | None:
    """The number that is written, None where the marks do not stand where they should."""
    text = body
    if thousands and thousands in text:
        whole, mark, rest = text.partition(decimal)
        groups = whole.lstrip("+-").split(thousands)
        if not 1 <= len(groups[0]) <= 3 or any(len(g) != 3 for g in groups[1:]):
            return None
        text = whole.replace(thousands, "") + mark + rest
    text = text.replace(decimal, ".") if decimal == "," else text
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else None
