"""A drawing as SVG text: inside the page, coloured by its style sheet, or as a file of its own."""

from __future__ import annotations

from headstart.reporting.canvas import MARGIN, THEMES, TOP, Circle, Drawing, Line, Mark, Rect, Text, heading
from headstart.reporting.formatting import esc

LIGHT = THEMES["light"]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def inline(drawing: Drawing, key: str, most: float) -> str:
    """An <svg> whose tones are classes, so that they follow the reader's light or dark.

    key: unique on the page.  most: pixels it may grow to
    """
    head = f'<svg viewBox="0 0 {_n(drawing.width)} {_n(drawing.height)}" role="img" aria-labelledby="{key}-t {key}-d"'
    size = f'style="max-width:{_n(most)}px"'
    words = f'<title id="{key}-t">{esc(drawing.title)}</title><desc id="{key}-d">{esc(drawing.desc)}</desc>'
    return f"{head} {size}>{words}{''.join(_mark(mark, _classes) for mark in drawing.marks)}</svg>"


def standalone(drawing: Drawing) -> str:
    """A whole SVG file on white with its title, in plain attributes that every program understands."""
    w, h = _n(drawing.width + 2 * MARGIN), _n(drawing.height + TOP + MARGIN)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img"'
    words = f"<title>{esc(drawing.title)}</title><desc>{esc(drawing.desc)}</desc>"
    paper = f'<rect width="{w}" height="{h}" fill="{LIGHT["paper"]}"/>'
    body = "".join(_mark(mark, _colours) for mark in drawing.marks)
    inside = f'{_mark(heading(drawing), _colours)}<g transform="translate({_n(MARGIN)} {_n(TOP)})">{body}</g>'
    return f'{head} font-family="{FONT}">{words}{paper}{inside}</svg>\n'


def _mark(mark: Mark, paint) -> str:
    """One element. paint: (fill tone, stroke tone) -> attributes"""
    if isinstance(mark, Rect):
        where = f'x="{_n(mark.x)}" y="{_n(mark.y)}" width="{_n(mark.w)}" height="{_n(mark.h)}"'
        rounded = f' rx="{_n(mark.radius)}"' if mark.radius else ""
        return _closed("rect", where + rounded + paint(mark.fill, mark.stroke) + _alpha(mark.alpha), mark.hint)
    if isinstance(mark, Circle):
        where = f'cx="{_n(mark.x)}" cy="{_n(mark.y)}" r="{_n(mark.r)}"'
        width = ' stroke-width="2"' if mark.stroke else ""
        return _closed("circle", where + width + paint(mark.fill, mark.stroke) + _alpha(mark.alpha), mark.hint)
    if isinstance(mark, Line):
        points = " ".join(f"{_n(x)},{_n(y)}" for x, y in mark.points)
        look = f' stroke-width="{_n(mark.width)}" stroke-linecap="round" stroke-linejoin="round"'
        dash = ' stroke-dasharray="4 4"' if mark.dashed else ""
        return f'<polyline points="{points}"{look}{dash}{paint("", mark.stroke)}/>'
    return _text(mark, paint)


def _text(mark: Text, paint) -> str:
    where = f'x="{_n(mark.x)}" y="{_n(mark.y)}" font-size="{_n(mark.points)}"'
    anchor = f' text-anchor="{mark.anchor}"' if mark.anchor != "start" else ""
    weight = ' font-weight="600"' if mark.bold else ""
    hint = f"<title>{esc(mark.hint)}</title>" if mark.hint and mark.hint != mark.words else ""
    return f"<text {where}{anchor}{weight}{paint(mark.tone, '')}>{hint}{esc(mark.words)}</text>"


def _closed(tag: str, attributes: str, hint: str) -> str:
    return f"<{tag} {attributes}><title>{esc(hint)}</title></{tag}>" if hint else f"<{tag} {attributes}/>"


def _classes(fill: str, stroke: str) -> str:
    return f' class="f-{fill or "none"}{" s-" + stroke if stroke else ""}"'


def _colours(fill: str, stroke: str) -> str:
    return f' fill="{LIGHT.get(fill, "none")}"' + (f' stroke="{LIGHT[stroke]}"' if stroke else "")


def _alpha(alpha: float) -> str:
    return f' fill-opacity="{_n(alpha)}"' if alpha < 1 else ""


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
