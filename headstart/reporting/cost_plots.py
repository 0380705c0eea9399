"""Report section of a comparison: scores against costs, as scatter plots with labelled points."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from headstart.evaluation.comparison_table import is_probe
from headstart.reporting.canvas import Circle, Line, Mark, PlotSpec, Scale, Text, log_ticks, ticks, y_axis
from headstart.reporting.formatting import MetricFormat, escape, metric_format, text_width
from headstart.reporting.html import responsive_plot, section

PLOT_HEIGHT, LEFT_MARGIN, BOTTOM_MARGIN = 280.0, 56.0, 36.0  # of a cost plot, in pixels, with room for tick labels
COST_LEAD = "Each point is a method: higher scores more, further left costs less. Lines: 95 % interval over the seeds."
COST_AXES = (
    (lambda r: max(1, r["params"]["trained"]), "Trained parameters", "parameters"),
    (lambda r: max(1e-2, r["seconds"]["fit"]), "Seconds to fit", "seconds"),
)


def cost_plots_section(rows: list[dict]) -> str:
    """Scores against trained parameters and against seconds to fit. rows: of compare.json, those that ran"""
    drawn = (responsive_plot(partial(_cost_plot, rows, *axis)) for axis in COST_AXES)
    return section("costs", "What the cost buys", escape(COST_LEAD), *drawn)


def _cost_plot(rows: list[dict], cost: Callable[[dict], float], label: str, key: str, width: float) -> PlotSpec:
    """Scores with their intervals over seeds against a cost on a log scale."""
    metric = metric_format(rows[0]["metric"])
    intervals = [(r["mean"], r["mean"]) if r["low"] is None else (r["low"], r["high"]) for r in rows]
    low, high = min(s[0] for s in intervals), max(s[1] for s in intervals)
    padding = 0.1 * (high - low) or 0.05
    bottom, top = low - padding, high + padding
    if metric.is_share:
        bottom, top = max(0.0, bottom), min(1.0, top)
    costs = [cost(r) for r in rows]
    across = Scale(min(costs) / 2, max(costs) * 2, LEFT_MARGIN, width - 8, log=True)
    up = Scale(bottom, top, PLOT_HEIGHT - BOTTOM_MARGIN, 30)
    marks, dots = _cost_axes(across, up, metric, label, width), []
    for r, (a, b), c in zip(rows, intervals, costs, strict=True):
        colour, x, y = "warm" if is_probe(r["method"]) else "accent", across(c), up(r["mean"])
        if b > a:
            marks.append(Line(((x, up(a)), (x, up(b))), colour, 2))
        marks.append(Circle(x, y, 6, colour, "paper", tooltip=f"{r['method']}: {metric.format(r['mean'])}, {c:,.4g}"))
        dots.append((r["method"], x, y, up(a), up(b)))
    marks += _place_labels(dots, width)
    points = zip(rows, costs, strict=True)
    description = "; ".join(f"{r['method']} {metric.format(r['mean'])} at {c:,.4g}" for r, c in points)
    title = f"{metric.label} against {label.lower()}"
    return PlotSpec(f"cost-{key}", title, description, width, PLOT_HEIGHT, tuple(marks))


def _place_labels(dots: list[tuple[str, float, float, float, float]], width: float) -> list[Mark]:
    """Labels beside their dots, clear of dots, error bars and one another; one that had to move gets a leader line.

    dots: name, x, y, and y of the interval's lower and upper end
    """
    taken = [(x - 7, y - 7, x + 7, y + 7) for _, x, y, _, _ in dots]
    taken += [(x - 2, high, x + 2, low) for _, x, _, low, high in dots]
    marks: list[Mark] = []
    for name, x, y, _, _ in sorted(dots, key=lambda dot: dot[2]):
        label_width = text_width(name, 12)
        lefts = [x + dx for dx in (11, -11 - label_width, 30, -30 - label_width)]
        lefts = [left for left in lefts if left >= LEFT_MARGIN and left + label_width <= width]
        middles = [y + dy for dy in sorted(range(-120, 121, 7), key=abs)]
        middles = [middle for middle in middles if 12 <= middle <= PLOT_HEIGHT - BOTTOM_MARGIN - 8]
        spots = [(left, middle) for middle in middles for left in lefts]
        boxes = [(left, middle - 7, left + label_width, middle + 7) for left, middle in spots]
        free = [spot for spot, box in zip(spots, boxes, strict=True) if not any(_overlap(box, b) for b in taken)]
        left, middle = (free or spots or [(x, y)])[0]
        if abs(middle - y) > 8 or not x - 12 - label_width <= left <= x + 12:
            marks.append(Line(((x, y), (left if left > x else left + label_width, middle)), "muted", 1))
        marks.append(Text(left, middle + 4, name, 12))
        taken.append((left, middle - 7, left + label_width, middle + 7))
    return marks


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether two boxes (left, top, right, bottom) overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _cost_axes(across: Scale, up: Scale, metric: MetricFormat, cost_label: str, width: float) -> list[Mark]:
    marks: list[Mark] = [Text(0, 12, metric.label, 12, "muted")]
    marks += y_axis(ticks(up.low, up.high, 4), up, (LEFT_MARGIN, width - 8), metric.format)
    floor = PLOT_HEIGHT - BOTTOM_MARGIN
    for value in log_ticks(across.low, across.high):
        label = f"{value:,.0f}" if value >= 1 else f"{value:g}"
        marks.append(Line(((across(value), floor), (across(value), floor + 5)), "muted"))
        marks.append(Text(across(value), PLOT_HEIGHT - 18, label, 11, "muted", "middle"))
    centre = (LEFT_MARGIN + width) / 2
    return [*marks, Text(centre, PLOT_HEIGHT - 3, f"{cost_label} (log scale)", 12, "muted", "middle")]
