"""Plots of a result; each function draws one at a given width, or gives None where its data are missing."""

from __future__ import annotations

import math

from headstart.reporting.canvas import (
    Circle,
    Line,
    Mark,
    PlotSpec,
    Rect,
    Scale,
    Text,
    clamped_text,
    log_ticks,
    ticks,
    y_axis,
)
from headstart.reporting.formatting import (
    NBSP,
    MetricFormat,
    example_nouns,
    finite_number,
    fit_text,
    format_number,
    format_percent,
    metric_format,
    sanitize,
    text_width,
)

N_WEAKEST, N_STRONGEST, MAX_BARS = 15, 5, 30  # classes shown as bars: all up to 30, else the weakest and strongest
BASELINE_LABELS = {
    "probe": "The plain probe on frozen features",
    "knn": "Nearest neighbours on the same features",
    "scratch": "The same network, nothing borrowed",
    "majority": "Without looking",
}
CHANCE_LABELS = {"classes": "Always the commonest class", "number": "Always the mean"}


def headline_plot(result: dict, width: float) -> PlotSpec | None:
    """The headline metric with its interval, and baselines, on one axis."""
    metrics = result.get("metrics") or {}
    key, headline = next(iter(metrics.items()), ("", None))
    headline = headline or {}
    value, low, high = (finite_number(headline.get(k)) for k in ("value", "low", "high"))
    if value is None:
        return None
    metric = metric_format(key)
    rows = _baseline_rows(result, headline)
    values = [value, *(v for v in (low, high) if v is not None), *(v for _, _, v in rows)]
    bottom, top = (0.0, 1.0) if metric.is_share else (min(0.0, *values), max(values) * 1.08 or 1.0)
    across = Scale(bottom, top, 8, width - 8)
    floor = 46.0 * (1 + len(rows))
    marks: list[Mark] = [*_x_axis(across, metric, floor, above=6)]
    for i, (key, label, baseline) in enumerate(rows, 1):
        y = 46.0 * i
        marks += _labelled_rail(across, y, label, metric.format(baseline), bold=False)
        marks.append(Circle(across(baseline), y + 31, 5, "paper", "muted"))
        if key == "majority":  # a tick on every rail above, clear of the labels between them
            x = across(baseline)
            marks += [Line(((x, 46.0 * j + 25), (x, 46.0 * j + 37)), "muted", 1.5) for j in range(i)]
    value_text = f"{metric.format(value)} ({metric.interval(low, high)})" if low is not None else metric.format(value)
    marks += _labelled_rail(across, 0, "This model", value_text, bold=True)
    if low is not None and high is not None:
        marks += _error_bar(across(low), across(high), 31, "accent")
    marks.append(Circle(across(value), 31, 7, "accent"))
    baselines_text = "; ".join(f"{label}: {metric.format(baseline)}" for _, label, baseline in rows)
    description = f"This model: {value_text}. {baselines_text}."
    return PlotSpec("headline", f"{metric.label} against baselines", description, width, floor + 24, tuple(marks))


def _baseline_rows(result: dict, headline: dict) -> list[tuple[str, str, float]]:
    baselines = {**(result.get("baselines") or {})}
    if finite_number(baselines.get("majority")) is None:
        baselines["majority"] = headline.get("chance")
    chance = CHANCE_LABELS.get((result.get("task") or {}).get("objective", ""), BASELINE_LABELS["majority"])
    labels = {**BASELINE_LABELS, "majority": chance}
    rows = ((key, label, finite_number(baselines.get(key))) for key, label in labels.items())
    return [(key, label, value) for key, label, value in rows if value is not None]


def _labelled_rail(across: Scale, y: float, label: str, value_text: str, bold: bool) -> list[Mark]:
    fitted, tone = fit_text(label, 13, across.end - text_width(value_text, 13) - 16), "ink" if bold else "muted"
    return [
        Line(((across.start, y + 31), (across.end, y + 31)), "line", 2),
        Text(across.start - 8, y + 16, fitted, 13, tone, bold=bold),
        Text(across.end + 8, y + 16, value_text, 13, tone, "end", bold),
    ]


def _error_bar(low: float, high: float, y: float, colour: str, cap: float = 5) -> list[Mark]:
    return [
        Line(((low, y), (high, y)), colour, 3),
        Line(((low, y - cap), (low, y + cap)), colour, 2),
        Line(((high, y - cap), (high, y + cap)), colour, 2),
    ]


def _x_axis(scale: Scale, metric: MetricFormat, floor: float, above: float = 0) -> list[Mark]:
    """Ticks under a horizontal axis, the outer labels kept inside the plot."""
    marks: list[Mark] = []
    values = [0, 0.25, 0.5, 0.75, 1.0] if metric.is_share else ticks(scale.low, scale.high, 4)
    for value in values:
        label = _percent_tick(value) if metric.is_share else _format_tick(value)
        x = scale(value)
        marks.append(Line(((x, floor - above), (x, floor)), "line"))
        marks.append(clamped_text(label, x, floor + 15, 11, (scale.start - 8, scale.end + 8)))
    return marks


def _format_tick(value: float) -> str:
    if 1e-6 < abs(value) < 1e-4:
        return f"{value:.7f}".rstrip("0").replace("-", "−")
    return f"{value:.4g}".replace("-", "−") if abs(value) < 1e4 else format_number(value)


def _percent_tick(share: float) -> str:
    return f"{share:.0%}".replace("%", NBSP + "%")


def rank_labels(details: dict) -> tuple[list[dict], str]:
    """Classes (or tags) with test examples by rising recall (or F1), and the key of that metric."""
    rows = details.get("per_class") or details.get("per_tag") or []
    key = "recall" if details.get("per_class") else "f1"
    tested = [r for r in rows if finite_number(r.get(key)) is not None and r.get("n", 1)]
    return sorted(tested, key=lambda r: r[key]), key


def per_class_plot(result: dict, width: float) -> PlotSpec | None:
    """Recall by class (or F1 by tag) as bars with intervals, weakest first; only both ends where there are many."""
    rows, key = rank_labels(result.get("details") or {})
    if not rows:
        return None
    many = len(rows) > MAX_BARS
    shown = [*rows[:N_WEAKEST], None, *rows[-N_STRONGEST:]] if many else [*rows]
    title = "Share of each class it found (recall)" if key == "recall" else "F1 of each tag"
    narrow = width < 500
    start, end = (width * 0.34, width - 62) if narrow else (width * 0.32, width - 128)
    across = Scale(0, 1, start, end)
    marks: list[Mark] = []
    y = 4.0
    for row in shown:
        if row is None:
            omitted = f"{len(rows) - N_WEAKEST - N_STRONGEST} more in the table below"
            marks.append(Text(start, y + 15, omitted, 12, "muted"))
        else:
            marks += _class_bar(row, key, across, y, width, narrow)
        y += 25
    marks += [Line(((start, 0), (start, y)), "muted"), *_share_ticks(across, y)]
    named = rows[:5] if many else rows
    weakest = ", ".join(f"{sanitize(r['name'])} {format_percent(r[key])}" for r in named)
    description = f"Weakest first: {weakest}{' and so on' if many else ''}."
    return PlotSpec("classes", title, description, width, y + 22, tuple(marks))


def _class_bar(row: dict, key: str, across: Scale, y: float, width: float, narrow: bool) -> list[Mark]:
    value, low, high = row[key], finite_number(row.get("low")), finite_number(row.get("high"))
    name = sanitize(row.get("name", ""))
    label = fit_text(name, 12, across.start - 12)
    value_only = narrow or key != "recall" or "n" not in row
    value_text = format_percent(value) if value_only else f"{format_percent(value)} of {row['n']:,}"
    marks: list[Mark] = [
        Text(across.start - 8, y + 15, label, 12, "ink", "end", tooltip=name),
        Rect(across.start, y + 3, max(1.0, across(value) - across.start), 16, "accent", opacity=0.45),
        Text(width, y + 15, value_text, 12, "muted", "end"),
    ]
    if low is not None and high is not None and key == "recall":
        marks += _error_bar(across(low), across(high), y + 11, "ink", 3)[1:]
        marks.append(Line(((across(low), y + 11), (across(high), y + 11)), "ink", 1.5))
    return marks


def _share_ticks(across: Scale, y: float) -> list[Mark]:
    return [Text(across(v), y + 16, _percent_tick(v), 11, "muted", "middle") for v in (0.0, 0.5, 1.0)]


def reliability_diagram(result: dict, width: float) -> PlotSpec | None:
    """Accuracy by confidence bin; a calibrated model lies on the diagonal."""
    keys = ("low", "high", "n", "confidence", "accuracy")
    bins = (result.get("details") or {}).get("reliability") or []
    bins = [b for b in bins if all(finite_number(b.get(key)) is not None for key in keys)]
    if not bins:
        return None
    side = min(width - 76, 380)
    across, up = Scale(0, 1, 52, 52 + side), Scale(0, 1, 28 + side, 28)
    largest = max(1, *(b["n"] for b in bins))
    marks: list[Mark] = [Text(0, 14, "how often it was right", 12, "muted")]
    marks += y_axis((0.0, 0.5, 1.0), up, (across.start, across.end), _percent_tick)
    for b in bins:
        left, right, bar_height = across(b["low"]), across(b["high"]), 48 * b["n"] / largest
        tooltip = f"{b['n']:,} between {format_percent(b['low'])} and {format_percent(b['high'])} sure"
        box = left + 1, up.start + 76 - bar_height, max(1, right - left - 2), bar_height
        marks.append(Rect(*box, "muted", opacity=0.55, tooltip=tooltip))
    marks.append(Line(((across(0), up(0)), (across(1), up(1))), "muted", 1.5, dashed=True))
    points = [(across(b["confidence"]), up(b["accuracy"])) for b in bins]
    marks.append(Line(tuple(points), "accent", 2))
    for b, (x, y) in zip(bins, points, strict=True):
        tooltip = f"said {format_percent(b['confidence'])}, right {format_percent(b['accuracy'])} ({b['n']:,})"
        marks.append(Circle(x, y, 3 + 6 * (b["n"] / largest) ** 0.5, "accent", "paper", tooltip=tooltip))
    base = up.start + 77
    marks += [Line(((across.start, base), (across.end, base)), "line"), *_share_ticks(across, base)]
    label = f"how sure it was; bars: how many {example_nouns(result)[1]}"
    marks.append(Text((across.start + across.end) / 2, base + 36, label, 12, "muted", "middle"))
    shares = ((format_percent(b["confidence"]), format_percent(b["accuracy"])) for b in bins)
    description = ", ".join(f"{confidence} sure: right {accuracy}" for confidence, accuracy in shares)
    title = "Stated confidence against how often it was right"
    return PlotSpec("reliability", title, f"{description}.", across.end + 24, base + 46, tuple(marks))


def scatter_plot(result: dict, width: float) -> PlotSpec | None:
    """Predictions against true values; a perfect model lies on the diagonal."""
    details = result.get("details") or {}
    pairs = zip(details.get("truth") or [], details.get("predicted") or [], strict=False)
    points = [(t, p) for t, p in pairs if finite_number(t) is not None and finite_number(p) is not None]
    if not points:
        return None
    values = [v for point in points for v in point]
    padding = (max(values) - min(values)) * 0.04 or 1.0
    low, high = min(values) - padding, max(values) + padding
    left = 16 + max(text_width(_format_tick(v), 11) for v in ticks(low, high))
    side = min(width - left - 8, 420)
    across, up = Scale(low, high, left, left + side), Scale(low, high, 26 + side, 26)
    marks: list[Mark] = [Text(0, 14, "predicted", 12, "muted")]
    marks += y_axis(ticks(low, high), up, (left, left + side), _format_tick)
    for v in ticks(low, high, 4):
        marks.append(clamped_text(_format_tick(v), across(v), 26 + side + 17, 11, (left, left + side)))
    marks.append(Line(((left, up(low)), (left + side, up(high))), "muted", 1.5, dashed=True))
    marks += [Circle(across(t), up(p), 3, "accent", opacity=0.55) for t, p in points]
    marks.append(Text(left + side / 2, 26 + side + 36, "true", 12, "muted", "middle"))
    description = f"{len(points)} examples; the nearer to the diagonal, the better."
    return PlotSpec("scatter", "Predicted against true numbers", description, left + side + 8, side + 72, tuple(marks))


def regularization_plot(result: dict, width: float) -> PlotSpec | None:
    """Cross-validated loss by regularisation strength, with the chosen one."""
    notes = result.get("head") or {}
    path = [p for p in notes.get("path") or [] if isinstance(p, dict) and (finite_number(p.get("strength")) or 0) > 0]
    key = next((k for p in path for k in p if k != "strength" and finite_number(p[k]) is not None), "")
    points = sorted((p["strength"], p[key]) for p in path if key and finite_number(p.get(key)) is not None)
    if len(points) < 2:
        return None
    low, high = min(v for _, v in points), max(v for _, v in points)
    levels = ticks(low, high, 4)
    left = 18 + max(text_width(_format_tick(v), 11) for v in levels)
    across = Scale(points[0][0], points[-1][0], left, width - 16, log=True)
    up = Scale(low, high, 186, 44)
    marks: list[Mark] = [Text(0, 12, f"{metric_format(key).label} (lower is better)", 12, "muted")]
    marks += y_axis(levels, up, (left, width - 16), _format_tick)
    for v in log_ticks(points[0][0], points[-1][0]):
        marks.append(clamped_text(_format_tick(v), across(v), 208, 11, (0, width)))
    marks.append(Line(tuple((across(s), up(v)) for s, v in points), "accent", 2))
    marks += [Circle(across(s), up(v), 3, "paper", "accent") for s, v in points]
    chosen = finite_number(notes.get("strength"))
    description = f"Lowest {format_number(low)}, highest {format_number(high)}."
    if chosen is not None and chosen > 0:
        nearest = min(points, key=lambda point: abs(math.log(point[0] / chosen)))
        chosen_text = f"chosen: {_format_tick(chosen)}"
        label = clamped_text(chosen_text, across(nearest[0]), 34, 12, (left, width), bold=True)
        marks += [label, Circle(across(nearest[0]), up(nearest[1]), 6, "accent")]
        description += f" {chosen_text}."
    marks.append(Text((left + width - 16) / 2, 228, "regularisation setting (log scale)", 12, "muted", "middle"))
    return PlotSpec("strength", "How strongly the head was held back", description, width, 238, tuple(marks))
