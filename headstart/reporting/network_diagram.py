"""The network as a stack with its cut: what was borrowed, what was trained, and where the seconds went."""

from __future__ import annotations

import math

from headstart.reporting.canvas import Circle, Drawing, Line, Mark, Rect, Scale, Text
from headstart.reporting.formatting import amount, breadth, clean, fit, nouns, number, seconds

MOST, FEW = 24, 12  # bars on a screen and on a phone; a deeper network has several blocks in one
STAGES = {
    "read": "Read the data",
    "extract": "Run the borrowed network",
    "fit": "Train the head",
    "measure": "Judge it on the test part",
    "save": "Save the model",
    "other": "Everything else",
}


def stack(result: dict, width: float) -> Drawing | None:
    """Blocks from input to answer, frozen ones with a snowflake; the cut; the head."""
    plan, card = result.get("plan") or {}, result.get("backbone") or {}
    if not plan and not card:
        return None
    blocks = card.get("blocks") or [{"name": "", "shape": []}] * int(number(plan.get("blocks")) or 0)
    at = number(plan.get("cut"))
    cut = len(blocks) if at is None else min(max(int(at), 0), len(blocks))
    each = max(1, math.ceil(len(blocks) / (FEW if width < 500 else MOST)))
    below, above = _groups(blocks[:cut], each), _groups(blocks[cut:], each)
    left, right = 44.0, width - 124.0
    step = min(43.0, (right - left - (22 if below and above else 0)) / max(len(below) + len(above), 1))
    line = left + step * len(below) + 9 if below else left - 6 if above else right
    lent, trained = _numbers(result)
    said = [
        Text(20, 20, "borrowed, frozen" if lent else "fixed", 13, "ink", bold=True),
        Text(20, 38, lent, 12, "muted"),
    ]
    crowded = bool(below) and line - 26 < max(breadth(t.words, t.points) * (1.08 if t.bold else 1) for t in said)
    top = 46.0 if crowded else 0.0
    floor = top + 196.0
    marks: list[Mark] = [*_input(result, floor)]
    if below:
        marks += [*_lock(0, 8), *said, Line(((left, floor + 8), (line - 6, floor + 8)), "accent", 2)]
    tall = _heights([*below, *above])
    for i, (first, last) in enumerate([*below, *above]):
        x = left + step * i + (22 if below and i >= len(below) else 0)
        marks += _block(x, step - 3, floor, tall[i], _label(first, last), frozen=i < len(below))
    end = left + step * (len(below) + len(above)) + 24 if blocks else right + 16
    marks += [
        *_head(end, floor),
        *_cut(line, top, floor, trained, f"cut: {cut} of {len(blocks)} blocks" if blocks else "", width),
    ]
    if not blocks:
        marks.append(Text(left + 4, floor - 38, "no network borrowed", 12, "muted"))
    for i, words in enumerate(_footnotes(result, each)):
        marks.append(Text(0, floor + 50 + 16 * i, words, 12, "muted"))
    title = "What was borrowed and what was trained"
    where = f"{cut} of {len(blocks)} blocks are borrowed and frozen" if blocks else "no blocks were borrowed"
    desc = f"The network as a stack: {where}; {len(blocks) - cut} blocks and the head are trained here."
    return Drawing("stack", title, desc, width, floor + (76 if each > 1 else 60), tuple(marks))


def _numbers(result: dict) -> tuple[str, str]:
    """How many numbers were lent and how many trained, in words; "" where that is not known, or nothing."""
    params = result.get("params") or {}
    trained, total = number(params.get("trained")), number(params.get("total"))
    lent = f"{amount(total - trained)} numbers" if trained is not None and total is not None and total > trained else ""
    return lent, f"{amount(trained)} numbers" if trained is not None else ""


def _cut(line: float, top: float, floor: float, trained: str, words: str, width: float) -> list[Mark]:
    """The line between borrowed and trained, and what is on its right."""
    anchor, beside = ("end", line) if line > width / 2 else ("start", max(0.0, line - 20))
    return [
        Line(((line, top + 8), (line, floor + 10)), "ink", 1.5, dashed=True),
        Text(line + 8, top + 20, "trained here", 13, "ink", bold=True),
        Text(line + 8, top + 38, fit(trained, 12, width - line - 8), 12, "muted"),
        Text(beside, floor + 28, words, 12, "ink", anchor),
    ]


def _footnotes(result: dict, each: int) -> list[str]:
    wide = number((result.get("backbone") or {}).get("width"))
    reach = [f"{amount(wide)} numbers a {nouns(result)[0]} reach the head"] if wide else []
    return [*reach, *([f"each bar stands for {each} blocks"] if each > 1 else [])]


def _groups(blocks: list[dict], each: int) -> list[tuple[dict, dict]]:
    """First and last block of each bar."""
    return [(blocks[i], blocks[min(i + each, len(blocks)) - 1]) for i in range(0, len(blocks), each)]


def _heights(groups: list[tuple[dict, dict]]) -> list[float]:
    """On a log scale, how many numbers leave each bar; all alike where the shapes are not known."""
    sizes = [math.prod(last.get("shape") or [0]) for _, last in groups]
    if not sizes or min(sizes) <= 0 or min(sizes) == max(sizes):
        return [96.0] * len(sizes)
    scale = Scale(min(sizes), max(sizes), 52, 118, log=True)
    return [scale(s) for s in sizes]


def _label(first: dict, last: dict) -> str:
    shape = " x ".join(str(v) for v in last.get("shape") or [])
    names = clean(first.get("name", ""))
    names += "" if first is last or not names else f" to {clean(last.get('name', ''))}"
    return f"{names}: passes on {shape} numbers" if shape else names


def _input(result: dict, floor: float) -> list[Mark]:
    one, _ = nouns(result)
    return [
        Rect(0, floor - 62, 30, 40, "paper", "muted", radius=3),
        *(Line(((6, floor - 52 + d), (24, floor - 52 + d)), "muted", 1.5) for d in (0, 7, 14, 21)),
        Text(0, floor - 8, one, 12, "muted"),
    ]


def _block(x: float, w: float, floor: float, tall: float, hint: str, frozen: bool) -> list[Mark]:
    tone = "frost" if frozen else "warm"
    edge = "accent" if frozen else "warm"
    marks: list[Mark] = [
        Rect(x, floor - tall, max(w, 2), tall, tone, edge, alpha=1 if frozen else 0.3, radius=min(3, w / 3), hint=hint)
    ]
    if frozen:
        return [*marks, *_snow(x + w / 2, floor - tall / 2, min(6.0, w / 2 - 2))]
    return marks


def _snow(x: float, y: float, r: float) -> list[Mark]:
    if r < 2:
        return []
    legs = [(r * math.sin(a), r * math.cos(a)) for a in (0, math.pi / 3, -math.pi / 3)]
    return [Line(((x - dx, y - dy), (x + dx, y + dy)), "accent", 1.2) for dx, dy in legs]


def _head(x: float, floor: float) -> list[Mark]:
    """The head as a box with its answers fanning out."""
    marks: list[Mark] = [Rect(x, floor - 84, 42, 56, "warm", "warm", alpha=0.3, radius=6)]
    for dy in (-76, -56, -36):
        marks.append(Line(((x + 42, floor - 56), (x + 58, floor + dy)), "warm", 1.5))
        marks.append(Circle(x + 62, floor + dy, 4, "warm"))
    return [*marks, Text(x + 21, floor - 52, "head", 12, "ink", "middle", True)]


def _lock(x: float, y: float) -> list[Mark]:
    arch = [(x + 6.5 - 4 * math.cos(a), y + 5 - 5 * math.sin(a)) for a in (i * math.pi / 8 for i in range(9))]
    return [Line(tuple(arch), "accent", 2), Rect(x, y + 5, 13, 9, "accent", radius=2)]


def timeline(result: dict, width: float) -> Drawing | None:
    """The stages one after the other, each beginning where the last one ended."""
    told = {k: number(v) for k, v in (result.get("seconds") or {}).items()}
    spent = [(k, v) for k, v in told.items() if k != "total" and v is not None and v >= 0]
    total = max(told.get("total") or 0.0, sum(v for _, v in spent))
    if not spent or total <= 0:
        return None
    rest = total - sum(v for _, v in spent)
    if rest > 0.01 * total:
        spent.append(("other", rest))
    across = Scale(0, total, 0, width)
    marks: list[Mark] = []
    at = 0.0
    for i, (key, value) in enumerate(spent):
        y = 40.0 * i
        label = STAGES.get(key) or clean(key).capitalize()
        marks.append(Text(0, y + 14, fit(label, 13, width - 90), 13, "ink"))
        marks.append(Text(width, y + 14, seconds(value), 13, "muted", "end"))
        marks.append(Rect(0, y + 21, width, 9, "line", alpha=0.5, radius=3))
        long = max(3.0, across(value))
        marks.append(Rect(min(across(at), width - long), y + 21, long, 9, "accent", radius=2))
        at += value
    desc = ", ".join(f"{STAGES.get(k) or k}: {seconds(v)}" for k, v in spent)
    return Drawing(
        "seconds", "Where the time went", f"{desc}. In all {seconds(total)}.", width, 40.0 * len(spent), tuple(marks)
    )
