"""bench/README.md out of the parts' JSON documents: one table a part, with what a reader needs to judge it."""

from __future__ import annotations

from statistics import median

TITLES = {
    "fit": "A cold fit",
    "peers": "Against fastai and AutoGluon",
    "rates": "Embedding rates, the engine alone",
    "roofline": "Against the ceiling of this machine",
    "texts": "Texts",
    "photos": "Photos, from bytes to features",
    "head": "The head",
    "scaling": "More and more examples",
    "startup": "Starting up",
    "stages": "Where the time of a cold fit goes",
}
HEAD = ("what", "goal", "found", "", "ours: min / median / max", "beside us: min / median / max", "n", "turns", "")


def page(documents: list[dict], figures: dict[str, list[tuple[str, str]]]) -> str:
    """Markdown. figures: of each part, (file, title) of its plots"""
    lines = ["# Benchmarks", "", "Made by `make bench`. Each row has the other library beside us in the same run, in "]
    lines[-1] += "turns; found is the median of the turns' own ratios, with the smallest and the largest."
    for document in documents:
        lines += ["", f"## {TITLES.get(document['part'], document['part'])}", "", *_part(document)]
        lines += [f"![{title}]({file})" for file, title in figures.get(document["part"], [])]
    return "\n".join(lines) + "\n"


def _part(document: dict) -> list[str]:
    lines = [_machine(document), "", "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += ["| " + " | ".join(_cell(c) for c in cells(row)) + " |" for row in document["rows"]]
    for note in document.get("notes", []):
        lines += ["", note]
    for table in document.get("tables", []):
        lines += [
            "",
            f"**{table['title']}**",
            "",
            "| " + " | ".join(table["head"]) + " |",
            "|" + "---|" * len(table["head"]),
        ]
        lines += ["| " + " | ".join(_cell(str(c)) for c in some) + " |" for some in table["rows"]]
    return [*lines, ""]


def _machine(document: dict) -> str:
    m = document.get("machine")
    if not m:
        return "Not measured."
    able = "AMX" if m["amx"] else "bfloat16 without AMX" if m["bfloat16"] else "no bfloat16"
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    load = f"load {m['load']} when it began, {m['load_at_end']} when it ended"
    quick = " Quick: few turns, to see that it works." if document.get("quick") else ""
    place = f"{m['processor']}, {m['cores']} cores, {able}, {m['memory_gib']} GiB, {m['system']}"
    return f"{place}; {load}. {versions}.{quick}{_busy(m)}"


def _busy(machine: dict) -> str:
    """A warning where others were at work: torch's threads wait for each other, and lose more by it than ours do."""
    if max(machine["load"], machine["load_at_end"]) <= 1.5 * machine["cores"]:
        return ""
    return " **The machine was busy: ratios to what runs on torch are too good to be quoted.**"


def cells(row: dict) -> list[str]:
    """The cells of one row."""
    if row.get("missing"):
        return [row["what"], _goal(row), "not measured", "", "", "", "", "", row["missing"]]
    against = f"{row['against']}: " if row.get("theirs") and row["against"] else ""
    theirs = f"{against}{spread(row['theirs'], row['unit'])}" if row.get("theirs") else ""
    n = f"{row['n']:,}" if row["n"] else ""
    return [
        row["what"], _goal(row), _found(row), met(row), spread(row["ours"], row["unit"]), theirs, n,
        str(len(row["ours"])), row["beside"],
    ]  # fmt: skip


def met(row: dict) -> str:
    """Whether the goal is met, "" without one."""
    found = row.get("found")
    if found is None or (row["least"] is None and row["most"] is None):
        return ""
    good = found >= row["least"] if row["least"] is not None else found < row["most"]
    return "met" if good else "**missed**"


def spread(values: list[float], unit: str) -> str:
    """Smallest, median and largest of what the turns gave."""
    if not values:
        return ""
    some = [min(values), median(values), max(values)] if len(values) > 1 else values
    return f"{' / '.join(figure(v) for v in some)} {unit}".strip()


def figure(value: float) -> str:
    """Three digits that count."""
    if value != 0 and abs(value) < 1:
        return f"{value:.3f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def _goal(row: dict) -> str:
    unit = {"ratio": " ×", "share": "", "seconds": f" {row['unit']}", "plain": f" {row['unit']}"}[row["kind"]]
    if row["least"] is not None:
        return f"≥ {row['least']:.0%}" if row["kind"] == "share" else f"≥ {row['least']:g}{unit}"
    return f"< {row['most']:g}{unit}" if row["most"] is not None else ""


def _found(row: dict) -> str:
    if row.get("found") is None:
        return ""
    if row["kind"] == "share":
        words, low, high = f"{row['found']:.0%}", f"{row['range'][0]:.0%}", f"{row['range'][1]:.0%}"
    elif row["kind"] == "ratio":
        words = f"{row['found']:.2f} ×"
        low, high = (f"{v:.2f}" for v in row["range"])
    else:
        beside = f"; {row['ratio']:.1f} × as fast as what stands beside it" if row.get("ratio") else ""
        return f"{figure(row['found'])} {row['unit']}{beside}"
    return words if low == high else f"{words} ({low} – {high})"


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ")
