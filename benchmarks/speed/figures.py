"""The plots of the parts, as SVG files drawn by Headstart's own canvas."""

from __future__ import annotations

from benchmarks.speed.tables import TITLES, figure
from headstart.reporting.canvas import Circle, Line, Mark, PlotSpec, Rect, Scale, Text, ticks
from headstart.reporting.formatting import fit_text
from headstart.reporting.svg import standalone_svg

WIDTH = 760.0
LABELS, END = 300.0, 690.0


def of(document: dict) -> list[tuple[str, str, str]]:
    """(file, title, SVG) of a part: bars of what was found against the goals, and each curve."""
    drawings = [_bars(document), *(_curve(document["part"], curve) for curve in document.get("curves", []))]
    return [(f"{d.name}.svg", d.title, standalone_svg(d)) for d in drawings if d is not None]


def _bars(document: dict) -> PlotSpec | None:
    """A bar a row with the goal as a line across it: of ratios, else of seconds, else of shares."""
    known = [r for r in document["rows"] if r.get("found") is not None and r["figure"] and not r.get("missing")]
    kind = next((k for k in ("ratio", "seconds", "share") if any(r["kind"] == k for r in known)), "")
    rows = [r for r in known if r["kind"] == kind]
    if not rows:
        return None
    goals = [g for r in rows for g in (r["least"], r["most"]) if g is not None]
    across = Scale(
        0.0,
        max(*goals, *(r["range"][1] for r in rows if kind != "seconds"), *(r["found"] for r in rows), 0),
        LABELS,
        END,
    )
    marks: list[Mark] = []
    for i, row in enumerate(rows):
        y, goal = 30.0 * i + 4, row["least"] if row["least"] is not None else row["most"]
        good = goal is None or (row["found"] >= goal if row["least"] is not None else row["found"] < goal)
        marks.append(
            Text(LABELS - 10, y + 15, fit_text(row["what"], 12, LABELS - 12), 12, "ink", "end", tooltip=row["what"])
        )
        marks.append(
            Rect(LABELS, y + 3, max(1.0, across(row["found"]) - LABELS), 18, "accent" if good else "warm", opacity=0.6)
        )
        if kind != "seconds" and row["range"][0] < row["range"][1]:
            marks.append(Line(((across(row["range"][0]), y + 12), (across(row["range"][1]), y + 12)), "ink", 1.5))
        if goal is not None:
            marks.append(Line(((across(goal), y), (across(goal), y + 24)), "ink", 2, dashed=True))
        marks.append(Text(WIDTH, y + 16, _told(row), 12, "muted", "end"))
    tall = 30.0 * len(rows) + 8
    words = {"ratio": "times the other library", "share": "share", "seconds": "seconds, less is better"}[kind]
    marks += [
        Line(((LABELS, 0), (LABELS, tall)), "muted"),
        Text(LABELS, tall + 16, f"{words}{'; dashed: the goal' if goals else ''}", 12, "muted"),
    ]
    desc = "; ".join(f"{r['what']}: {_told(r)}" for r in rows)
    title = f"{TITLES.get(document['part'], document['part'])}"
    return PlotSpec(document["part"], title, desc, WIDTH, tall + 24, tuple(marks))


def _told(row: dict) -> str:
    if row["kind"] == "share":
        return f"{row['found']:.0%}"
    return f"{row['found']:.1f} ×" if row["kind"] == "ratio" else f"{figure(row['found'])} s"


def _curve(part: str, curve: dict) -> PlotSpec | None:
    """Points joined, both axes from 0: what is linear looks linear, and what is flat looks flat."""
    points = sorted((float(x), float(y)) for x, y in curve["points"])
    if len(points) < 2:
        return None
    across, up = Scale(0, points[-1][0], 70, WIDTH - 30), Scale(0, max(y for _, y in points) * 1.1 or 1.0, 230, 24)
    marks: list[Mark] = [Text(0, 12, curve["y"], 12, "muted")]
    for v in ticks(0, up.high, 4):
        marks.append(Line(((70, up(v)), (WIDTH - 30, up(v))), "line"))
        marks.append(Text(62, up(v) + 4, f"{v:,.4g}" if v < 1e4 else f"{v:,.0f}", 11, "muted", "end"))
    for v in ticks(0, across.high, 5):
        marks.append(Text(across(v), 248, f"{v:,.0f}", 11, "muted", "middle"))
    marks.append(Line(tuple((across(x), up(y)) for x, y in points), "accent", 2))
    marks += [Circle(across(x), up(y), 4, "accent", tooltip=f"{x:,.0f}: {figure(y)}") for x, y in points]
    marks.append(Text((70 + WIDTH - 30) / 2, 268, curve["x"], 12, "muted", "middle"))
    desc = "; ".join(f"{x:,.0f}: {figure(y)}" for x, y in points)
    return PlotSpec(f"{part}-{curve['name']}", curve["title"], desc, WIDTH, 276, tuple(marks))
