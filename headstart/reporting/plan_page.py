"""A plan as one self-contained page: the verdict, the four cases with the data in one, reasons, curve and prices."""

from __future__ import annotations

import math
from pathlib import Path

from headstart.reporting.canvas import Circle, Drawing, Line, Mark, Rect, Scale, Text, ticks
from headstart.reporting.fit_page import shell
from headstart.reporting.formatting import Measure, breadth, esc, measure_of, name, number, seconds, short, size
from headstart.reporting.html import SLIM, WIDE, bullets, facts, plot, section, table
from headstart.reporting.result_sections import notes, warnings

# (similar, large) -> title of the case, and what is usually wise there
CASES = {
    (False, True): ("Different, many labels", "fine-tune deep, or learn from scratch"),
    (True, True): ("Similar, many labels", "fine-tune the top blocks gently"),
    (False, False): ("Different, few labels", "a probe on a lower level, or the floor"),
    (True, False): ("Similar, few labels", "a linear probe on frozen features"),
}
TALL, BAND, FOOT = 404.0, 84.0, 46.0  # of the picture in pixels: all of it, of the words in a case, of the axis
REACH = 2.0  # doublings from the border that take three quarters of the way to the edge
MEASURES = {
    "certainty": ("Certainty of its classifier", "share of its doubt that a look at an example removes"),
    "norms": ("Distance from its norms", "Fréchet distance from what BatchNorm kept of the pretraining"),
    "pieces": ("Pieces a word", "how many pieces its tokenizer breaks a word into"),
    "lead": ("Share of errors left", "of those of hand-made numbers, for want of anything better"),
}
FLOORS = {"stats": "hand-made numbers", "untrained": "the same network, random weights"}


def write(folder: Path, plan: dict) -> Path:
    """Writes plan.html into the folder of a plan. plan: its plan.json"""
    source = short(str(plan["source"]).rstrip("/").rpartition("/")[2], 60)
    parts = (
        _picture(plan), _why(plan), _costs(plan), warnings(plan, folder), _curve(plan), _transfer(plan),
        _measures(plan), notes(plan, folder), _again(plan),
    )  # fmt: skip
    head = f"Headstart plan · <bdi>{esc(source)}</bdi> · {name(plan['backbone'], 80)}"
    title = esc(f"A plan for {source} (Headstart)")
    page = folder / "plan.html"
    page.write_text(shell(title, head, _verdict(plan["verdict"]), "".join(parts), plan["version"]), encoding="utf-8")
    return page


def _verdict(whole: str) -> str:
    """The claim large, its doubt and the advice smaller below it."""
    claim, _, rest = whole.partition(" (")
    doubt, _, advice = rest.rpartition("): ")
    told = f'<span class="doubt">({esc(doubt)}).</span> '
    return f'<h1>{esc(claim)} {told}<span class="advice">{esc(advice[:1].upper() + advice[1:])}</span></h1>'


def _picture(plan: dict) -> str:
    lead = (
        "Right is more like what the backbone has seen, up is more labels than are needed. The box is where the data "
        "may stand, with 95 % confidence, as far as the measures tell."
    )
    if plan["likeness"] is None:
        lead += " How similar they are could not be measured, so the box is as wide as the picture."
    return section("case", "Where your data stand", esc(lead), plot(*(quadrant(plan, w) for w in (WIDE, SLIM))))


def place(score: float) -> float:
    """Doublings from the border -> 0..1 along an axis, the border at a half."""
    return 0.5 + 0.5 * math.tanh(score / REACH)


def quadrant(plan: dict, width: float) -> Drawing:
    """The four cases, what is usually wise in each, and the data as a dot with the box of its doubt."""
    top, floor = 22.0, TALL - FOOT
    across, up = Scale(0, 1, 8, width - 8), Scale(0, 1, floor - BAND, top + BAND)
    middle = across(0.5), (top + floor) / 2
    here = plan["similarity"] == "similar", plan["amount"] == "large"
    marks: list[Mark] = [Text(0, 12, "↑ more labels than are needed", 12, "muted")]
    for (similar, large), words in CASES.items():
        x, y = (middle[0] if similar else 0.0), (top if large else middle[1])
        wide, mine = (width - middle[0] if similar else middle[0]), (similar, large) == here
        marks.append(Rect(x, y, wide, middle[1] - top, "frost" if mine else "paper", "line"))
        marks += _case(words, x + 12, y if large else floor - BAND, wide - 24, mine)
    like = plan["likeness"] or {"score": -1.0, "low": -9.0, "high": 9.0}
    data = plan["data"]
    left, right, at = (across(place(like[key])) for key in ("low", "high", "score"))
    low, high, level = (up(place(data[key])) for key in ("low", "high", "score"))
    marks.append(Rect(left, high, max(right - left, 2), max(low - high, 2), "accent", "accent", 0.16, 4))
    marks.append(Circle(at, level, 7, "accent", "paper", hint=plan["verdict"]))
    marks.append(_label("your data", left, right, level, middle[0], width))
    marks += [
        Text(0, floor + 18, "← different", 12, "muted"),
        Text(width, floor + 18, "similar →", 12, "muted", "end"),
        Text(middle[0], floor + 36, "to what the backbone has seen", 12, "muted", "middle"),
    ]
    told = f"The data are {plan['similarity']} and {plan['amount']}. {plan['verdict']}"
    return Drawing("quadrant", "Where the data stand", told, width, TALL, tuple(marks))


def _label(words: str, left: float, right: float, level: float, middle: float, width: float) -> Text:
    """The name of the box from `left` to `right`, beside it: where there is room, and where no border runs through."""
    room = breadth(words, 13) * 1.08
    spans = [(right + 8, right + 8 + room), (left - 8 - room, left - 8)]
    inside = [span for span in spans if span[0] >= 8 and span[1] <= width - 8]
    clear = [span for span in inside if not span[0] < middle < span[1]]
    if not inside:  # the box is nearly as wide as the picture
        return Text(min(max((left + right - room) / 2, 8), width - 8 - room), level - 14, words, 13, "ink", bold=True)
    return Text((clear or inside)[0][0], level + 5, words, 13, "ink", bold=True)


def _case(words: tuple[str, str], x: float, y: float, room: float, mine: bool) -> list[Mark]:
    """The words of one case in its band, which the dot never enters."""
    title, usual = words
    marks: list[Mark] = []
    for i, line in enumerate(_wrapped(title, 13, room, 1.08)):
        marks.append(Text(x, y + 24 + 16 * i, line, 13, "ink" if mine else "muted", bold=True))
    below = y + 24 + 16 * len(marks)
    return [*marks, *(Text(x, below + 15 * i, line, 12, "muted") for i, line in enumerate(_wrapped(usual, 12, room)))]


def _wrapped(words: str, points: float, room: float, bold: float = 1.0) -> list[str]:
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and breadth(longer, points) * bold > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _why(plan: dict) -> str:
    lead = "Each with its figure and how far it can be trusted. A plan looks at a share of large data."
    return section("why", "Why", lead, bullets(map(esc, plan["reasons"]), "told"))


def _costs(plan: dict) -> str:
    price, chosen = plan["price"], plan["plan"]
    learned = ", ".join(f"{k} {v}" for k, v in chosen["settings"].items() if k in ("rate", "decay", "steps", "batch"))
    measure = measure_of(plan["probe"]["metric"])
    rows = [
        ("Method", f"<b>{esc(plan['method'])}</b>"),
        ("Backbone", name(chosen["backbone"])),
        ("Cut", esc(f"{chosen['cut']} of {chosen['blocks']} blocks stay frozen")),
        ("Rates and steps", esc(learned)),
        ("Embedding", "" if price["embedding"] is None else f"about {seconds(price['embedding'])}, once"),
        ("Learning", "" if price["learning"] is None else f"about {seconds(price['learning'])}"),
        ("File", f"about {size(price['bytes'])} beside the backbone"),
        (measure.label, f"{measure.figure(price['value'])}<small>{measure.span(price['low'], price['high'])}</small>"),
    ]
    return section("price", "What to do, and its price", esc(price["says"]), facts(rows))


def _curve(plan: dict) -> str:
    found = plan["curve"]
    if not found:
        return ""
    lead = (
        "The plain probe on nested shares of the labels, judged on the same examples; a line is a 95 % interval. "
        "Dashed: what twice the labels would give, if the error goes on falling by the same power."
    )
    return section("more", "What more labels give", lead, plot(*(learning(found, w) for w in (WIDE, SLIM))))


def learning(found: dict, width: float) -> Drawing:
    """Scores of rising labels on a log scale, and the one to come."""
    height, left, foot = 260.0, 60.0, 40.0
    measure = Measure("Accuracy" if found["measure"] == "accuracy" else found["measure"].capitalize(), "")
    if "squared" in found["measure"]:
        measure = Measure("Share of the variance explained", "", False)
    points = [(p["labels"], p["value"], p["low"], p["high"]) for p in found["points"]]
    points.append((2 * points[-1][0], *found["expected"]))
    low, high = min(p[2] for p in points), max(p[3] for p in points)
    room = 0.08 * (high - low) or 0.02
    across = Scale(points[0][0], points[-1][0], left + 18, width - 34, log=True)
    up = Scale(low - room, high + room, height - foot - 6, 30)
    marks: list[Mark] = [Text(0, 12, measure.label, 12, "muted")]
    for value in ticks(up.low, up.high, 4):
        marks.append(Line(((left, up(value)), (width - 8, up(value))), "line"))
        marks.append(Text(left - 8, up(value) + 4, measure.figure(value), 11, "muted", "end"))
    path = tuple((across(n), up(v)) for n, v, _, _ in points)
    marks += [Line(path[:-1], "accent", 2), Line(path[-2:], "warm", 2, dashed=True)]
    for i, (n, value, least, most) in enumerate(points):
        tone, x = ("warm" if i == len(points) - 1 else "accent"), across(n)
        marks.append(Line(((x, up(least)), (x, up(most))), tone, 2))
        hint = f"{n:,} labels: {measure.figure(value)} ({measure.span(least, most)})"
        marks.append(Circle(x, up(value), 5, tone, "paper", hint=hint))
        marks.append(Text(x, height - 22, f"{n:,}", 11, "muted", "middle"))
    marks.append(Text((left + width) / 2, height - 4, "labels to learn from (log scale)", 12, "muted", "middle"))
    told = "; ".join(f"{n:,} labels: {measure.figure(v)}" for n, v, _, _ in points)
    return Drawing("learning", "Learning curve of the probe", told, width, height, tuple(marks))


def _transfer(plan: dict) -> str:
    against = plan["transfer"]["against"]
    if not against:
        return ""
    rows = []
    for key, pair in against.items():
        percents = "squared" not in pair["measure"]
        measure = Measure("", "", percents)
        scale, unit = (100, " points") if percents else (1, "")
        gap = f"{scale * pair['difference']:+.3g}{unit}<small>{scale * pair['low']:+.3g} to {scale * pair['high']:+.3g}"
        chance = "p &lt; 0.001" if pair["p"] < 0.001 else f"p = {pair['p']:.2g}"
        cells = [measure.figure(pair["backbone"]), measure.figure(pair["other"]), f"{gap}</small>".replace("-", "−")]
        verdict = f"<strong>{esc(pair['verdict'])}</strong><small>{chance}, {pair['n']:,} examples</small>"
        rows.append([esc(FLOORS[key]), *cells, verdict])
    lead = (
        "The same plain probe on what the backbone sees and on what borrows nothing, on the same test examples. What "
        "training a network from scratch gives is not measured here: headstart compare DATA --methods probe,scratch."
    )
    heads = ["Against", "Backbone", "Other", "Gain", "Backbone is"]
    return section("transfer", "What borrowing gains", esc(lead), table("Gain of borrowing", heads, rows))


def _measures(plan: dict) -> str:
    rows = []
    for m in (plan["likeness"] or {}).get("measures", []):
        label, about = MEASURES[m["name"]]
        similar = (m["value"] >= m["border"]) == (m["better"] == "higher")
        figure = f"<b>{m['value']:.3g}</b><small>{m['low']:.3g} to {m['high']:.3g}</small>"
        side = "above" if m["better"] == "higher" else "below"
        word = "similar" if similar else "different"
        rows.append([f"{esc(label)}<small>{esc(about)}</small>", figure, f"{side} {m['border']:g}", word])
    told = table("Similarity", ["Measure", "Here", "Similar", "Says"], rows) if rows else ""
    near = plan["neighbours"]
    if near:
        measure = measure_of("accuracy")
        span, chance = measure.span(near["low"], near["high"]), measure.figure(near["chance"])
        told += facts([("Neighbours", f"{measure.figure(near['value'])} ({span}) of the {near['n']:,} nearest other "
                        f"examples have the same class; by chance {chance}")])  # fmt: skip
    if plan["reference"]:
        both = plan["reference"]
        keys = {"frechet": "Fréchet", "mmd": "MMD", "proxy_a": "Proxy-A"}
        rows = [
            [esc(label), *(f"{number(both[side][key]):.3g}" for side in ("data", "halves"))]
            for key, label in keys.items()
        ]
        told += table("Distance from the reference", ["Distance", "From the reference", "Between halves"], rows)
    lead = "The backbone's own traces of what it was trained on, and the border that they were weighed against."
    return section("similarity", "How similar", lead, told)


def _again(plan: dict) -> str:
    blocks = [
        f"<h3>{label}</h3>"
        '<div class="command"><button type="button" class="copy" hidden>Copy</button>'
        f'<pre tabindex="0" aria-label="Command">{esc(plan[key])}</pre></div>'
        for label, key in (("The recommended fit", "command"), ("This plan once more", "again"))
    ]
    return section("again", "What to type", "From the folder in which this plan was made.", *blocks)
