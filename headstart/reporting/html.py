"""HTML building blocks of the report pages: sections, lists, tables, plots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from headstart.reporting.canvas import PlotSpec
from headstart.reporting.formatting import escape
from headstart.reporting.svg import inline_svg

DESKTOP_WIDTH, PHONE_WIDTH = 640.0, 326.0  # of plots, in CSS pixels
MAX_PHONE_PLOT = 440.0  # pixels a plot for phones may grow to: its text gets no larger than that of the page


def section(key: str, title: str, lead: str, *body: str) -> str:
    """A section with its title and lead at the side and its body beside them; "" without a body."""
    inside = "".join(body)
    if not inside:
        return ""
    head = f'<h2 id="{key}-h">{escape(title)}</h2>{paragraph(lead) if lead else ""}'
    label = f'aria-labelledby="{key}-h"'
    return f'<section id="{key}" {label}><div class="lead">{head}</div><div class="body">{inside}</div></section>\n'


def paragraph(html: str) -> str:
    """HTML as a paragraph."""
    return f"<p>{html}</p>"


def bullet_list(items: Iterable[str], kind: str = "") -> str:
    """HTML of each item as a list; "" without items."""
    inside = "".join(f"<li>{item}</li>" for item in items)
    mark = f' class="{kind}"' if kind else ""
    return f"<ul{mark}>{inside}</ul>" if inside else ""


def collapsible(summary: str, *body: str) -> str:
    """HTML in a <details> element; "" without a body."""
    inside = f'<div class="inside">{"".join(body)}</div>' if any(body) else ""
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>" if inside else ""


def table(label: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of HTML cells under plain-text heads, in a scrollable box; the first cell of a row is its header."""
    top = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>' for first, *rest in rows
    )
    inside = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">{inside}</div>'


def definition_list(pairs: Iterable[tuple[str, str]], kind: str = "facts") -> str:
    """Plain-text terms with HTML values; those without a value are left out."""
    inside = "".join(f"<div><dt>{escape(term)}</dt><dd>{value}</dd></div>" for term, value in pairs if value)
    return f'<dl class="{kind}">{inside}</dl>' if inside else ""


def responsive_plot(draw: Callable[[float], PlotSpec | None]) -> str:
    """A plot drawn at desktop and at phone width, of which the style sheet shows one; "" without a plot."""
    wide, slim = draw(DESKTOP_WIDTH), draw(PHONE_WIDTH)
    if wide is None or slim is None:
        return ""
    desktop, phone = inline_svg(wide, f"{wide.name}-w", wide.width), inline_svg(slim, f"{slim.name}-s", MAX_PHONE_PLOT)
    return f'<figure><div class="wide">{desktop}</div><div class="slim">{phone}</div></figure>'


def scrollable_plot(drawing: PlotSpec | None, min_width: float) -> str:
    """A plot in a scrollable box, never narrower than `min_width` pixels."""
    if drawing is None:
        return ""
    box = f'class="scroll" role="region" tabindex="0" aria-label="{escape(drawing.title)}"'
    inside = inline_svg(drawing, drawing.name, drawing.width)
    return f'<figure {box}><div style="min-width:{min_width:.0f}px">{inside}</div></figure>'


def command_block(command: str, label: str = "Command") -> str:
    """A command or code with a button that copies it."""
    button = '<button type="button" class="copy" hidden>Copy</button>'
    return f'<div class="command">{button}<pre tabindex="0" aria-label="{escape(label)}">{escape(command)}</pre></div>'


def verdict_heading(verdict: str, end: str) -> str:
    """A verdict as <h1>: its claim large, then its uncertainty in brackets, which close with `end`, and the advice."""
    claim, _, rest = verdict.partition(" (")
    doubt, closed, advice = rest.partition(end)
    if not closed:
        return f"<h1>{escape(verdict)}</h1>"
    small = f'<span class="doubt">({escape(doubt)}).</span> '
    return f'<h1>{escape(claim)} {small}<span class="advice">{escape(advice[:1].upper() + advice[1:])}</span></h1>'
