"""What a plot is made of: five marks in named tones, so that SVG and PNG show the same picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Every text tone has a contrast of 4.5 or more on paper and page in both themes; tests/test_report.py computes it.
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
    """A box; x, y is its upper left corner. alpha: of the fill. hint: what a pointer over it is told."""

    x: float
    y: float
    w: float
    h: float
    fill: str = ""
    stroke: str = ""
    alpha: float = 1.0
    radius: float = 0.0
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined in order. dashed: 4 on, 4 off."""

    points: tuple[tuple[float, float], ...]
    stroke: str
    width: float = 1.0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Circle:
    """A dot; x, y is its middle. hint: what a pointer over it is told."""

    x: float
    y: float
    r: float
    fill: str
    stroke: str = ""
    alpha: float = 1.0
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """One line of words; y is its baseline. anchor: "start", "middle", "end". hint: the whole of a shortened one."""

    x: float
    y: float
    words: str
    points: float = 12.0
    tone: str = "ink"
    anchor: str = "start"
    bold: bool = False
    hint: str = ""


Mark = Rect | Line | Circle | Text


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture in units of one CSS pixel.

    name: of its file.  title, desc: what it shows, for those who cannot see it
    """

    name: str
    title: str
    desc: str
    width: float
    height: float
    marks: tuple[Mark, ...]


# A picture on its own has its title over it and paper around it; on the page the heading beside it does that.
MARGIN, TOP = 20.0, 52.0


def heading(drawing: Drawing) -> Text:
    """The title of a picture that stands on its own, measured from the corner of its paper."""
    return Text(MARGIN, 30, drawing.title, 15, bold=True)


@dataclass(frozen=True, slots=True)
class Scale:
    """From values between low and high to places between start and end. log: equal ratios take equal room."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; the nearer end for one outside."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values from low to high, about so many."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    found = [i * step for i in range(first, first + 4 * about) if i * step <= high + step * 1e-9]
    return [round(v, 12) + 0.0 for v in found]


def powers(low: float, high: float) -> list[float]:
    """The powers of ten from low to high, at most five of them."""
    exponents = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    every = max(1, math.ceil(len(exponents) / 5))
    return [10.0**e for e in exponents[::every]]
