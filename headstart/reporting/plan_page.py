"""The page of a plan: verdict, similarity-by-labels quadrant, reasons, learning curve and costs."""

from __future__ import annotations

import math
from pathlib import Path

from headstart.core.messages import format_p_value
from headstart.reporting import html
from headstart.reporting.canvas import Circle, Line, Mark, PlotSpec, Rect, Scale, Text, ticks, y_axis
from headstart.reporting.fit_page import write_page
from headstart.reporting.formatting import (
    MetricFormat,
    escape,
    finite_number,
    format_bytes,
    format_seconds,
    metric_format,
    name_html,
    source_name,
    text_width,
)
from headstart.reporting.result_sections import notes_section, warnings_section

# (similar, large) -> title and usual recommendation of the quadrant
CASES = {
    (False, True): ("Different, many labels", "fine-tune deep, or learn from scratch"),
    (True, True): ("Similar, many labels", "fine-tune the top blocks gently"),
    (False, False): ("Different, few labels", "a probe on a lower level, or the floor"),
    (True, False): ("Similar, few labels", "a linear probe on frozen features"),
}
PLOT_HEIGHT, TEXT_BAND, AXIS_HEIGHT = 404.0, 84.0, 46.0  # of the quadrant plot, of a quadrant's text, of the axis
AXIS_SCALE = 2.0  # log2 distance from the border that is drawn three quarters of the way to the edge
MEASURE_LABELS = {
    "certainty": ("Certainty of its classifier", "share of its doubt that a look at an example removes"),
    "norms": ("Distance from its norms", "Fréchet distance from what BatchNorm kept of the pretraining"),
    "pieces": ("Pieces a word", "how many pieces its tokenizer breaks a word into"),
    "lead": ("Share of errors left", "of those of hand-made numbers, for want of anything better"),
}
BASELINE_LABELS = {"stats": "hand-made numbers", "untrained": "the same network, random weights"}


def write(folder: Path, plan: dict) -> Path:
    """Writes plan.html into the folder of a plan. plan: its plan.json"""
    source = source_name(plan["source"])
    sections = (
        _quadrant_section(plan), _reasons_section(plan), _cost_section(plan), warnings_section(plan, folder),
        _learning_curve_section(plan), _transfer_section(plan), _similarity_section(plan), notes_section(plan, folder),
        _commands_section(plan),
    )  # fmt: skip
    head = f"Headstart plan · <bdi>{escape(source)}</bdi> · {name_html(plan['backbone'], 80)}"
    verdict = html.verdict_heading(plan["verdict"], end="): ")
    title = f"A plan for {source} (Headstart)"
    return write_page(folder / "plan.html", title, head, verdict, sections, plan["version"])


def _quadrant_section(plan: dict) -> str:
    lead = (
        "Right is more like what the backbone has seen, up is more labels than are needed. The box is where the data "
        "may stand, with 95 % confidence, as far as the measures tell."
    )
    if plan["likeness"] is None:
        lead += " How similar they are could not be measured, so the box is as wide as the picture."
    plot = html.responsive_plot(lambda w: quadrant_plot(plan, w))
    return html.section("case", "Where your data stand", escape(lead), plot)


def axis_position(score: float) -> float:
    """A log2 distance from the border -> 0..1 along an axis, the border at a half."""
    return 0.5 + 0.5 * math.tanh(score / AXIS_SCALE)


def quadrant_plot(plan: dict, width: float) -> PlotSpec:
    """The four quadrants with their usual recommendation, and the data as a dot with its 95 % box."""
    top, floor = 22.0, PLOT_HEIGHT - AXIS_HEIGHT
    across, up = Scale(0, 1, 8, width - 8), Scale(0, 1, floor - TEXT_BAND, top + TEXT_BAND)
    middle = across(0.5), (top + floor) / 2
    quadrant = plan["similarity"] == "similar", plan["amount"] == "large"
    marks: list[Mark] = [Text(0, 12, "↑ more labels than are needed", 12, "muted")]
    for (similar, large), texts in CASES.items():
        x, y = (middle[0] if similar else 0.0), (top if large else middle[1])
        quadrant_width, is_here = (width - middle[0] if similar else middle[0]), (similar, large) == quadrant
        marks.append(Rect(x, y, quadrant_width, middle[1] - top, "frost" if is_here else "paper", "line"))
        marks += _case_text(texts, x + 12, y if large else floor - TEXT_BAND, quadrant_width - 24, is_here)
    similarity = plan["likeness"] or {"score": -1.0, "low": -9.0, "high": 9.0}
    data = plan["data"]
    left, right, x_data = (across(axis_position(similarity[key])) for key in ("low", "high", "score"))
    low, high, y_data = (up(axis_position(data[key])) for key in ("low", "high", "score"))
    marks.append(Rect(left, high, max(right - left, 2), max(low - high, 2), "accent", "accent", 0.16, 4))
    marks.append(Circle(x_data, y_data, 7, "accent", "paper", tooltip=plan["verdict"]))
    marks.append(_box_label("your data", left, right, y_data, middle[0], width))
    marks += [
        Text(0, floor + 18, "← different", 12, "muted"),
        Text(width, floor + 18, "similar →", 12, "muted", "end"),
        Text(middle[0], floor + 36, "to what the backbone has seen", 12, "muted", "middle"),
    ]
    description = f"The data are {plan['similarity']} and {plan['amount']}. {plan['verdict']}"
    return PlotSpec("quadrant", "Where the data stand", description, width, PLOT_HEIGHT, tuple(marks))


def _box_label(text: str, left: float, right: float, y: float, middle: float, width: float) -> Text:
    """The label of the box from `left` to `right`: beside it where it fits and no quadrant border crosses it."""
    text_size = text_width(text, 13) * 1.08
    spans = [(right + 8, right + 8 + text_size), (left - 8 - text_size, left - 8)]
    inside = [span for span in spans if span[0] >= 8 and span[1] <= width - 8]
    clear = [span for span in inside if not span[0] < middle < span[1]]
    if not inside:  # the box is nearly as wide as the picture
        x = min(max((left + right - text_size) / 2, 8), width - 8 - text_size)
        return Text(x, y - 14, text, 13, "ink", bold=True)
    return Text((clear or inside)[0][0], y + 5, text, 13, "ink", bold=True)


def _case_text(texts: tuple[str, str], x: float, y: float, width: float, is_here: bool) -> list[Mark]:
    """Title and recommendation of a quadrant, in a band that the dot never enters."""
    title, recommendation = _wrap_text(texts[0], 13, width, 1.08), _wrap_text(texts[1], 12, width)
    tone, below = "ink" if is_here else "muted", y + 24 + 16 * len(title)
    marks: list[Mark] = [Text(x, y + 24 + 16 * i, line, 13, tone, bold=True) for i, line in enumerate(title)]
    return marks + [Text(x, below + 15 * i, line, 12, "muted") for i, line in enumerate(recommendation)]


def _wrap_text(text: str, font_size: float, width: float, bold_factor: float = 1.0) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, font_size) * bold_factor > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _reasons_section(plan: dict) -> str:
    lead = "Each with its figure and how far it can be trusted. A plan looks at a share of large data."
    return html.section("why", "Why", lead, html.bullet_list(map(escape, plan["reasons"]), "told"))


def _cost_section(plan: dict) -> str:
    cost, plan_facts = plan["price"], plan["plan"]
    shown = ("learning_rate", "layer_decay", "steps", "batch_size")
    settings = ", ".join(f"{k} {v}" for k, v in plan_facts["settings"].items() if k in shown)
    metric = metric_format(plan["probe"]["metric"])
    rows = [
        ("Method", f"<b>{escape(plan['method'])}</b>"),
        ("Backbone", name_html(plan_facts["backbone"])),
        ("Cut", escape(f"{plan_facts['cut']} of {plan_facts['blocks']} blocks stay frozen")),
        ("Rates and steps", escape(settings)),
        ("Embedding", "" if cost["embedding"] is None else f"about {format_seconds(cost['embedding'])}, once"),
        ("Learning", "" if cost["learning"] is None else f"about {format_seconds(cost['learning'])}"),
        ("File", f"about {format_bytes(cost['bytes'])} beside the backbone"),
        (metric.label, f"{metric.format(cost['value'])}<small>{metric.interval(cost['low'], cost['high'])}</small>"),
    ]
    return html.section("price", "What to do, and its price", escape(cost["says"]), html.definition_list(rows))


def _learning_curve_section(plan: dict) -> str:
    curve = plan["curve"]
    if not curve:
        return ""
    lead = (
        "The plain probe on nested shares of the labels, judged on the same examples; a line is a 95 % interval. "
        "Dashed: what twice the labels would give, if the error goes on falling by the same power."
    )
    plot = html.responsive_plot(lambda w: learning_curve_plot(curve, w))
    return html.section("more", "What more labels give", lead, plot)


def learning_curve_plot(curve: dict, width: float) -> PlotSpec:
    """The probe's score by number of labels on a log scale, with the extrapolated point dashed."""
    height, left, axis_height = 260.0, 60.0, 40.0
    metric = MetricFormat("Accuracy" if curve["measure"] == "accuracy" else curve["measure"].capitalize(), "")
    if "squared" in curve["measure"]:
        metric = MetricFormat("Share of the variance explained", "", False)
    points = [(p["labels"], p["value"], p["low"], p["high"]) for p in curve["points"]]
    points.append((2 * points[-1][0], *curve["expected"]))
    low, high = min(p[2] for p in points), max(p[3] for p in points)
    room = 0.08 * (high - low) or 0.02
    across = Scale(points[0][0], points[-1][0], left + 18, width - 34, log=True)
    up = Scale(low - room, high + room, height - axis_height - 6, 30)
    marks: list[Mark] = [Text(0, 12, metric.label, 12, "muted")]
    marks += y_axis(ticks(up.low, up.high, 4), up, (left, width - 8), metric.format)
    path = tuple((across(n), up(v)) for n, v, _, _ in points)
    marks += [Line(path[:-1], "accent", 2), Line(path[-2:], "warm", 2, dashed=True)]
    for i, (n, value, value_low, value_high) in enumerate(points):
        colour, x = ("warm" if i == len(points) - 1 else "accent"), across(n)
        marks.append(Line(((x, up(value_low)), (x, up(value_high))), colour, 2))
        tooltip = f"{n:,} labels: {metric.format(value)} ({metric.interval(value_low, value_high)})"
        marks.append(Circle(x, up(value), 5, colour, "paper", tooltip=tooltip))
        marks.append(Text(x, height - 22, f"{n:,}", 11, "muted", "middle"))
    marks.append(Text((left + width) / 2, height - 4, "labels to learn from (log scale)", 12, "muted", "middle"))
    description = "; ".join(f"{n:,} labels: {metric.format(v)}" for n, v, _, _ in points)
    return PlotSpec("learning", "Learning curve of the probe", description, width, height, tuple(marks))


def _transfer_section(plan: dict) -> str:
    against = plan["transfer"]["against"]
    if not against:
        return ""
    rows = []
    for key, pair in against.items():
        is_share = "squared" not in pair["measure"]
        metric = MetricFormat("", "", is_share)
        scale, unit = (100, " points") if is_share else (1, "")
        gain, low, high = (f"{scale * pair[key]:+.3g}".replace("-", "−") for key in ("difference", "low", "high"))
        cells = [metric.format(pair["backbone"]), metric.format(pair["other"])]
        cells.append(f"{gain}{unit}<small>{low} to {high}</small>")
        test = f"{escape(format_p_value(pair['p']))}, {pair['n']:,} examples"
        verdict = f"<strong>{escape(pair['verdict'])}</strong><small>{test}</small>"
        rows.append([escape(BASELINE_LABELS[key]), *cells, verdict])
    lead = (
        "The same plain probe on what the backbone sees and on what borrows nothing, on the same test examples. What "
        "training a network from scratch gives is not measured here: headstart compare DATA --methods probe,scratch."
    )
    heads = ["Against", "Backbone", "Other", "Gain", "Backbone is"]
    return html.section("transfer", "What borrowing gains", escape(lead), html.table("Gain of borrowing", heads, rows))


def _similarity_section(plan: dict) -> str:
    rows = []
    for measure in (plan["likeness"] or {}).get("measures", []):
        label, about = MEASURE_LABELS[measure["name"]]
        similar = (measure["value"] >= measure["border"]) == (measure["better"] == "higher")
        value = f"<b>{measure['value']:.3g}</b><small>{measure['low']:.3g} to {measure['high']:.3g}</small>"
        side = "above" if measure["better"] == "higher" else "below"
        call = "similar" if similar else "different"
        rows.append([f"{escape(label)}<small>{escape(about)}</small>", value, f"{side} {measure['border']:g}", call])
    body = html.table("Similarity", ["Measure", "Here", "Similar", "Says"], rows) if rows else ""
    neighbours = plan["neighbours"]
    if neighbours:
        metric = metric_format("accuracy")
        interval, chance = metric.interval(neighbours["low"], neighbours["high"]), metric.format(neighbours["chance"])
        shares = f"{metric.format(neighbours['value'])} ({interval}) of the {neighbours['n']:,} nearest other"
        body += html.definition_list([("Neighbours", f"{shares} examples have the same class; by chance {chance}")])
    if plan["reference"]:
        reference = plan["reference"]
        keys = {"frechet": "Fréchet", "mmd": "MMD", "proxy_a": "Proxy-A"}
        rows = [
            [escape(label), *(f"{finite_number(reference[side][key]):.3g}" for side in ("data", "halves"))]
            for key, label in keys.items()
        ]
        body += html.table("Distance from the reference", ["Distance", "From the reference", "Between halves"], rows)
    lead = "The backbone's own traces of what it was trained on, and the border that they were weighed against."
    return html.section("similarity", "How similar", lead, body)


def _commands_section(plan: dict) -> str:
    commands = {"The recommended fit": plan["command"], "This plan once more": plan["again"]}
    blocks = (f"<h3>{label}</h3>{html.command_block(command)}" for label, command in commands.items())
    return html.section("again", "What to type", "From the folder in which this plan was made.", *blocks)
