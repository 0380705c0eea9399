"""How figures, names and text read on the page: rounding, units, shortening and escaping in one place."""

from __future__ import annotations

import html
import math
import unicodedata
from dataclasses import dataclass

SPACE = "\u00a0"  # a figure and its unit stay on one line
WIDE, NARROW = "MWmw@%—…ÆŒæœ", "iljtfrI.,:;'|!()[]{} `-"
FORBIDDEN = "\ufffe\uffff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
ANY = 9  # digits behind the point: no figure of ours has so many
MARKS = 3  # combining marks kept on one letter; more would run over the neighbouring lines


@dataclass(frozen=True, slots=True)
class Measure:
    """How one metric is called, explained and written. percent: a share, shown as one."""

    label: str
    meaning: str
    percent: bool = True

    def figure(self, value: object) -> str:
        """'97.2 %' or '0.123'; a dash for what is missing."""
        known = number(value)
        return "–" if known is None else percent(known) if self.percent else plain(known)

    def span(self, low: object, high: object) -> str:
        """'93.0 to 99.1', in percent without the sign."""
        a, b = number(low), number(high)
        if a is None or b is None:
            return "–"
        if self.percent:
            return f"{_hundredths(a)} to {_hundredths(b)}"
        digits = min(_digits(a), _digits(b))
        return f"{plain(a, digits)} to {plain(b, digits)}"


MEASURES = {
    "accuracy": Measure("Accuracy", "how many of the {nouns} it got right"),
    "balanced_accuracy": Measure("Balanced accuracy", "the same, but every class counts alike, however rare it is"),
    "macro_f1": Measure("Macro-F1", "misses and false alarms in one figure, every label counting alike"),
    "micro_f1": Measure("Micro-F1", "misses and false alarms in one figure, over all tags together"),
    "exact_match": Measure("Exact match", "how many {nouns} got exactly their tags, none missing and none too many"),
    "mean_average_precision": Measure("Mean average precision", "how well each tag's {nouns} are ranked above others"),
    "log_loss": Measure("Log-loss", "how little probability it gave to the truth; 0 is perfect", False),
    "ece": Measure("Calibration error", "how far its stated confidence is from how often it is right; 0 is perfect"),
    "mae": Measure("Mean absolute error", "how far off it is on average, in the unit of the labels", False),
    "rmse": Measure("Root mean squared error", "the same, but large errors weigh more", False),
    "mse": Measure("Mean squared error", "", False),
    "r2": Measure("R²", "how much of the differences it explains; 1 is perfect, 0 is no better than the mean", False),
    "spearman": Measure("Rank correlation", "how well it puts the {nouns} in order; 1 is the perfect order", False),
}
NOUNS = {"image": ("photo", "photos"), "text": ("text", "texts"), "vector": ("row", "rows")}


def measure_of(name: str) -> Measure:
    """How a metric is called; a name that is not known explains nothing and is no percentage."""
    return MEASURES.get(name) or Measure(clean(name).replace("_", " ").capitalize(), "", False)


def counted(n: int, result: dict) -> str:
    """'1 photo', '120 photos': n of what the task is about."""
    one, several = nouns(result)
    return f"{n:,}{SPACE}{one if n == 1 else several}"


def nouns(result: dict) -> tuple[str, str]:
    """What one example is called, and several."""
    return NOUNS.get((result.get("task") or {}).get("kind", ""), ("example", "examples"))


def number(value: object) -> float | None:
    """A finite number as it is; None for everything else, so that a hole in a result is shown as one."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None  # type: ignore[arg-type]


def percent(share: object) -> str:
    """'97.2 %'; a dash for what is missing."""
    known = number(share)
    return "–" if known is None else f"{_hundredths(known)}{SPACE}%"


def _hundredths(share: float) -> str:
    # Never "100" for what is not quite all, nor "0" for what is not quite nothing: 0.9996 is 99.96.
    text = f"{100 * share:.1f}"
    if share in (0, 1):
        return f"{100 * share:.0f}"
    return f"{100 * share:.2f}" if text in ("100.0", "0.0") else text


def plain(value: float, digits: int = ANY) -> str:
    """Three significant digits, at most `digits` behind the point; an exponent only where it cannot be helped."""
    if value and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.2e}".replace("-", "−")
    places = min(digits, _digits(value))
    return f"{value:,.{0 if places == ANY else places}f}".replace("-", "−")


def _digits(value: float) -> int:
    """Digits behind the point that make three significant ones; 0 takes as many as what it stands beside."""
    return ANY if not value else max(0, 2 - math.floor(math.log10(abs(value))))


def amount(n: object) -> str:
    """'7,686', '2.2 million': a count a person can say aloud."""
    known = number(n)
    if known is None:
        return "–"
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if known >= size:
            return f"{known / size:.1f}{SPACE}{word}"
    return f"{known:,.0f}"


def size(n: object) -> str:
    """Bytes in the unit that fits."""
    known = number(n)
    if known is None:
        return "–"
    for power, unit in ((3, "GB"), (2, "MB"), (1, "KB")):
        if known >= 1000**power:
            return f"{known / 1000**power:.1f}{SPACE}{unit}"
    return f"{known:.0f}{SPACE}bytes"


def seconds(value: object) -> str:
    """'0.05 s', '8.2 s', '2 min 10 s', '1 h 5 min'."""
    known = number(value)
    if known is None:
        return "–"
    if known < 100:
        return f"{known:.2f}{SPACE}s" if known < 1 else f"{known:.1f}{SPACE}s"
    whole = round(known)
    if whole < 3600:
        return f"{whole // 60}{SPACE}min {whole % 60}{SPACE}s"
    return f"{whole // 3600}{SPACE}h {whole % 3600 // 60}{SPACE}min"


def clean(text: object) -> str:
    """Text that every HTML and XML reader takes, and that stays in its place.

    No control characters, halves of a character, piles of marks, or marks that turn the direction of what follows.
    """
    whole = str(text)
    if whole.isascii() and whole.isprintable():
        return whole
    kept, marks = [], 0
    for char in whole:
        kind = "Lu" if char.isascii() else unicodedata.category(char)
        marks = marks + 1 if kind == "Mn" else 0
        odd = (char < " " and char not in "\t\n") or char == "\x7f" or kind in ("Cc", "Cs") or char in FORBIDDEN
        if marks <= MARKS:
            kept.append("\ufffd" if odd else char)
    return "".join(kept)


def esc(text: object) -> str:
    """Safe inside an element and inside a quoted attribute."""
    return html.escape(clean(text))


def short(text: object, most: int) -> str:
    """At most so many characters, the last of them an ellipsis where some were left out; on one line."""
    whole = " ".join(clean(text).split())
    return whole if len(whole) <= most else whole[: most - 1].rstrip("\u200d ") + "…"


def name(text: object, most: int = 60) -> str:
    """HTML of a name from the data: isolated from the direction of what is around it, the whole of it on hover."""
    brief, whole = short(text, most), " ".join(clean(text).split())
    title = f' title="{html.escape(whole)}"' if brief != whole else ""
    inside = "".join(html.escape(char) + ("<wbr>" if char in "_/-.:" else "") for char in brief)
    return f"<bdi{title}>{inside or '(none)'}</bdi>"


def breadth(text: str, points: float) -> float:
    """About how wide text of that size is; on the safe side for the common sans-serif fonts."""
    return points * sum(map(_em, text))


def fit(text: object, points: float, room: float) -> str:
    """As much of a text as goes into `room`, with an ellipsis where some was left out."""
    whole = short(text, 300)
    if breadth(whole, points) <= room:
        return whole
    left, kept = room - points, ""
    for char in whole:
        left -= points * _em(char)
        if left < 0:
            break
        kept += char
    return kept.rstrip("\u200d ") + "…"


def _em(char: str) -> float:
    if char.isascii():
        if char in NARROW:
            return 0.38
        return 0.95 if char in WIDE else 0.84 if char in "<>=+~^#&_" else 0.72 if char.isupper() else 0.61
    if char in WIDE:
        return 1.0
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Cf"):
        return 0.0
    return 1.25 if ord(char) >= 0x1F000 else 1.0 if unicodedata.east_asian_width(char) in "WF" else 0.7
