"""Formatting for the pages: numbers, units, names, escaping, truncation and text width."""

from __future__ import annotations

import html
import math
import sys
import unicodedata
from dataclasses import dataclass

NBSP = "\u00a0"  # between a number and its unit
WIDE_CHARS, NARROW_CHARS = "MWmw@%—…ÆŒæœ", "iljtfrI.,:;'|!()[]{} `-"
FORBIDDEN_CHARS = "\ufffe\uffff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
MAX_DECIMALS = 9  # digits behind the point: no figure of ours has so many
MAX_COMBINING_MARKS = 3  # combining marks kept on one letter; more would run over the neighbouring lines


@dataclass(frozen=True, slots=True)
class MetricFormat:
    """Label, explanation and number format of a metric. is_share: written in percent"""

    label: str
    meaning: str
    is_share: bool = True

    def format(self, value: object) -> str:
        """'97.2 %' or '0.123'; a dash for what is missing."""
        number = finite_number(value)
        return "–" if number is None else format_percent(number) if self.is_share else format_number(number)

    def interval(self, low: object, high: object) -> str:
        """'93.0 to 99.1', in percent without the sign."""
        a, b = finite_number(low), finite_number(high)
        if a is None or b is None:
            return "–"
        if self.is_share:
            return f"{_percent_digits(a)} to {_percent_digits(b)}"
        digits = min(_decimals(a), _decimals(b))
        return f"{format_number(a, digits)} to {format_number(b, digits)}"


_LABELS_AND_MEANINGS = {
    "accuracy": ("Accuracy", "how many of the {nouns} it got right"),
    "balanced_accuracy": ("Balanced accuracy", "the same, but every class counts alike, however rare it is"),
    "macro_f1": ("Macro-F1", "misses and false alarms in one figure, every label counting alike"),
    "micro_f1": ("Micro-F1", "misses and false alarms in one figure, over all tags together"),
    "exact_match": ("Exact match", "how many {nouns} got exactly their tags, none missing and none too many"),
    "mean_average_precision": ("Mean average precision", "how well each tag's {nouns} are ranked above others"),
    "log_loss": ("Log-loss", "how little probability it gave to the truth; 0 is perfect"),
    "ece": ("Calibration error", "how far its stated confidence is from how often it is right; 0 is perfect"),
    "mae": ("Mean absolute error", "how far off it is on average, in the unit of the labels"),
    "rmse": ("Root mean squared error", "the same, but large errors weigh more"),
    "mse": ("Mean squared error", ""),
    "r2": ("R²", "how much of the differences it explains; 1 is perfect, 0 is no better than the mean"),
    "spearman": ("Rank correlation", "how well it puts the {nouns} in order; 1 is the perfect order"),
}
_NO_SHARES = {"log_loss", "mae", "rmse", "mse", "r2", "spearman"}
METRICS = {name: MetricFormat(*texts, name not in _NO_SHARES) for name, texts in _LABELS_AND_MEANINGS.items()}
EXAMPLE_NOUNS = {"image": ("photo", "photos"), "text": ("text", "texts"), "vector": ("row", "rows")}


def metric_format(name: str) -> MetricFormat:
    """The format of a metric; an unknown one gets its name as label and no percent sign."""
    return METRICS.get(name) or MetricFormat(sanitize(name).replace("_", " ").capitalize(), "", False)


def count_examples(n: int, result: dict) -> str:
    """'1 photo', '120 photos': n examples by their noun."""
    singular, plural = example_nouns(result)
    return f"{n:,}{NBSP}{singular if n == 1 else plural}"


def example_nouns(result: dict) -> tuple[str, str]:
    """Singular and plural of what an example of the task is."""
    return EXAMPLE_NOUNS.get((result.get("task") or {}).get("kind", ""), ("example", "examples"))


def finite_number(value: object) -> float | None:
    """The value as a float; None unless it is a finite number, which the pages show as a dash."""
    largest = sys.float_info.max  # a whole number may be larger than any float
    is_finite = isinstance(value, int | float) and not isinstance(value, bool) and -largest <= value <= largest
    return float(value) if is_finite else None  # type: ignore[arg-type]


def format_percent(share: object) -> str:
    """'97.2 %'; a dash for what is missing."""
    number = finite_number(share)
    return "–" if number is None else f"{_percent_digits(number)}{NBSP}%"


def _percent_digits(share: float) -> str:
    # Never "100" for what is not quite all, nor "0" for what is not quite nothing: 0.9996 is 99.96.
    text = f"{100 * share:.1f}"
    if share in (0, 1):
        return f"{100 * share:.0f}"
    return f"{100 * share:.2f}" if text in ("100.0", "0.0") else text


def format_number(value: float, digits: int = MAX_DECIMALS) -> str:
    """Three significant digits, at most `digits` decimals; an exponent only below 1e-4 and from 1e9."""
    if value and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.2e}".replace("-", "−")
    places = min(digits, _decimals(value))
    return f"{value:,.{0 if places == MAX_DECIMALS else places}f}".replace("-", "−")


def _decimals(value: float) -> int:
    """Decimals for three significant digits; MAX_DECIMALS for 0, which then takes those of its neighbour."""
    return MAX_DECIMALS if not value else max(0, 2 - math.floor(math.log10(abs(value))))


def format_count(n: object) -> str:
    """'7,686', '2.2 million'."""
    number = finite_number(n)
    if number is None:
        return "–"
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.1f}{NBSP}{word}"
    return f"{number:,.0f}"


def format_bytes(n: object) -> str:
    """'532 bytes', '10.4 KB', '2.2 MB'."""
    number = finite_number(n)
    if number is None:
        return "–"
    for power, unit in ((3, "GB"), (2, "MB"), (1, "KB")):
        if number >= 1000**power:
            return f"{number / 1000**power:.1f}{NBSP}{unit}"
    return f"{number:.0f}{NBSP}bytes"


def format_seconds(value: object) -> str:
    """'0.05 s', '8.2 s', '2 min 10 s', '1 h 5 min'."""
    number = finite_number(value)
    if number is None:
        return "–"
    if number < 100:
        return f"{number:.2f}{NBSP}s" if number < 1 else f"{number:.1f}{NBSP}s"
    whole = round(number)
    if whole < 3600:
        return f"{whole // 60}{NBSP}min {whole % 60}{NBSP}s"
    return f"{whole // 3600}{NBSP}h {whole % 3600 // 60}{NBSP}min"


def sanitize(text: object) -> str:
    """Text without what breaks HTML, XML or the layout.

    Removed: control characters, lone surrogates, stacked combining marks and bidirectional overrides.
    """
    raw = str(text)
    if raw.isascii() and raw.isprintable():
        return raw
    chars, marks = [], 0
    for char in raw:
        category = "Lu" if char.isascii() else unicodedata.category(char)
        marks = marks + 1 if category == "Mn" else 0
        forbidden = (
            (char < " " and char not in "\t\n") or char == "\x7f" or category in ("Cc", "Cs") or char in FORBIDDEN_CHARS
        )
        if marks <= MAX_COMBINING_MARKS:
            chars.append("\ufffd" if forbidden else char)
    return "".join(chars)


def escape(text: object) -> str:
    """Sanitized text, safe inside an element and a quoted attribute."""
    return html.escape(sanitize(text))


def truncate(text: object, limit: int) -> str:
    """At most `limit` characters on one line, the last of them an ellipsis where text was cut."""
    line = " ".join(sanitize(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip("\u200d ") + "…"


def source_name(source: object) -> str:
    """The last part of a path or URL, which names the data in a page's title."""
    return truncate(str(source).rstrip("/").rpartition("/")[2], 60)


def name_html(text: object, limit: int = 60) -> str:
    """HTML of a name from the data: isolated in text direction, truncated, the full name as tooltip."""
    short, full = truncate(text, limit), " ".join(sanitize(text).split())
    title = f' title="{html.escape(full)}"' if short != full else ""
    inside = "".join(html.escape(char) + ("<wbr>" if char in "_/-.:" else "") for char in short)
    return f"<bdi{title}>{inside or '(none)'}</bdi>"


def text_width(text: str, font_size: float) -> float:
    """Width in pixels, an upper estimate for the common sans-serif fonts."""
    return font_size * sum(map(_char_width, text))


def fit_text(text: object, font_size: float, width: float) -> str:
    """Text truncated with an ellipsis to a width in pixels."""
    line = truncate(text, 300)
    if text_width(line, font_size) <= width:
        return line
    remaining, fitted = width - font_size, ""
    for char in line:
        remaining -= font_size * _char_width(char)
        if remaining < 0:
            break
        fitted += char
    return fitted.rstrip("\u200d ") + "…"


def _char_width(char: str) -> float:
    if char.isascii():
        if char in NARROW_CHARS:
            return 0.38
        return 0.95 if char in WIDE_CHARS else 0.84 if char in "<>=+~^#&_" else 0.72 if char.isupper() else 0.61
    if char in WIDE_CHARS:
        return 1.0
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Cf"):
        return 0.0
    return 1.25 if ord(char) >= 0x1F000 else 1.0 if unicodedata.east_asian_width(char) in "WF" else 0.7
