"""The page of a comparison: verdict, scores, costs, score-against-cost plots, pairwise tests, loss curves."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean
from urllib.parse import quote

from headstart.core.messages import format_p_value
from headstart.reporting import html
from headstart.reporting.canvas import Circle, Line, Mark, PlotSpec, Scale, Text, ticks, y_axis
from headstart.reporting.cost_plots import cost_plots_section
from headstart.reporting.fit_page import write_page
from headstart.reporting.formatting import (
    MetricFormat,
    escape,
    finite_number,
    format_bytes,
    format_count,
    format_percent,
    format_seconds,
    metric_format,
    name_html,
    source_name,
    text_width,
)

LINE_COLOURS = ("accent", "warm", "good", "muted")
AXIS_HEIGHT = 36.0  # under the loss plot, in pixels


def write(folder: Path, facts: dict) -> Path:
    """Writes compare.html into the folder of a comparison; facts: its compare.json. At least one method has a score."""
    ran = [r for r in facts["methods"] if not r["error"]]
    source = source_name(facts["source"])
    sections = [_scores_section(facts, ran), _costs_section(ran), cost_plots_section(ran), _pairs_section(facts, ran)]
    sections += [_loss_section(ran), _closing_sections(facts)]
    title = f"Methods compared on {source} (Headstart)"
    head = f"Headstart comparison · <bdi>{escape(source)}</bdi> · {name_html(facts['backbone'], 80)}"
    verdict = html.verdict_heading(facts["verdict"], end="): ")
    return write_page(folder / "compare.html", title, head, verdict, sections, facts["version"])


def _scores_section(facts: dict, ran: list[dict]) -> str:
    metric, n_test = metric_format(ran[0]["metric"]), ran[0]["metrics"][ran[0]["metric"]]["n"]
    against = {p["a"]: p for p in facts["pairs"] if p["b"] == facts["base"]}
    rows = []
    for r in ran:
        result, pair = r["metrics"][r["metric"]], against.get(r["method"])
        test = f"{escape(pair['verdict'])}<small>{escape(format_p_value(pair['p_holm']))}</small>" if pair else ""
        mean = f"<strong>{escape(metric.format(r['mean']))}</strong>"
        intervals = _seed_interval(r, metric), metric.interval(result["low"], result["high"])
        rows.append([escape(r["method"]), mean, *map(escape, intervals), test])
    lead = (
        f"{_count_runs(ran[0]['seeds'])} of each method on one split, judged on the same {n_test:,} examples. Over "
        "the seeds: 95 % interval of the mean when training is repeated. On the test part: that of one run, when other "
        "examples are drawn. No spread: every run scored the same, as heads do that take nothing from chance."
    )
    heads = ["Method", metric.label, "Over the seeds", "On the test part", "Against probe"]
    reports = (f"<strong>{escape(r['method'])}</strong> {' '.join(map(_run_link, r['runs']))}" for r in ran)
    runs = html.collapsible("The report of every run", html.bullet_list(reports, "told"))
    return html.section("table", "What each gives", escape(lead), html.table("Scores", heads, rows), runs)


def _count_runs(n: int) -> str:
    """'One run', '3 runs'."""
    return "One run" if n == 1 else f"{n} runs"


def _run_link(run: str) -> str:
    return f'<a href="{escape(quote(run))}/report.html">{escape(run)}</a>'


def _seed_interval(row: dict, measure: MetricFormat) -> str:
    """The interval over the seeds, or why there is none."""
    if row["seeds"] > 1 and len(set(row["values"])) == 1:
        return "no spread"
    return measure.interval(row["low"], row["high"]) if row["low"] is not None else f"{_count_runs(row['seeds'])} only"


def _costs_section(ran: list[dict]) -> str:
    rows = []
    for r in ran:
        forgotten = "–" if r["forgetting"] is None else f"{100 * r['forgetting']:+.1f}".replace("-", "−")
        cells = [r["method"], format_count(r["params"]["trained"]), format_percent(r["share"])]
        cells += [format_seconds(r["seconds"][key]) for key in ("fit", "total")]
        cells += [format_bytes(r["bytes"]["delta"]), f"{r['drift']:.3f}", forgotten]
        rows.append([escape(cell) for cell in cells])
    labels = sorted({r["labels"] for r in ran})
    n_labels = f"{labels[0]:,}" if len(labels) == 1 else f"{labels[0]:,} to {labels[-1]:,}"
    lead = (
        f"Each used {n_labels} labels, to learn from and to choose by. Trained: numbers that learned, and their share "
        "of all. Fit, total: seconds, the median run; the total counts embedding, which only the first run at a cut "
        "pays. File: what the task adds to the backbone. Drift: 0 when features stayed as borrowed, 1 when nothing of "
        "them is left. Forgot: points lost by a probe on a reference task."
    )
    heads = ["Method", "Trained", "Share", "Fit", "Total", "File", "Drift", "Forgot"]
    best_for = [f"<strong>{escape(r['method'])}</strong>: {escape(r['best_for'])}" for r in ran if r["best_for"]]
    recommendations = "<h3>What each is best for</h3>" + html.bullet_list(best_for, "told") if best_for else ""
    return html.section("prices", "What each costs", escape(lead), html.table("Costs", heads, rows), recommendations)


def _pairs_section(facts: dict, ran: list[dict]) -> str:
    if len(ran) < 2:
        return ""
    tests = {(p["a"], p["b"]): p for p in facts["pairs"]}
    is_share = metric_format(ran[0]["metric"]).is_share
    names = [r["method"] for r in ran]
    rows = [[escape(a), *(_pair_cell(tests[a, b], is_share) if a != b else "" for b in names)] for a in names]
    unit = "in points" if is_share else "in the unit of the labels"
    lead = (
        f"Each row against each column, on the same test examples: the difference ({unit}; above 0 the row is better) "
        "and its p-value, corrected for the number of pairs (Holm). Unsure: chance alone could make the difference."
    )
    body = html.table("Pairs of methods", ["", *names], rows)
    return html.section("pairs", "Who is surely better", escape(lead), body)


def _pair_cell(pair: dict, is_share: bool) -> str:
    significant = pair["verdict"] != "cannot tell"
    difference = f"{100 * pair['difference']:+.1f}" if is_share else f"{pair['difference']:+.3g}"
    difference = difference.replace("-", "−") if pair["difference"] else "0"
    word = f"<strong>{pair['verdict']}</strong>" if significant else "unsure"
    return f"{word}<small>{difference}<br>{escape(format_p_value(pair['p_holm']))}</small>"


def _loss_section(ran: list[dict]) -> str:
    trained = [r for r in ran if len(_finite_losses(r)) > 2]
    if not trained:
        return ""
    lead = "The loss on training batches in the first run of each method that trains in steps, from start to end."
    lead += " Dots: on the part that chooses the step to keep." if any(_held_out_losses(r) for r in trained) else ""
    plot = html.responsive_plot(lambda w: _loss_plot(trained, w))
    return html.section("curves", "How training went", escape(lead), plot)


def _loss_plot(rows: list[dict], width: float) -> PlotSpec:
    paths = {r["method"]: _moving_average(_finite_losses(r)) for r in rows}
    top = max([*(max(path) for path in paths.values()), *(v for r in rows for _, v in _held_out_losses(r))]) or 1.0
    right, height = width - 12 - max(text_width(method, 12) for method in paths), 240.0
    across, up = Scale(0, 1, 40, right), Scale(0, top, height - AXIS_HEIGHT, 26)
    marks: list[Mark] = [Text(0, 12, "Loss (lower is better)", 12, "muted")]
    marks += y_axis(ticks(0, top, 4), up, (40, right), "{:g}".format, gap=6)
    label_y = 0.0
    for i, r in enumerate(sorted(rows, key=lambda r: -paths[r["method"]][-1])):
        path, colour = paths[r["method"]], LINE_COLOURS[i % len(LINE_COLOURS)]
        points = tuple((across(k / (len(path) - 1)), up(v)) for k, v in enumerate(path))
        marks.append(Line(points, colour, 2, dashed=i >= len(LINE_COLOURS)))
        marks += [
            Circle(across(share), up(v), 3.5, colour, tooltip=f"{r['method']}, held out: {v:.4g}")
            for share, v in _held_out_losses(r)
        ]
        # Labels in the order of the curves' ends, one line apart, with room below for those that follow.
        label_y = max(min(points[-1][1] + 4, height - AXIS_HEIGHT + 4 - 14 * (len(rows) - 1 - i)), label_y + 14)
        marks.append(Text(right + 8, label_y, r["method"], 12, colour))
    marks.append(Text((40 + right) / 2, height - 8, "from the first step to the last", 12, "muted", "middle"))
    description = "; ".join(f"{method}: from {path[0]:.3g} to {path[-1]:.3g}" for method, path in paths.items())
    return PlotSpec("losses", "Training loss", description, width, height, tuple(marks))


def _finite_losses(row: dict) -> list[float]:
    return [v for v in row["head"].get("losses") or [] if finite_number(v) is not None]


def _held_out_losses(row: dict) -> list[tuple[float, float]]:
    """(share of the steps, validation loss) of each evaluation during training."""
    steps = finite_number(row["head"].get("steps"))
    checks = row["head"].get("checks") or []
    return [(c["step"] / steps, c["loss"]) for c in checks if steps and finite_number(c.get("loss")) is not None]


def _moving_average(losses: list[float], share: float = 0.05) -> list[float]:
    """Trailing means over a share of the losses."""
    reach = max(1, math.ceil(share * len(losses)))
    return [fmean(losses[max(0, i - reach + 1) : i + 1]) for i in range(len(losses))]


def _closing_sections(facts: dict) -> str:
    failed = (f"<strong>{escape(r['method'])}</strong>: {escape(r['error'])}" for r in facts["methods"] if r["error"])
    lead = "Methods that cannot be had here, and why."
    left_out = html.section("left", "Left out", lead, html.bullet_list(failed))
    lead = "The line that repeats this comparison, from where it was typed."
    return left_out + html.section("again", "Once more", lead, html.command_block(facts["command"]))
