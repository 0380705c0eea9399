"""The pieces of HTML that every section of the page is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from headstart.reporting.canvas import Drawing
from headstart.reporting.formatting import esc
from headstart.reporting.svg import inline

WIDE, SLIM = 640.0, 326.0  # of plots, in CSS pixels: beside a margin of headings, and on a phone
LARGEST = 440.0  # pixels a plot for phones may grow to: its letters get no larger than those of the text


def section(key: str, title: str, lead: str, *body: str) -> str:
    """A titled part of the page: what it is about at the side, what there is to see beside it. "" without a body."""
    inside = "".join(body)
    if not inside:
        return ""
    head = f'<h2 id="{key}-h">{esc(title)}</h2>{paragraph(lead) if lead else ""}'
    label = f'aria-labelledby="{key}-h"'
    return f'<section id="{key}" {label}><div class="lead">{head}</div><div class="body">{inside}</div></section>\n'


def paragraph(html: str) -> str:
    """HTML as a paragraph."""
    return f"<p>{html}</p>"


def bullets(items: Iterable[str], kind: str = "") -> str:
    """HTML of each item as a list; "" without items."""
    inside = "".join(f"<li>{item}</li>" for item in items)
    mark = f' class="{kind}"' if kind else ""
    return f"<ul{mark}>{inside}</ul>" if inside else ""


def folded(summary: str, *body: str) -> str:
    """HTML that the reader opens at will; "" without a body."""
    inside = "".join(body)
    return f'<details><summary>{esc(summary)}</summary><div class="inside">{inside}</div></details>' if inside else ""


def table(label: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """HTML cells under plain heads; the first cell of a row names it. Scrolls in its own box."""
    top = "".join(f'<th scope="col">{esc(head)}</th>' for head in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>' for first, *rest in rows
    )
    inside = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{esc(label)}">{inside}</div>'


def facts(pairs: Iterable[tuple[str, str]], kind: str = "facts") -> str:
    """Plain terms with HTML values; those without a value are left out."""
    inside = "".join(f"<div><dt>{esc(term)}</dt><dd>{value}</dd></div>" for term, value in pairs if value)
    return f'<dl class="{kind}">{inside}</dl>' if inside else ""


def plot(wide: Drawing | None, slim: Drawing | None) -> str:
    """One picture drawn twice, for a screen and for a phone; the style sheet shows one of them."""
    if wide is None or slim is None:
        return ""
    big, little = inline(wide, f"{wide.name}-w", wide.width), inline(slim, f"{slim.name}-s", LARGEST)
    return f'<figure><div class="wide">{big}</div><div class="slim">{little}</div></figure>'


def scrolled(drawing: Drawing | None, least: float) -> str:
    """A picture that cannot be shrunk below `least` pixels: it scrolls in its own box there."""
    if drawing is None:
        return ""
    box = f'class="scroll" role="region" tabindex="0" aria-label="{esc(drawing.title)}"'
    inside = inline(drawing, drawing.name, drawing.width)
    return f'<figure {box}><div style="min-width:{least:.0f}px">{inside}</div></figure>'
