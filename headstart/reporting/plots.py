"""What the figures of a result look like: each function draws one plot at a width, or gives None where data lack."""

from __future__ import annotations

import math

from headstart.reporting.canvas import Circle, Drawing, Line, Mark, Rect, Scale, Text, powers, ticks
from headstart.reporting.formatting import Measure, breadth, clean, fit, measure_of, nouns, number, percent, plain

WORST, BEST, ALL = 15, 5, 30  # classes shown as bars: all of them up to 30, else the ends
BASELINES = {
    "probe": "The plain probe on frozen features",
    "knn": "Nearest neighbours on the same features",
    "scratch": "The same network, nothing borrowed",
    "majority": "Without looking",
}
WITHOUT = {"classes": "Always the commonest class", "number": "Always the mean"}


def headline(result: dict, width: float) -> Drawing | None:
    """The first metric with its interval, and what to hold it against, on one axis."""
    metrics = result.get("metrics") or {}
    key, head = next(iter(metrics.items()), ("", None))
    head = head or {}
    value, low, high = (number(head.get(k)) for k in ("value", "low", "high"))
    if value is None:
        return None
    measure = measure_of(key)
    rows = _held_against(result, head)
    known = [value, *(v for v in (low, high) if v is not None), *(v for _, _, v in rows)]
    bottom, top = (0.0, 1.0) if measure.percent else (min(0.0, *known), max(known) * 1.08 or 1.0)
    across = Scale(bottom, top, 8, width - 8)
    floor = 46.0 * (1 + len(rows))
    marks: list[Mark] = [*_across(across, measure, floor, above=6)]
    for i, (key, label, at) in enumerate(rows, 1):
        y = 46.0 * i
        marks += _track(across, y, label, measure.figure(at), bold=False)
        marks.append(Circle(across(at), y + 31, 5, "paper", "muted"))
        if key == "majority":  # a tick on every rail above, clear of the words between them
            marks += [Line(((across(at), 46.0 * j + 25), (across(at), 46.0 * j + 37)), "muted", 1.5) for j in range(i)]
    beside = f"{measure.figure(value)} ({measure.span(low, high)})" if low is not None else measure.figure(value)
    marks += _track(across, 0, "This model", beside, bold=True)
    if low is not None and high is not None:
        marks += _whisker(across(low), across(high), 31, "accent")
    marks.append(Circle(across(value), 31, 7, "accent"))
    told = "; ".join(f"{label}: {measure.figure(at)}" for _, label, at in rows)
    desc = f"This model: {beside}. {told}."
    return Drawing("headline", f"{measure.label} against baselines", desc, width, floor + 24, tuple(marks))


def _held_against(result: dict, head: dict) -> list[tuple[str, str, float]]:
    baselines = {**(result.get("baselines") or {})}
    if number(baselines.get("majority")) is None:
        baselines["majority"] = head.get("chance")
    told = {
        **BASELINES,
        "majority": WITHOUT.get((result.get("task") or {}).get("objective", ""), BASELINES["majority"]),
    }
    rows = ((key, label, number(baselines.get(key))) for key, label in told.items())
    return [(key, label, value) for key, label, value in rows if value is not None]


def _track(across: Scale, y: float, label: str, beside: str, bold: bool) -> list[Mark]:
    room = across.end - breadth(beside, 13) - 16
    words = Text(across.start - 8, y + 16, fit(label, 13, room), 13, "ink" if bold else "muted", bold=bold)
    rail = Line(((across.start, y + 31), (across.end, y + 31)), "line", 2)
    return [rail, words, Text(across.end + 8, y + 16, beside, 13, "ink" if bold else "muted", "end", bold)]


def _whisker(a: float, b: float, y: float, tone: str, reach: float = 5) -> list[Mark]:
    return [
        Line(((a, y), (b, y)), tone, 3),
        Line(((a, y - reach), (a, y + reach)), tone, 2),
        Line(((b, y - reach), (b, y + reach)), tone, 2),
    ]


def _across(scale: Scale, measure: Measure, floor: float, above: float = 0) -> list[Mark]:
    """Values under a horizontal axis, the outer ones kept inside the picture."""
    marks: list[Mark] = []
    values = [0, 0.25, 0.5, 0.75, 1.0] if measure.percent else ticks(scale.low, scale.high, 4)
    for value in values:
        words = f"{value:.0%}".replace("%", "\u00a0%") if measure.percent else _tick(value)
        half = breadth(words, 11) / 2
        x = scale(value)
        low, high = scale.start - 8 + half, scale.end + 8 - half
        marks.append(Line(((x, floor - above), (x, floor)), "line"))
        marks.append(Text(min(max(x, low), high), floor + 15, words, 11, "muted", "middle"))
    return marks


def _tick(value: float) -> str:
    if 1e-6 < abs(value) < 1e-4:
        return f"{value:.7f}".rstrip("0").replace("-", "−")
    return f"{value:.4g}".replace("-", "−") if abs(value) < 1e4 else plain(value)


def ranked(details: dict) -> tuple[list[dict], str]:
    """The labels with test examples, weakest first, and by which figure: recall of classes, F1 of tags."""
    rows = details.get("per_class") or details.get("per_tag") or []
    key = "recall" if details.get("per_class") else "f1"
    seen = [r for r in rows if number(r.get(key)) is not None and r.get("n", 1)]
    return sorted(seen, key=lambda r: r[key]), key


def per_class(result: dict, width: float) -> Drawing | None:
    """A bar a class, weakest first, with the interval where there is one; the two ends where there are many."""
    rows, key = ranked(result.get("details") or {})
    if not rows:
        return None
    many = len(rows) > ALL
    shown = [*rows[:WORST], None, *rows[-BEST:]] if many else [*rows]
    what = "Share of each class it found (recall)" if key == "recall" else "F1 of each tag"
    narrow = width < 500
    start, end = (width * 0.34, width - 62) if narrow else (width * 0.32, width - 128)
    across = Scale(0, 1, start, end)
    marks: list[Mark] = []
    y = 4.0
    for row in shown:
        if row is None:
            words = f"{len(rows) - WORST - BEST} more in the table below"
            marks.append(Text(start, y + 15, words, 12, "muted"))
        else:
            marks += _bar(row, key, across, y, width, narrow)
        y += 25
    marks += [Line(((start, 0), (start, y)), "muted"), *_shares(across, y)]
    told = ", ".join(f"{clean(r['name'])} {percent(r[key])}" for r in (shown if not many else shown[:5]) if r)
    desc = f"Weakest first: {told}{' and so on' if many else ''}."
    return Drawing("classes", what, desc, width, y + 22, tuple(marks))


def _bar(row: dict, key: str, across: Scale, y: float, width: float, narrow: bool) -> list[Mark]:
    value, low, high = row[key], number(row.get("low")), number(row.get("high"))
    whole = clean(row.get("name", ""))
    label = fit(whole, 12, across.start - 12)
    bare = narrow or key != "recall" or "n" not in row
    told = percent(value) if bare else f"{percent(value)} of {row['n']:,}"
    marks: list[Mark] = [
        Text(across.start - 8, y + 15, label, 12, "ink", "end", hint=whole),
        Rect(across.start, y + 3, max(1.0, across(value) - across.start), 16, "accent", alpha=0.45),
        Text(width, y + 15, told, 12, "muted", "end"),
    ]
    if low is not None and high is not None and key == "recall":
        marks += _whisker(across(low), across(high), y + 11, "ink", 3)[1:]
        marks.append(Line(((across(low), y + 11), (across(high), y + 11)), "ink", 1.5))
    return marks


def _shares(across: Scale, y: float) -> list[Mark]:
    return [Text(across(v), y + 16, f"{v:.0%}".replace("%", "\u00a0%"), 11, "muted", "middle") for v in (0.0, 0.5, 1.0)]


def reliability(result: dict, width: float) -> Drawing | None:
    """How often predictions of each confidence were right; an honest model lies on the diagonal."""
    needed = ("low", "high", "n", "confidence", "accuracy")
    bins = (result.get("details") or {}).get("reliability") or []
    bins = [b for b in bins if all(number(b.get(key)) is not None for key in needed)]
    if not bins:
        return None
    side = min(width - 76, 380)
    across, up = Scale(0, 1, 52, 52 + side), Scale(0, 1, 28 + side, 28)
    most = max(1, *(b["n"] for b in bins))
    marks: list[Mark] = [*_frame(across, up)]
    for b in bins:
        tall = 48 * b["n"] / most
        left, right = across(b["low"]), across(b["high"])
        hint = f"{b['n']:,} between {percent(b['low'])} and {percent(b['high'])} sure"
        marks.append(
            Rect(left + 1, up.start + 76 - tall, max(1, right - left - 2), tall, "muted", alpha=0.55, hint=hint)
        )
    marks.append(Line(((across(0), up(0)), (across(1), up(1))), "muted", 1.5, dashed=True))
    spots = [(across(b["confidence"]), up(b["accuracy"])) for b in bins]
    marks.append(Line(tuple(spots), "accent", 2))
    for b, (x, y) in zip(bins, spots, strict=True):
        hint = f"said {percent(b['confidence'])}, right {percent(b['accuracy'])} ({b['n']:,})"
        marks.append(Circle(x, y, 3 + 6 * (b["n"] / most) ** 0.5, "accent", "paper", hint=hint))
    base = up.start + 77
    marks += [Line(((across.start, base), (across.end, base)), "line"), *_shares(across, base)]
    middle = (across.start + across.end) / 2
    marks.append(Text(middle, base + 36, f"how sure it was; bars: how many {nouns(result)[1]}", 12, "muted", "middle"))
    told = ", ".join(f"{percent(b['confidence'])} sure: right {percent(b['accuracy'])}" for b in bins)
    title = "Stated confidence against how often it was right"
    return Drawing("reliability", title, f"{told}.", across.end + 24, base + 46, tuple(marks))


def _frame(across: Scale, up: Scale) -> list[Mark]:
    """Grid and values of a square plot of shares, and what runs up."""
    marks: list[Mark] = [Text(0, 14, "how often it was right", 12, "muted")]
    for v in (0.0, 0.5, 1.0):
        marks.append(Line(((across.start, up(v)), (across.end, up(v))), "line"))
        marks.append(Text(across.start - 8, up(v) + 4, f"{v:.0%}".replace("%", "\u00a0%"), 11, "muted", "end"))
    return marks


def scatter(result: dict, width: float) -> Drawing | None:
    """Predicted against true numbers; a perfect model lies on the diagonal."""
    details = result.get("details") or {}
    pairs = zip(details.get("truth") or [], details.get("predicted") or [], strict=False)
    spots = [(t, p) for t, p in pairs if number(t) is not None and number(p) is not None]
    if not spots:
        return None
    values = [v for spot in spots for v in spot]
    margin = (max(values) - min(values)) * 0.04 or 1.0
    low, high = min(values) - margin, max(values) + margin
    left = 16 + max(breadth(_tick(v), 11) for v in ticks(low, high))
    side = min(width - left - 8, 420)
    across, up = Scale(low, high, left, left + side), Scale(low, high, 26 + side, 26)
    marks: list[Mark] = [Text(0, 14, "predicted", 12, "muted")]
    for v in ticks(low, high):
        marks.append(Line(((left, up(v)), (left + side, up(v))), "line"))
        marks.append(Text(left - 8, up(v) + 4, _tick(v), 11, "muted", "end"))
    for v in ticks(low, high, 4):
        half = breadth(_tick(v), 11) / 2
        x = min(max(across(v), left + half), left + side - half)
        marks.append(Text(x, 26 + side + 17, _tick(v), 11, "muted", "middle"))
    marks.append(Line(((left, up(low)), (left + side, up(high))), "muted", 1.5, dashed=True))
    marks += [Circle(across(t), up(p), 3, "accent", alpha=0.55) for t, p in spots]
    marks.append(Text(left + side / 2, 26 + side + 36, "true", 12, "muted", "middle"))
    desc = f"{len(spots)} examples; the nearer to the diagonal, the better."
    return Drawing("scatter", "Predicted against true numbers", desc, left + side + 8, side + 72, tuple(marks))


def strength(result: dict, width: float) -> Drawing | None:
    """Cross-validated loss along the settings of regularisation that were tried, and the one that was chosen."""
    head = result.get("head") or {}
    path = [p for p in head.get("path") or [] if isinstance(p, dict) and (number(p.get("strength")) or 0) > 0]
    key = next((k for p in path for k in p if k != "strength" and number(p[k]) is not None), "")
    spots = sorted((p["strength"], p[key]) for p in path if key and number(p.get(key)) is not None)
    if len(spots) < 2:
        return None
    low, high = min(v for _, v in spots), max(v for _, v in spots)
    levels = ticks(low, high, 4)
    left = 18 + max(breadth(_tick(v), 11) for v in levels)
    across = Scale(spots[0][0], spots[-1][0], left, width - 16, log=True)
    up = Scale(low, high, 186, 44)
    marks: list[Mark] = [Text(0, 12, f"{measure_of(key).label} (lower is better)", 12, "muted")]
    for v in levels:
        marks.append(Line(((left, up(v)), (width - 16, up(v))), "line"))
        marks.append(Text(left - 8, up(v) + 4, _tick(v), 11, "muted", "end"))
    for v in powers(spots[0][0], spots[-1][0]):
        half = breadth(_tick(v), 11) / 2
        marks.append(Text(min(max(across(v), half), width - half), 208, _tick(v), 11, "muted", "middle"))
    marks.append(Line(tuple((across(s), up(v)) for s, v in spots), "accent", 2))
    marks += [Circle(across(s), up(v), 3, "paper", "accent") for s, v in spots]
    chosen = number(head.get("strength"))
    desc = f"Lowest {plain(low)}, highest {plain(high)}."
    if chosen is not None and chosen > 0:
        at = min(spots, key=lambda spot: abs(math.log(spot[0] / chosen)))
        words = f"chosen: {_tick(chosen)}"
        half = breadth(words, 12) / 2
        x = min(max(across(at[0]), left + half), width - half)
        marks += [Text(x, 34, words, 12, "ink", "middle", True), Circle(across(at[0]), up(at[1]), 6, "accent")]
        desc += f" {words}."
    marks.append(Text((left + width - 16) / 2, 228, "regularisation setting (log scale)", 12, "muted", "middle"))
    return Drawing("strength", "How strongly the head was held back", desc, width, 238, tuple(marks))
