"""Plots as SVG: inline in a page, coloured by its style sheet, or as a file of its own."""

from __future__ import annotations

from headstart.reporting.canvas import MARGIN, THEMES, TITLE_HEIGHT, Circle, Line, PlotSpec, Rect, Text, title_mark
from headstart.reporting.formatting import escape

LIGHT_THEME = THEMES["light"]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def inline_svg(plot: PlotSpec, key: str, max_width: float) -> str:
    """An <svg> with colours as CSS classes, which follow the light or dark theme.

    key: unique on the page.  max_width: in pixels
    """
    head = f'<svg viewBox="0 0 {_fmt(plot.width)} {_fmt(plot.height)}" role="img" aria-labelledby="{key}-t {key}-d"'
    size = f'style="max-width:{_fmt(max_width)}px"'
    title = f'<title id="{key}-t">{escape(plot.title)}</title>'
    description = f'<desc id="{key}-d">{escape(plot.description)}</desc>'
    body = "".join(_element(mark, _class_attributes) for mark in plot.marks)
    return f"{head} {size}>{title}{description}{body}</svg>"


def standalone_svg(plot: PlotSpec) -> str:
    """An SVG file with title and white background, in presentation attributes that every program reads."""
    w, h = _fmt(plot.width + 2 * MARGIN), _fmt(plot.height + TITLE_HEIGHT + MARGIN)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img"'
    description = f"<title>{escape(plot.title)}</title><desc>{escape(plot.description)}</desc>"
    background = f'<rect width="{w}" height="{h}" fill="{LIGHT_THEME["paper"]}"/>'
    body = "".join(_element(mark, _colour_attributes) for mark in plot.marks)
    title = _element(title_mark(plot), _colour_attributes)
    group = f'<g transform="translate({_fmt(MARGIN)} {_fmt(TITLE_HEIGHT)})">{body}</g>'
    return f'{head} font-family="{FONT}">{description}{background}{title}{group}</svg>\n'


def _element(mark: Rect | Line | Circle | Text, paint) -> str:
    """The SVG element of a mark. paint: (fill, stroke) -> attributes"""
    if isinstance(mark, Rect):
        position = f'x="{_fmt(mark.x)}" y="{_fmt(mark.y)}" width="{_fmt(mark.width)}" height="{_fmt(mark.height)}"'
        return _shape("rect", position + (f' rx="{_fmt(mark.radius)}"' if mark.radius else ""), mark, paint)
    if isinstance(mark, Circle):
        position = f'cx="{_fmt(mark.x)}" cy="{_fmt(mark.y)}" r="{_fmt(mark.radius)}"'
        return _shape("circle", position + (' stroke-width="2"' if mark.stroke else ""), mark, paint)
    if isinstance(mark, Line):
        points = " ".join(f"{_fmt(x)},{_fmt(y)}" for x, y in mark.points)
        line_style = f' stroke-width="{_fmt(mark.width)}" stroke-linecap="round" stroke-linejoin="round"'
        dash = ' stroke-dasharray="4 4"' if mark.dashed else ""
        return f'<polyline points="{points}"{line_style}{dash}{paint("", mark.stroke)}/>'
    return _text(mark, paint)


def _text(mark: Text, paint) -> str:
    position = f'x="{_fmt(mark.x)}" y="{_fmt(mark.y)}" font-size="{_fmt(mark.font_size)}"'
    anchor = f' text-anchor="{mark.anchor}"' if mark.anchor != "start" else ""
    weight = ' font-weight="600"' if mark.bold else ""
    tooltip = f"<title>{escape(mark.tooltip)}</title>" if mark.tooltip and mark.tooltip != mark.text else ""
    return f"<text {position}{anchor}{weight}{paint(mark.fill, '')}>{tooltip}{escape(mark.text)}</text>"


def _shape(tag: str, geometry: str, mark: Rect | Circle, paint) -> str:
    opacity = f' fill-opacity="{_fmt(mark.opacity)}"' if mark.opacity < 1 else ""
    head = f"<{tag} {geometry}{paint(mark.fill, mark.stroke)}{opacity}"
    return f"{head}><title>{escape(mark.tooltip)}</title></{tag}>" if mark.tooltip else f"{head}/>"


def _class_attributes(fill: str, stroke: str) -> str:
    return f' class="f-{fill or "none"}{" s-" + stroke if stroke else ""}"'


def _colour_attributes(fill: str, stroke: str) -> str:
    return f' fill="{LIGHT_THEME.get(fill, "none")}"' + (f' stroke="{LIGHT_THEME[stroke]}"' if stroke else "")


def _fmt(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
