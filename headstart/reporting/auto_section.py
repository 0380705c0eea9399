"""How `auto` chose: what is believed of each candidate's gain over the plain probe, and from how many examples."""

from __future__ import annotations

from headstart.reporting.canvas import Circle, Drawing, Line, Mark, Scale, Text, ticks
from headstart.reporting.formatting import esc, plain
from headstart.reporting.html import SLIM, WIDE, folded, plot, section, table

ROW, HEAD, FOOT, NAMES = 26.0, 24.0, 34.0, 150.0


def raced(result: dict) -> str:
    """The section; "" where nothing was raced."""
    race = (result.get("head") or {}).get("race") or {}
    entries = race.get("table") or []
    if not entries:
        return ""
    classes = (result.get("task") or {}).get("objective") == "classes"
    merit = "The merit is the calibrated probability of the true class" if classes else "The merit is that of the task"
    lead = (
        f"Each candidate learned from a part of the training examples and was judged on the rest. {merit}. What is "
        "believed of a gain is the measured one, weighed with what such a gain was on other data: the fewer the "
        "examples, the more the other data say. Lines: one standard deviation to both sides; the probe stays unless a "
        f"gain lies {plain(race.get('sure', 1.5))} of them above none. Taken: {esc(race.get('winner', ''))}."
    )
    rows = [_row(entry, entry["method"] == race.get("winner")) for entry in entries]
    heads = ("Candidate", "Judged on", "Merit", "Gain, measured", "Gain, believed")
    told = folded(f"All {len(rows)} as a table", table("The candidates", heads, rows))
    return section("race", "How it was chosen", lead, plot(*(gains(result, w) for w in (WIDE, SLIM))), told)


def _row(entry: dict, taken: bool) -> tuple[str, ...]:
    name = esc(entry["method"]) + (" (taken)" if taken else "")
    if "refused" in entry:
        return name, "–", "–", "–", esc(entry["refused"])
    measured = f"{100 * entry['gain']:+.1f} %" if "gain" in entry else "–"
    believed = f"{100 * entry['believed']:+.1f} ± {100 * entry['doubt']:.1f} %" if "gain" in entry else "–"
    return name, f"{entry['judged']:,}", plain(entry["merit"]), measured, believed


def gains(result: dict, width: float) -> Drawing | None:
    """Believed gains over the probe, each with its standard deviation; best first."""
    race = (result.get("head") or {}).get("race") or {}
    some = sorted((e for e in race.get("table") or [] if "gain" in e), key=lambda e: -e["believed"])
    if not some:
        return None
    ends = [100 * (e["believed"] + s * e["doubt"]) for e in some for s in (-1, 1)]
    height = HEAD + ROW * len(some) + FOOT
    across = Scale(min(0.0, *ends), max(0.0, *ends), NAMES + 10, width - 16)
    marks: list[Mark] = [Text(0, 12, "Gain over the plain probe, as believed", 12, "muted")]
    for value in ticks(across.low, across.high, 6 if width > 500 else 4):
        marks.append(Line(((across(value), HEAD), (across(value), height - FOOT)), "line"))
        marks.append(Text(across(value), height - FOOT + 16, f"{value:+g} %" if value else "0", 11, "muted", "middle"))
    marks.append(Line(((across(0), HEAD), (across(0), height - FOOT)), "muted", 1.5, dashed=True))
    for i, e in enumerate(some):
        y, taken = HEAD + ROW * (i + 0.5), e["method"] == race.get("winner")
        tone = "good" if taken else "accent"
        low, mean, high = (across(100 * (e["believed"] + s * e["doubt"])) for s in (-1, 0, 1))
        hint = f"{e['method']}: {100 * e['believed']:+.1f} ± {100 * e['doubt']:.1f} %, judged on {e['judged']:,}"
        marks += [Line(((low, y), (high, y)), tone, 2), Circle(mean, y, 5, tone, hint=hint)]
        marks.append(Text(NAMES, y + 4, e["method"], 12, "ink" if taken else "muted", "end", taken))
    best = some[0]
    desc = f"The largest: {best['method']}, {100 * best['believed']:+.1f} ± {100 * best['doubt']:.1f} %."
    return Drawing("race", "What is believed of each candidate's gain", desc, width, height, tuple(marks))
