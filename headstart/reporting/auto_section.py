"""Report section on `auto`: the posterior of each candidate's gain over the linear probe."""

from __future__ import annotations

from headstart.reporting.canvas import Circle, Line, Mark, PlotSpec, Scale, Text, ticks
from headstart.reporting.formatting import escape, format_number
from headstart.reporting.html import collapsible, responsive_plot, section, table

ROW_HEIGHT, HEADER_HEIGHT, AXIS_HEIGHT, LABEL_WIDTH = 26.0, 24.0, 34.0, 150.0


def candidates_section(result: dict) -> str:
    """The candidates with their gains; "" for other methods than auto."""
    race = (result.get("head") or {}).get("race") or {}
    entries = race.get("table") or []
    if not entries:
        return ""
    classes = (result.get("task") or {}).get("objective") == "classes"
    merit = "the calibrated probability of the true class" if classes else "that of the task"
    lead = (
        f"Each candidate learned from a part of the training examples and was judged on the rest. The merit is {merit}."
        " What is believed of a gain is the measured one, weighed with what such a gain was on other data: the fewer "
        "the examples, the more the other data say. Lines: one standard deviation to both sides; the probe stays "
        f"unless a gain lies {format_number(race.get('sure', 1.5))} of them above none. Taken: "
        f"{escape(race.get('winner', ''))}."
    )
    rows = [_candidate_row(entry, entry["method"] == race.get("winner")) for entry in entries]
    heads = ("Candidate", "Judged on", "Merit", "Gain, measured", "Gain, believed")
    full_table = collapsible(f"All {len(rows)} as a table", table("The candidates", heads, rows))
    return section("race", "How it was chosen", lead, responsive_plot(lambda w: gain_plot(result, w)), full_table)


def _candidate_row(entry: dict, taken: bool) -> tuple[str, ...]:
    name = escape(entry["method"]) + (" (taken)" if taken else "")
    if "refused" in entry:
        return name, "–", "–", "–", escape(entry["refused"])
    measured = f"{100 * entry['gain']:+.1f} %" if "gain" in entry else "–"
    posterior = f"{100 * entry['believed']:+.1f} ± {100 * entry['doubt']:.1f} %" if "gain" in entry else "–"
    return name, f"{entry['judged']:,}", format_number(entry["merit"]), measured, posterior


def gain_plot(result: dict, width: float) -> PlotSpec | None:
    """Posterior gains over the probe with their standard deviations, best first."""
    race = (result.get("head") or {}).get("race") or {}
    entries = sorted((e for e in race.get("table") or [] if "gain" in e), key=lambda e: -e["believed"])
    if not entries:
        return None
    ends = [100 * (e["believed"] + s * e["doubt"]) for e in entries for s in (-1, 1)]
    height = HEADER_HEIGHT + ROW_HEIGHT * len(entries) + AXIS_HEIGHT
    across = Scale(min(0.0, *ends), max(0.0, *ends), LABEL_WIDTH + 10, width - 16)
    marks: list[Mark] = [Text(0, 12, "Gain over the plain probe, as believed", 12, "muted")]
    floor = height - AXIS_HEIGHT
    for value in ticks(across.low, across.high, 6 if width > 500 else 4):
        x, label = across(value), f"{value:+g} %" if value else "0"
        marks.append(Line(((x, HEADER_HEIGHT), (x, floor)), "line"))
        marks.append(Text(x, floor + 16, label, 11, "muted", "middle"))
    marks.append(Line(((across(0), HEADER_HEIGHT), (across(0), floor)), "muted", 1.5, dashed=True))
    for i, e in enumerate(entries):
        y, taken = HEADER_HEIGHT + ROW_HEIGHT * (i + 0.5), e["method"] == race.get("winner")
        colour = "good" if taken else "accent"
        low, mean, high = (across(100 * (e["believed"] + s * e["doubt"])) for s in (-1, 0, 1))
        tooltip = f"{e['method']}: {100 * e['believed']:+.1f} ± {100 * e['doubt']:.1f} %, judged on {e['judged']:,}"
        marks += [Line(((low, y), (high, y)), colour, 2), Circle(mean, y, 5, colour, tooltip=tooltip)]
        marks.append(Text(LABEL_WIDTH, y + 4, e["method"], 12, "ink" if taken else "muted", "end", taken))
    best = entries[0]
    desc = f"The largest: {best['method']}, {100 * best['believed']:+.1f} ± {100 * best['doubt']:.1f} %."
    return PlotSpec("race", "What is believed of each candidate's gain", desc, width, height, tuple(marks))
