"""How training went: the loss on the way, the part that chose, and the learning-rate range test."""

from __future__ import annotations

from headstart.reporting.canvas import Circle, Drawing, Line, Mark, Scale, Text, powers, ticks
from headstart.reporting.formatting import breadth, esc, number, percent, plain
from headstart.reporting.html import SLIM, WIDE, bullets, folded, plot, section, table

HEIGHT = 220.0


def trained(result: dict) -> str:
    """The section; "" for a method that does not train in steps."""
    head = result.get("head") or {}
    pictures = plot(*(losses(result, w) for w in (WIDE, SLIM))) + plot(*(ranged(result, w) for w in (WIDE, SLIM)))
    told = []
    if head.get("acquainted"):
        told.append(f"Of so many classes the head learned alone first, for {plain(head['acquainted'])} steps.")
    if head.get("kept"):
        told.append(f"Kept: {esc(head['kept'])}.")
    if number(head.get("drift")) is not None:
        told.append(
            f"Drift of the features: {plain(head['drift'])} (0 as borrowed, 1 nothing left; 1 minus linear CKA)."
        )
    lost = head.get("forgetting")
    if lost:
        both = f"{100 * lost['before']:.1f} % before, {100 * lost['after']:.1f} % after"
        told.append(f"Old skill, a linear probe on a reference of {lost['n']} rendered examples: {both}.")
    versus = ((result.get("details") or {}).get("versus") or {}).get("probe")
    if versus:
        told.append(
            f"Against the plain probe on the same examples: {esc(versus['verdict'])}, p = {plain(versus['p'])}."
        )
    blocks = (lost or {}).get("blocks") or []
    rows = [(esc(b["block"]), percent(b["before"]), percent(b["after"]), plain(b["drift"])) for b in blocks]
    heads = ("Block", "Before", "After", "Drift")
    old = folded("The old skill, block by block", table("The old skill by block", heads, rows)) if rows else ""
    lead = "The loss on training batches, and on the part that chooses the step to keep, where there is one."
    return section("training", "How it trained", lead, pictures, bullets(told, "told"), old) if pictures else ""


def losses(result: dict, width: float) -> Drawing | None:
    """Training loss along the steps; the held-out loss as dots."""
    head = result.get("head") or {}
    path = [v for v in head.get("losses") or [] if number(v) is not None]
    steps = number(head.get("steps")) or len(path)
    if len(path) < 3:
        return None
    checks = [(c["step"], c["loss"]) for c in head.get("checks") or [] if number(c.get("loss")) is not None]
    top = max([*path, *(v for _, v in checks)]) or 1.0
    across, up = Scale(0, steps, 44, width - 8), Scale(0, top, HEIGHT - 40, 24)
    marks: list[Mark] = [Text(0, 12, "Loss (lower is better)", 12, "muted")]
    marks += _grid(ticks(0, top, 4), up, width)
    marks += [Text(across(v), HEIGHT - 22, f"{v:,.0f}", 11, "muted", "middle") for v in ticks(0, steps, 5)[1:-1]]
    points = tuple((across((i + 0.5) * steps / len(path)), up(v)) for i, v in enumerate(path))
    marks.append(Line(points, "accent", 2))
    marks += [Circle(across(s), up(v), 4, "warm", hint=f"held out, step {s}: {v:.4g}") for s, v in checks]
    if checks:
        marks.append(Text(width - 8, 12, "dots: held out", 12, "warm", "end"))
    marks.append(Text((44 + width) / 2, HEIGHT - 4, "steps", 12, "muted", "middle"))
    desc = f"From {plain(path[0])} to {plain(path[-1])} over {steps:,.0f} steps."
    return Drawing("losses", "Loss during training", desc, width, HEIGHT, tuple(marks))


def ranged(result: dict, width: float) -> Drawing | None:
    """Loss against a growing learning rate, and the rate that was taken."""
    head = result.get("head") or {}
    path = [(p["rate"], p["loss"]) for p in head.get("range") or [] if number(p.get("loss")) is not None]
    if len(path) < 3:
        return None
    high = min(max(v for _, v in path), 2.5 * path[0][1])
    across = Scale(path[0][0], path[-1][0], 44, width - 8, log=True)
    up = Scale(min(v for _, v in path), high, HEIGHT - 40, 40)
    marks: list[Mark] = [Text(0, 12, "Loss while the learning rate grows", 12, "muted")]
    marks += _grid(ticks(up.low, high, 4), up, width)
    marks += [Text(across(v), HEIGHT - 22, f"{v:g}", 11, "muted", "middle") for v in powers(path[0][0], path[-1][0])]
    marks.append(Line(tuple((across(r), up(v)) for r, v in path), "accent", 2))
    rate = number(head.get("rate"))
    if rate:
        words = f"taken: {rate:.2g}"
        x = min(max(across(rate), 44 + breadth(words, 12) / 2), width - breadth(words, 12) / 2)
        marks += [Line(((across(rate), 40), (across(rate), HEIGHT - 40)), "warm", 1.5, dashed=True)]
        marks.append(Text(x, 34, words, 12, "ink", "middle", True))
    marks.append(Text((44 + width) / 2, HEIGHT - 4, "learning rate (log scale)", 12, "muted", "middle"))
    desc = f"From {path[0][0]:.1g} to {path[-1][0]:.1g}" + (f"; {rate:.2g} was taken." if rate else ".")
    return Drawing("rates", "Learning-rate range test", desc, width, HEIGHT, tuple(marks))


def _grid(values: list[float], up: Scale, width: float) -> list[Mark]:
    marks: list[Mark] = []
    for value in values:
        marks.append(Line(((44, up(value)), (width - 8, up(value))), "line"))
        marks.append(Text(38, up(value) + 4, f"{value:.3g}", 11, "muted", "end"))
    return marks
