"""A comparison of methods as one self-contained page: verdict, table, costs against scores, who beats whom."""

from __future__ import annotations

import math
from pathlib import Path

from headstart.reporting.canvas import Circle, Drawing, Line, Mark, Scale, Text, powers, ticks
from headstart.reporting.layout import SLIM, WIDE, bullets, paragraph, plot, section, table
from headstart.reporting.page import shell
from headstart.reporting.wording import Measure, amount, breadth, esc, measure_of, seconds, short, size

TONES = ("accent", "warm", "good", "muted")
ABOUT = "Each point is a method: higher scores more, further left costs less. Lines span the runs' 95 % interval."


def write(folder: Path, facts: dict) -> Path:
    """Writes compare.html into the folder of a comparison; facts: its compare.json."""
    done = [r for r in facts["methods"] if not r["error"]]
    source = short(str(facts["source"]).rstrip("/").rpartition("/")[2], 60)
    whole = str(facts["verdict"])
    first, _, rest = whole.partition(" (")
    doubt, closed, advice = rest.rpartition("): ")
    small = (
        f'<span class="doubt">({esc(doubt)}).</span> <span class="advice">{esc(advice[:1].upper() + advice[1:])}</span>'
    )
    verdict = f"<h1>{esc(first)} {small}</h1>" if closed else f"<h1>{esc(whole)}</h1>"
    body = "".join([_table(facts, done), _plots(done), _pairs(facts, done), _curves(done), _notes(facts)])
    title = esc(f"Methods compared on {source} (Headstart)")
    page = folder / "compare.html"
    head = f"Headstart comparison · <bdi>{esc(source)}</bdi> · {esc(facts['backbone'])}"
    page.write_text(shell(title, head, verdict, body, str(facts["version"])), encoding="utf-8")
    return page


def _table(facts: dict, done: list[dict]) -> str:
    if not done:
        return ""
    measure = measure_of(done[0]["metric"])
    first = next(iter(done[0]["metrics"].values()))
    from headstart.contest import PROBES, between

    base = next((r["method"] for r in done if r["method"] in PROBES), "")
    scores, costs = [], []
    for r in done:
        own = next(iter(r["metrics"].values()))
        even = len(set(r["values"])) == 1 and r["seeds"] > 1
        over = "no spread" if even else measure.span(r["low"], r["high"]) if r["low"] is not None else "one run"
        lost = "–" if r["forgetting"] is None else f"{100 * r['forgetting']:+.1f}"
        pair = between(facts["pairs"], r["method"], base) if base and r["method"] != base else None
        against = f"{pair['verdict']} (p {pair['p_holm']:.2g})" if pair else ""
        link = f'<a href="{esc(r["runs"][0])}/report.html">{esc(r["method"])}</a>'
        mean = f"<strong>{esc(measure.figure(r['mean']))}</strong>"
        scores.append([link, mean, esc(over), esc(measure.span(own["low"], own["high"])), esc(against)])
        cells = [amount(r["params"]["trained"]), f"{100 * r['share']:.2f} %", amount(r["labels"])]
        cells += [seconds(r["seconds"]["fit"]), size(r["bytes"]["delta"]), f"{r['drift']:.3f}", lost]
        costs.append([esc(r["method"]), *map(esc, cells)])
    lead = (
        f"{facts['seeds']} runs of each method on one split, judged on the same {first['n']:,} examples. Over the "
        "seeds: the 95 % interval of the mean when training is repeated. On the test part: that of one run, when other "
        "examples are drawn. Drift: 0 when the features stayed as borrowed, 1 when nothing of them is left."
    )
    heads = ["Method", measure.label, "Over the seeds", "On the test part", "Against the probe"]
    prices = ["Method", "Trained", "Share", "Labels", "Fit", "File", "Drift", "Forgetting"]
    best = bullets(f"<strong>{esc(r['method'])}</strong>: {esc(r['best_for'])}" for r in done if r["best_for"])
    told = paragraph("What each is best for:") + best if best else ""
    return section("table", "What each gives", esc(lead), table("Scores", heads, scores)) + section(
        "prices",
        "What each costs",
        "Trained: numbers that learned, and their share of all. File: what the task adds to the backbone.",
        table("Costs", prices, costs),
        told,
    )


def _plots(done: list[dict]) -> str:
    if not done:
        return ""
    drawn = [plot(*(_scatter(done, key, label, name, w) for w in (WIDE, SLIM))) for key, label, name in AXES]
    return section("costs", "What the cost buys", esc(ABOUT), *drawn)


AXES = (
    (lambda r: max(1, r["params"]["trained"]), "Trained parameters", "parameters"),
    (lambda r: max(1e-2, r["seconds"]["fit"]), "Seconds to fit", "seconds"),
)


def _scatter(done: list[dict], cost, label: str, name: str, width: float) -> Drawing:
    measure = measure_of(done[0]["metric"])
    spans = [
        (r["low"] if r["low"] is not None else r["mean"], r["high"] if r["high"] is not None else r["mean"])
        for r in done
    ]
    low, high = min(s[0] for s in spans), max(s[1] for s in spans)
    room = 0.08 * (high - low) or 0.05
    bottom, top = (max(0.0, low - room), min(1.0, high + room)) if measure.percent else (low - room, high + room)
    costs = [cost(r) for r in done]
    left, right = min(costs) / 2, max(costs) * 4  # room for the names
    height, margin = 260.0, 56.0
    across, up = Scale(left, right, margin, width - 8, log=True), Scale(bottom, top, height - 36, 12)
    marks = [*_axes(across, up, measure, label, width, height)]
    taken: list[float] = []
    order = sorted(range(len(done)), key=lambda i: -done[i]["mean"])
    for i in order:
        r, (a, b), x = done[i], spans[i], across(costs[i])
        tone = "warm" if r["method"] in ("probe", "logistic", "ridge") else "accent"
        y = up(r["mean"])
        if b > a:
            marks.append(Line(((x, up(max(a, bottom))), (x, up(min(b, top)))), tone, 2))
        told = f"{r['method']}: {measure.figure(r['mean'])}, {label.lower()} {costs[i]:,.4g}"
        marks.append(Circle(x, y, 6, tone, "paper", hint=told))
        at = _free(y + 4, taken)
        anchor, dx = ("end", -10) if x + 12 + breadth(r["method"], 12) > width else ("start", 10)
        marks.append(Text(x + dx, at, r["method"], 12, "ink", anchor))
    told = "; ".join(f"{r['method']} {measure.figure(r['mean'])} at {c:,.4g}" for r, c in zip(done, costs, strict=True))
    return Drawing(f"cost-{name}", f"{measure.label} against {label.lower()}", told, width, height, tuple(marks))


def _free(y: float, taken: list[float], apart: float = 13.0) -> float:
    """The nearest place for a name that no other name is at."""
    for step in range(12):
        for at in (y - step * apart / 2, y + step * apart / 2):
            if all(abs(at - other) >= apart for other in taken):
                taken.append(at)
                return at
    return y


def _axes(across: Scale, up: Scale, measure: Measure, label: str, width: float, height: float) -> list[Mark]:
    marks: list[Mark] = []
    for value in ticks(up.low, up.high, 4):
        y = up(value)
        marks.append(Line(((across.start, y), (width - 8, y)), "line"))
        marks.append(Text(across.start - 8, y + 4, measure.figure(value), 11, "muted", "end"))
    for value in powers(across.low, across.high):
        x = across(value)
        words = f"{value:,.0f}" if value >= 1 else f"{value:g}"
        marks += [
            Line(((x, height - 36), (x, height - 31)), "muted"),
            Text(x, height - 18, words, 11, "muted", "middle"),
        ]
    return [*marks, Text((across.start + width) / 2, height - 2, label, 11, "muted", "middle")]


def _pairs(facts: dict, done: list[dict]) -> str:
    if len(done) < 2:
        return ""
    from headstart.contest import between

    names = [r["method"] for r in done]
    percent = measure_of(done[0]["metric"]).percent
    rows = []
    for a in names:
        cells = [esc(a)]
        for b in names:
            pair = between(facts["pairs"], a, b) if a != b else None
            if pair is None:
                cells.append("")
                continue
            gap = f"{100 * pair['difference']:+.1f}" if percent else f"{pair['difference']:+.3g}"
            words = f"{pair['verdict']}<br>{gap} · p {pair['p_holm']:.2g}"
            cells.append(f"<strong>{words}</strong>" if pair["verdict"] != "cannot tell" else words)
        rows.append(cells)
    lead = (
        "Each row against each column, on the same test examples: the difference in points and its p-value, corrected "
        "for the number of pairs (Holm). Where chance alone could make the difference, it cannot be told."
    )
    return section("pairs", "Who is surely better", esc(lead), table("Pairs of methods", ["", *names], rows))


def _curves(done: list[dict]) -> str:
    some = [
        (r["method"], [float(v) for v in r["head"]["losses"]]) for r in done if len(r["head"].get("losses") or []) > 2
    ]
    if not some:
        return ""
    lead = (
        "The loss on training batches of the first run of each method that trains in steps, from its start to its end."
    )
    return section("curves", "How training went", esc(lead), plot(*(_losses(some, w) for w in (WIDE, SLIM))))


def _losses(some: list[tuple[str, list[float]]], width: float) -> Drawing:
    top = max(max(_smooth(losses)) for _, losses in some)
    height = 220.0
    across, up = Scale(0, 1, 40, width - 110), Scale(0, top, height - 24, 10)
    marks: list[Mark] = []
    for value in ticks(0, top, 4):
        marks += [Line(((40, up(value)), (width - 110, up(value))), "line"), Text(34, up(value) + 4, f"{value:g}", 11,
                  "muted", "end")]  # fmt: skip
    taken: list[float] = []
    for i, (name, losses) in enumerate(some):
        smooth, tone = _smooth(losses), TONES[i % len(TONES)]
        points = tuple((across(k / max(1, len(smooth) - 1)), up(v)) for k, v in enumerate(smooth))
        marks.append(Line(points, tone, 2, dashed=i >= len(TONES)))
        marks.append(Text(width - 104, _free(points[-1][1] + 4, taken), name, 12, tone))
    marks.append(Text(across(0.5), height - 4, "share of the steps", 11, "muted", "middle"))
    told = "; ".join(f"{name}: from {losses[0]:.3g} to {losses[-1]:.3g}" for name, losses in some)
    return Drawing("losses", "Training loss", told, width, height, tuple(marks))


def _smooth(losses: list[float], share: float = 0.05) -> list[float]:
    """Means of the last few."""
    reach = max(1, math.ceil(share * len(losses)))
    return [
        sum(losses[max(0, i - reach + 1) : i + 1]) / len(losses[max(0, i - reach + 1) : i + 1])
        for i in range(len(losses))
    ]


def _notes(facts: dict) -> str:
    left = [f"<strong>{esc(r['method'])}</strong>: {esc(r['error'])}" for r in facts["methods"] if r["error"]]
    out = section("left", "Left out", "Methods that cannot be had here, and why.", bullets(left)) if left else ""
    again = '<div class="command"><button type="button" class="copy" hidden>Copy</button>'
    again += f'<pre tabindex="0" aria-label="Command">{esc(facts["command"])}</pre></div>'
    return out + section("again", "Once more", "The line that repeats this comparison, from where it was typed.", again)
