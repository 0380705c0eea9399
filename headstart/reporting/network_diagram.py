"""Diagram of the network with its cut, frozen and trained blocks; and the timeline of a run."""

from __future__ import annotations

import math

from headstart.reporting.canvas import Circle, Line, Mark, PlotSpec, Rect, Scale, Text
from headstart.reporting.formatting import (
    example_nouns,
    finite_number,
    fit_text,
    format_count,
    format_seconds,
    sanitize,
    text_width,
)

MAX_BARS, MAX_BARS_PHONE = 24, 12  # at desktop and at phone width; in a deeper network a bar stands for several blocks
STAGE_LABELS = {
    "read": "Read the data",
    "extract": "Run the borrowed network",
    "fit": "Train the head",
    "measure": "Judge it on the test part",
    "save": "Save the model",
    "other": "Everything else",
}


def network_plot(result: dict, width: float) -> PlotSpec | None:
    """Blocks from input to output, frozen ones with a snowflake; the cut; the head."""
    plan, backbone = result.get("plan") or {}, result.get("backbone") or {}
    if not plan and not backbone:
        return None
    blocks = backbone.get("blocks") or [{"name": "", "shape": []}] * int(finite_number(plan.get("blocks")) or 0)
    cut_setting = finite_number(plan.get("cut"))
    cut = len(blocks) if cut_setting is None else min(max(int(cut_setting), 0), len(blocks))
    group_size = max(1, math.ceil(len(blocks) / (MAX_BARS_PHONE if width < 500 else MAX_BARS)))
    below, above = _group_blocks(blocks[:cut], group_size), _group_blocks(blocks[cut:], group_size)
    left, right = 44.0, width - 124.0
    step = min(43.0, (right - left - (22 if below and above else 0)) / max(len(below) + len(above), 1))
    cut_x = left + step * len(below) + 9 if below else left - 6 if above else right
    pretrained, trained = _parameter_counts(result)
    labels = [
        Text(20, 20, "borrowed, frozen" if pretrained else "fixed", 13, "ink", bold=True),
        Text(20, 38, pretrained, 12, "muted"),
    ]
    label_width = max(text_width(t.text, t.font_size) * (1.08 if t.bold else 1) for t in labels)
    crowded = bool(below) and cut_x - 26 < label_width
    top = 46.0 if crowded else 0.0
    floor = top + 196.0
    marks: list[Mark] = [*_input_icon(result, floor)]
    if below:
        marks += [*_lock_icon(0, 8), *labels, Line(((left, floor + 8), (cut_x - 6, floor + 8)), "accent", 2)]
    heights = _bar_heights([*below, *above])
    for i, (first, last) in enumerate([*below, *above]):
        x = left + step * i + (22 if below and i >= len(below) else 0)
        marks += _block_bar(x, step - 3, floor, heights[i], _block_tooltip(first, last), frozen=i < len(below))
    head_x = left + step * (len(below) + len(above)) + 24 if blocks else right + 16
    marks += [
        *_head_icon(head_x, floor),
        *_cut_line(cut_x, top, floor, trained, f"cut: {cut} of {len(blocks)} blocks" if blocks else "", width),
    ]
    if not blocks:
        marks.append(Text(left + 4, floor - 38, "no network borrowed", 12, "muted"))
    for i, note in enumerate(_footnotes(result, group_size)):
        marks.append(Text(0, floor + 50 + 16 * i, note, 12, "muted"))
    title = "What was borrowed and what was trained"
    summary = f"{cut} of {len(blocks)} blocks are borrowed and frozen" if blocks else "no blocks were borrowed"
    description = f"The network as a stack: {summary}; {len(blocks) - cut} blocks and the head are trained here."
    return PlotSpec("stack", title, description, width, floor + (76 if group_size > 1 else 60), tuple(marks))


def _parameter_counts(result: dict) -> tuple[str, str]:
    """Pretrained and trained parameters, in words; "" where unknown or none."""
    params = result.get("params") or {}
    trained, total = finite_number(params.get("trained")), finite_number(params.get("total"))
    if trained is None:
        return "", ""
    pretrained = f"{format_count(total - trained)} numbers" if total is not None and total > trained else ""
    return pretrained, f"{format_count(trained)} numbers"


def _cut_line(cut_x: float, top: float, floor: float, trained: str, label: str, width: float) -> list[Mark]:
    """The cut between frozen and trained, with the label of the trained side."""
    anchor, label_x = ("end", cut_x) if cut_x > width / 2 else ("start", max(0.0, cut_x - 20))
    return [
        Line(((cut_x, top + 8), (cut_x, floor + 10)), "ink", 1.5, dashed=True),
        Text(cut_x + 8, top + 20, "trained here", 13, "ink", bold=True),
        Text(cut_x + 8, top + 38, fit_text(trained, 12, width - cut_x - 8), 12, "muted"),
        Text(label_x, floor + 28, label, 12, "ink", anchor),
    ]


def _footnotes(result: dict, group_size: int) -> list[str]:
    width = finite_number((result.get("backbone") or {}).get("width"))
    width_note = [f"{format_count(width)} numbers a {example_nouns(result)[0]} reach the head"] if width else []
    return [*width_note, *([f"each bar stands for {group_size} blocks"] if group_size > 1 else [])]


def _group_blocks(blocks: list[dict], group_size: int) -> list[tuple[dict, dict]]:
    """(first, last) block of each bar of `group_size` blocks."""
    return [(blocks[i], blocks[min(i + group_size, len(blocks)) - 1]) for i in range(0, len(blocks), group_size)]


def _bar_heights(groups: list[tuple[dict, dict]]) -> list[float]:
    """Heights by output size on a log scale; all alike where shapes are unknown."""
    sizes = [math.prod(last.get("shape") or [0]) for _, last in groups]
    if not sizes or min(sizes) <= 0 or min(sizes) == max(sizes):
        return [96.0] * len(sizes)
    scale = Scale(min(sizes), max(sizes), 52, 118, log=True)
    return [scale(s) for s in sizes]


def _block_tooltip(first: dict, last: dict) -> str:
    shape = " x ".join(str(v) for v in last.get("shape") or [])
    names = sanitize(first.get("name", ""))
    names += "" if first is last or not names else f" to {sanitize(last.get('name', ''))}"
    return f"{names}: passes on {shape} numbers" if shape else names


def _input_icon(result: dict, floor: float) -> list[Mark]:
    noun, _ = example_nouns(result)
    return [
        Rect(0, floor - 62, 30, 40, "paper", "muted", radius=3),
        *(Line(((6, floor - 52 + d), (24, floor - 52 + d)), "muted", 1.5) for d in (0, 7, 14, 21)),
        Text(0, floor - 8, noun, 12, "muted"),
    ]


def _block_bar(x: float, width: float, floor: float, height: float, tooltip: str, frozen: bool) -> list[Mark]:
    fill, stroke, opacity = ("frost", "accent", 1.0) if frozen else ("warm", "warm", 0.3)
    box = x, floor - height, max(width, 2), height
    bar = Rect(*box, fill, stroke, opacity, radius=min(3, width / 3), tooltip=tooltip)
    return [bar, *(_snowflake(x + width / 2, floor - height / 2, min(6.0, width / 2 - 2)) if frozen else [])]


def _snowflake(x: float, y: float, r: float) -> list[Mark]:
    if r < 2:
        return []
    legs = [(r * math.sin(a), r * math.cos(a)) for a in (0, math.pi / 3, -math.pi / 3)]
    return [Line(((x - dx, y - dy), (x + dx, y + dy)), "accent", 1.2) for dx, dy in legs]


def _head_icon(x: float, floor: float) -> list[Mark]:
    """The head as a box with its outputs fanning out."""
    marks: list[Mark] = [Rect(x, floor - 84, 42, 56, "warm", "warm", opacity=0.3, radius=6)]
    for dy in (-76, -56, -36):
        marks.append(Line(((x + 42, floor - 56), (x + 58, floor + dy)), "warm", 1.5))
        marks.append(Circle(x + 62, floor + dy, 4, "warm"))
    return [*marks, Text(x + 21, floor - 52, "head", 12, "ink", "middle", True)]


def _lock_icon(x: float, y: float) -> list[Mark]:
    arch = [(x + 6.5 - 4 * math.cos(a), y + 5 - 5 * math.sin(a)) for a in (i * math.pi / 8 for i in range(9))]
    return [Line(tuple(arch), "accent", 2), Rect(x, y + 5, 13, 9, "accent", radius=2)]


def timeline_plot(result: dict, width: float) -> PlotSpec | None:
    """The stages of the run as bars on one time axis."""
    seconds = {k: finite_number(v) for k, v in (result.get("seconds") or {}).items()}
    stages = [(k, v) for k, v in seconds.items() if k != "total" and v is not None and v >= 0]
    total = max(seconds.get("total") or 0.0, sum(v for _, v in stages))
    if not stages or total <= 0:
        return None
    other = total - sum(v for _, v in stages)
    if other > 0.01 * total:
        stages.append(("other", other))
    across = Scale(0, total, 0, width)
    marks: list[Mark] = []
    start = 0.0
    for i, (key, value) in enumerate(stages):
        y = 40.0 * i
        label = STAGE_LABELS.get(key) or sanitize(key).capitalize()
        marks.append(Text(0, y + 14, fit_text(label, 13, width - 90), 13, "ink"))
        marks.append(Text(width, y + 14, format_seconds(value), 13, "muted", "end"))
        marks.append(Rect(0, y + 21, width, 9, "line", opacity=0.5, radius=3))
        bar_width = max(3.0, across(value))
        marks.append(Rect(min(across(start), width - bar_width), y + 21, bar_width, 9, "accent", radius=2))
        start += value
    description = ", ".join(f"{STAGE_LABELS.get(k) or k}: {format_seconds(v)}" for k, v in stages)
    description += f". In all {format_seconds(total)}."
    return PlotSpec("seconds", "Where the time went", description, width, 40.0 * len(stages), tuple(marks))
