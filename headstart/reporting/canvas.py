"""Plot specification: marks in theme colours, scales and axis ticks, drawn alike as SVG and as PNG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from headstart.reporting.formatting import text_width

# Every text colour has a contrast of 4.5 or more on paper and page in both themes, as a test computes.
THEMES = {
    "light": {
        "page": "#f7f6f2",
        "paper": "#ffffff",
        "ink": "#1b1f24",
        "muted": "#59626d",
        "line": "#dcdad3",
        "accent": "#1d5fb8",
        "warm": "#a84a08",
        "frost": "#cfe2f6",
        "good": "#1a7344",
    },
    "dark": {
        "page": "#101317",
        "paper": "#181c22",
        "ink": "#e8ebef",
        "muted": "#a2abb6",
        "line": "#343b45",
        "accent": "#7db2ff",
        "warm": "#f5a35c",
        "frost": "#27435f",
        "good": "#62cf98",
    },
}


@dataclass(frozen=True, slots=True)
class Rect:
    """A box; x, y is its upper left corner. opacity: of the fill"""

    x: float
    y: float
    width: float
    height: float
    fill: str = ""
    stroke: str = ""
    opacity: float = 1.0
    radius: float = 0.0
    tooltip: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline. dashed: 4 on, 4 off"""

    points: tuple[tuple[float, float], ...]
    stroke: str
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Circle:
    """A dot; x, y is its centre."""

    x: float
    y: float
    radius: float
    fill: str
    stroke: str = ""
    opacity: float = 1.0
    tooltip: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; y is its baseline. anchor: "start", "middle", "end". tooltip: the full text if truncated"""

    x: float
    y: float
    text: str
    font_size: float = 12.0
    fill: str = "ink"
    anchor: str = "start"
    bold: bool = False
    tooltip: str = ""


Mark = Rect | Line | Circle | Text


@dataclass(frozen=True, slots=True)
class PlotSpec:
    """A plot in CSS pixels.

    name: of its file.  title, description: what it shows, for screen readers
    """

    name: str
    title: str
    description: str
    width: float
    height: float
    marks: tuple[Mark, ...]


# A plot in a file of its own has a title and a margin; on a page the heading beside it does that.
MARGIN, TITLE_HEIGHT = 20.0, 52.0


def title_mark(drawing: PlotSpec) -> Text:
    """The title of a plot in a file of its own, in coordinates of the whole file."""
    return Text(MARGIN, 30, drawing.title, 15, bold=True)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from low to high to pixels from start to end. log: logarithmic"""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value, clamped to the ends."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """About so many round values from low to high."""
    rough = (high - low) / about
    if not rough > 1e-300:  # losses of 0 and 5e-324 were seen: no step between them has digits
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    values = (i * step for i in range(first, first + 4 * about) if i * step <= high + step * 1e-9)
    return [round(v, 12) + 0.0 for v in values]


def log_ticks(low: float, high: float) -> list[float]:
    """The powers of ten from low to high, at most five of them."""
    exponents = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    every = max(1, math.ceil(len(exponents) / 5))
    return [10.0**e for e in exponents[::every]]


def y_axis(
    values: Iterable[float], up: Scale, ends: tuple[float, float], label: Callable[[float], str], gap: float = 8
) -> list[Mark]:
    """Grid lines between the left and right ends, with tick labels `gap` pixels to the left."""
    left, right = ends
    marks: list[Mark] = []
    for value in values:
        marks.append(Line(((left, up(value)), (right, up(value))), "line"))
        marks.append(Text(left - gap, up(value) + 4, label(value), 11, "muted", "end"))
    return marks


def clamped_text(text: str, x: float, y: float, size: float, ends: tuple[float, float], bold: bool = False) -> Text:
    """Text centred at x, moved where it would run over the ends; bold in ink, else muted."""
    half = text_width(text, size) / 2
    x = min(max(x, ends[0] + half), ends[1] - half)
    return Text(x, y, text, size, "ink" if bold else "muted", "middle", bold)
