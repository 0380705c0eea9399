"""A comparison of methods as one self-contained page: verdict, table, costs against scores, who beats whom."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from urllib.parse import quote

from headstart.reporting.canvas import Circle, Drawing, Line, Mark, Scale, Text, powers, ticks
from headstart.reporting.fit_page import shell
from headstart.reporting.formatting import (
    Measure,
    amount,
    breadth,
    esc,
    measure_of,
    name,
    number,
    percent,
    seconds,
    short,
    size,
)
from headstart.reporting.html import SLIM, WIDE, bullets, folded, plot, section, table

TONES = ("accent", "warm", "good", "muted")
HEIGHT, LEFT, FLOOR = 280.0, 56.0, 36.0  # of a plot of costs, in pixels: room for figures at the side and below
ABOUT = "Each point is a method: higher scores more, further left costs less. Lines: 95 % interval over the seeds."


def write(folder: Path, facts: dict) -> Path:
    """Writes compare.html into the folder of a comparison; facts: its compare.json. At least one method has a score."""
    done = [r for r in facts["methods"] if not r["error"]]
    source = short(str(facts["source"]).rstrip("/").rpartition("/")[2], 60)
    sections = _scores(facts, done), _prices(done), _plots(done), _pairs(facts, done), _curves(done), _notes(facts)
    title = esc(f"Methods compared on {source} (Headstart)")
    page = folder / "compare.html"
    head = f"Headstart comparison · <bdi>{esc(source)}</bdi> · {name(facts['backbone'], 80)}"
    whole = shell(title, head, _verdict(str(facts["verdict"])), "".join(sections), str(facts["version"]))
    page.write_text(whole, encoding="utf-8")
    return page


def _verdict(whole: str) -> str:
    """The claim large, its figures and the advice smaller below it."""
    claim, _, rest = whole.partition(" (")
    doubt, closed, advice = rest.rpartition("): ")
    if not closed:
        return f"<h1>{esc(whole)}</h1>"
    told = f'<span class="doubt">({esc(doubt)}).</span> '
    return f'<h1>{esc(claim)} {told}<span class="advice">{esc(advice[:1].upper() + advice[1:])}</span></h1>'


def _scores(facts: dict, done: list[dict]) -> str:
    measure, judged = measure_of(done[0]["metric"]), done[0]["metrics"][done[0]["metric"]]["n"]
    against = {p["a"]: p for p in facts["pairs"] if p["b"] == facts["base"]}
    rows = []
    for r in done:
        one, pair = r["metrics"][r["metric"]], against.get(r["method"])
        versus = f"{esc(pair['verdict'])}<small>{_chance(pair['p_holm'])}</small>" if pair else ""
        mean = f"<strong>{esc(measure.figure(r['mean']))}</strong>"
        rows.append(
            [esc(r["method"]), mean, esc(_spread(r, measure)), esc(measure.span(one["low"], one["high"])), versus]
        )
    lead = (
        f"{_runs(done[0]['seeds'])} of each method on one split, judged on the same {judged:,} examples. Over "
        "the seeds: 95 % interval of the mean when training is repeated. On the test part: that of one run, when other "
        "examples are drawn. No spread: every run scored the same, as heads do that take nothing from chance."
    )
    heads = ["Method", measure.label, "Over the seeds", "On the test part", "Against probe"]
    links = (f"<strong>{esc(r['method'])}</strong> {_links(r['runs'])}" for r in done)
    runs = folded("The report of every run", bullets(links, "told"))
    return section("table", "What each gives", esc(lead), table("Scores", heads, rows), runs)


def _runs(n: int) -> str:
    """'One run', '3 runs'."""
    return "One run" if n == 1 else f"{n} runs"


def _links(runs: list[str]) -> str:
    return " ".join(f'<a href="{esc(quote(run))}/report.html">{esc(run)}</a>' for run in runs)


def _spread(row: dict, measure: Measure) -> str:
    """The interval over the seeds, or why there is none."""
    if row["seeds"] > 1 and len(set(row["values"])) == 1:
        return "no spread"
    return measure.span(row["low"], row["high"]) if row["low"] is not None else f"{_runs(row['seeds'])} only"


def _prices(done: list[dict]) -> str:
    rows = []
    for r in done:
        lost = "–" if r["forgetting"] is None else f"{100 * r['forgetting']:+.1f}".replace("-", "−")
        cells = [amount(r["params"]["trained"]), percent(r["share"]), seconds(r["seconds"]["fit"])]
        cells += [seconds(r["seconds"]["total"]), size(r["bytes"]["delta"]), f"{r['drift']:.3f}", lost]
        rows.append([esc(r["method"]), *map(esc, cells)])
    labels = sorted({r["labels"] for r in done})
    used = f"{labels[0]:,}" if len(labels) == 1 else f"{labels[0]:,} to {labels[-1]:,}"
    lead = (
        f"Each used {used} labels, to learn from and to choose by. Trained: numbers that learned, and their share of "
        "all. Fit, total: seconds, the median run; the total counts embedding, which only the first run at a cut pays. "
        "File: what the task adds to the backbone. Drift: 0 when features stayed as borrowed, 1 when nothing of them "
        "is left. Forgot: points lost by a probe on a reference task."
    )
    heads = ["Method", "Trained", "Share", "Fit", "Total", "File", "Drift", "Forgot"]
    best = bullets(
        (f"<strong>{esc(r['method'])}</strong>: {esc(r['best_for'])}" for r in done if r["best_for"]), "told"
    )
    told = "<h3>What each is best for</h3>" + best if best else ""
    return section("prices", "What each costs", esc(lead), table("Costs", heads, rows), told)


def _plots(done: list[dict]) -> str:
    drawn = [plot(*(_scatter(done, *axis, w) for w in (WIDE, SLIM))) for axis in AXES]
    return section("costs", "What the cost buys", esc(ABOUT), *drawn)


AXES = (
    (lambda r: max(1, r["params"]["trained"]), "Trained parameters", "parameters"),
    (lambda r: max(1e-2, r["seconds"]["fit"]), "Seconds to fit", "seconds"),
)


def _scatter(done: list[dict], cost: Callable[[dict], float], label: str, key: str, width: float) -> Drawing:
    """Scores with their interval over the seeds, against a cost on a log scale."""
    measure = measure_of(done[0]["metric"])
    spans = [(r["mean"], r["mean"]) if r["low"] is None else (r["low"], r["high"]) for r in done]
    low, high = min(s[0] for s in spans), max(s[1] for s in spans)
    room = 0.1 * (high - low) or 0.05
    bottom, top = (max(0.0, low - room), min(1.0, high + room)) if measure.percent else (low - room, high + room)
    costs = [cost(r) for r in done]
    across = Scale(min(costs) / 2, max(costs) * 2, LEFT, width - 8, log=True)
    up = Scale(bottom, top, HEIGHT - FLOOR, 30)
    marks, dots = _axes(across, up, measure, label, width), []
    for r, (a, b), c in zip(done, spans, costs, strict=True):
        tone, x, y = "warm" if r["method"] in ("probe", "logistic", "ridge") else "accent", across(c), up(r["mean"])
        if b > a:
            marks.append(Line(((x, up(a)), (x, up(b))), tone, 2))
        marks.append(Circle(x, y, 6, tone, "paper", hint=f"{r['method']}: {measure.figure(r['mean'])}, {c:,.4g}"))
        dots.append((r["method"], x, y, up(a), up(b)))
    marks += _named(dots, width)
    told = "; ".join(f"{r['method']} {measure.figure(r['mean'])} at {c:,.4g}" for r, c in zip(done, costs, strict=True))
    return Drawing(f"cost-{key}", f"{measure.label} against {label.lower()}", told, width, HEIGHT, tuple(marks))


def _named(dots: list[tuple[str, float, float, float, float]], width: float) -> list[Mark]:
    """Names beside their dots, clear of dots, intervals and one another; one that had to move has a line to its dot.

    dots: name, x, y, and y of the interval's lower and upper end
    """
    taken = [(x - 7, y - 7, x + 7, y + 7) for _, x, y, _, _ in dots]
    taken += [(x - 2, high, x + 2, low) for _, x, _, low, high in dots]
    marks: list[Mark] = []
    for word, x, y, _, _ in sorted(dots, key=lambda dot: dot[2]):
        wide = breadth(word, 12)
        places = [(dx, dy) for dy in sorted(range(-120, 121, 7), key=abs) for dx in (11, -11 - wide, 30, -30 - wide)]
        inside = [
            (x + dx, y + dy)
            for dx, dy in places
            if x + dx >= LEFT and x + dx + wide <= width and 12 <= y + dy <= HEIGHT - FLOOR - 8
        ]
        free = [p for p in inside if not any(_meet((p[0], p[1] - 7, p[0] + wide, p[1] + 7), box) for box in taken)]
        at, mid = (free or inside or [(x, y)])[0]
        if abs(mid - y) > 8 or not x - 12 - wide <= at <= x + 12:
            marks.append(Line(((x, y), (at if at > x else at + wide, mid)), "muted", 1))
        marks.append(Text(at, mid + 4, word, 12))
        taken.append((at, mid - 7, at + wide, mid + 7))
    return marks


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether two boxes (left, top, right, bottom) share room."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _axes(across: Scale, up: Scale, measure: Measure, label: str, width: float) -> list[Mark]:
    marks: list[Mark] = [Text(0, 12, measure.label, 12, "muted")]
    for value in ticks(up.low, up.high, 4):
        marks.append(Line(((LEFT, up(value)), (width - 8, up(value))), "line"))
        marks.append(Text(LEFT - 8, up(value) + 4, measure.figure(value), 11, "muted", "end"))
    for value in powers(across.low, across.high):
        words = f"{value:,.0f}" if value >= 1 else f"{value:g}"
        marks.append(Line(((across(value), HEIGHT - FLOOR), (across(value), HEIGHT - FLOOR + 5)), "muted"))
        marks.append(Text(across(value), HEIGHT - 18, words, 11, "muted", "middle"))
    return [*marks, Text((LEFT + width) / 2, HEIGHT - 3, f"{label} (log scale)", 12, "muted", "middle")]


def _pairs(facts: dict, done: list[dict]) -> str:
    if len(done) < 2:
        return ""
    told = {(p["a"], p["b"]): p for p in facts["pairs"]}
    percents = measure_of(done[0]["metric"]).percent
    names = [r["method"] for r in done]
    rows = [[esc(a), *(_pair(told[a, b], percents) if a != b else "" for b in names)] for a in names]
    unit = "in points" if percents else "in the unit of the labels"
    lead = (
        f"Each row against each column, on the same test examples: the difference ({unit}; above 0 the row is better) "
        "and its p-value, corrected for the number of pairs (Holm). Unsure: chance alone could make the difference."
    )
    return section("pairs", "Who is surely better", esc(lead), table("Pairs of methods", ["", *names], rows))


def _pair(pair: dict, percents: bool) -> str:
    sure = pair["verdict"] != "cannot tell"
    gap = f"{100 * pair['difference']:+.1f}" if percents else f"{pair['difference']:+.3g}"
    gap = gap.replace("-", "−") if pair["difference"] else "0"
    word = f"<strong>{pair['verdict']}</strong>" if sure else "unsure"
    return f"{word}<small>{gap}<br>{_chance(pair['p_holm'])}</small>"


def _chance(p: float) -> str:
    return "p &lt; 0.001" if p < 0.001 else f"p = {p:.2g}"


def _curves(done: list[dict]) -> str:
    some = [r for r in done if len([v for v in r["head"].get("losses") or [] if number(v) is not None]) > 2]
    if not some:
        return ""
    lead = "The loss on training batches in the first run of each method that trains in steps, from start to end."
    lead += " Dots: on the part that chooses the step to keep." if any(_checks(r) for r in some) else ""
    return section("curves", "How training went", esc(lead), plot(*(_losses(some, w) for w in (WIDE, SLIM))))


def _losses(some: list[dict], width: float) -> Drawing:
    paths = {r["method"]: _smooth([v for v in r["head"]["losses"] if number(v) is not None]) for r in some}
    top = max([*(max(path) for path in paths.values()), *(v for r in some for _, v in _checks(r))]) or 1.0
    right, height = width - 12 - max(breadth(word, 12) for word in paths), 240.0
    across, up = Scale(0, 1, 40, right), Scale(0, top, height - FLOOR, 26)
    marks: list[Mark] = [Text(0, 12, "Loss (lower is better)", 12, "muted")]
    for value in ticks(0, top, 4):
        marks.append(Line(((40, up(value)), (right, up(value))), "line"))
        marks.append(Text(34, up(value) + 4, f"{value:g}", 11, "muted", "end"))
    end = 0.0
    for i, r in enumerate(sorted(some, key=lambda r: -paths[r["method"]][-1])):
        path, tone = paths[r["method"]], TONES[i % len(TONES)]
        points = tuple((across(k / (len(path) - 1)), up(v)) for k, v in enumerate(path))
        marks.append(Line(points, tone, 2, dashed=i >= len(TONES)))
        marks += [
            Circle(across(at), up(v), 3.5, tone, hint=f"{r['method']}, held out: {v:.4g}") for at, v in _checks(r)
        ]
        # Names in the order of the ends, a line below the one above, and with room below for those that follow.
        end = max(min(points[-1][1] + 4, height - FLOOR + 4 - 14 * (len(some) - 1 - i)), end + 14)
        marks.append(Text(right + 8, end, r["method"], 12, tone))
    marks.append(Text((40 + right) / 2, height - 8, "from the first step to the last", 12, "muted", "middle"))
    told = "; ".join(f"{word}: from {path[0]:.3g} to {path[-1]:.3g}" for word, path in paths.items())
    return Drawing("losses", "Training loss", told, width, height, tuple(marks))


def _checks(row: dict) -> list[tuple[float, float]]:
    """(share of the steps, held-out loss) of each look at the part that chooses."""
    steps = number(row["head"].get("steps"))
    some = row["head"].get("checks") or []
    return [(c["step"] / steps, c["loss"]) for c in some if steps and number(c.get("loss")) is not None]


def _smooth(losses: list[float], share: float = 0.05) -> list[float]:
    """Means of the last few."""
    reach = max(1, math.ceil(share * len(losses)))
    return [fmean(losses[max(0, i - reach + 1) : i + 1]) for i in range(len(losses))]


def _notes(facts: dict) -> str:
    left = [f"<strong>{esc(r['method'])}</strong>: {esc(r['error'])}" for r in facts["methods"] if r["error"]]
    out = section("left", "Left out", "Methods that cannot be had here, and why.", bullets(left)) if left else ""
    again = '<div class="command"><button type="button" class="copy" hidden>Copy</button>'
    again += f'<pre tabindex="0" aria-label="Command">{esc(facts["command"])}</pre></div>'
    return out + section("again", "Once more", "The line that repeats this comparison, from where it was typed.", again)
