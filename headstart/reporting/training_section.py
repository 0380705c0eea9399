"""Report section on training: loss curves and the learning-rate range test."""

from __future__ import annotations

from headstart.reporting.canvas import Circle, Line, Mark, PlotSpec, Scale, Text, clamped_text, log_ticks, ticks, y_axis
from headstart.reporting.formatting import escape, finite_number, format_number, format_percent
from headstart.reporting.html import bullet_list, collapsible, responsive_plot, section, table

PLOT_HEIGHT = 220.0


def loss_section(result: dict) -> str:
    """The section; "" for a method that does not train in steps."""
    notes = result.get("head") or {}
    loss_plots = responsive_plot(lambda w: loss_plot(result, w))
    loss_plots += responsive_plot(lambda w: lr_range_plot(result, w))
    if not loss_plots:
        return ""
    items = []
    if notes.get("acquainted"):
        steps = format_number(notes["acquainted"])
        items.append(f"Of so many classes the head learned alone first, for {steps} steps.")
    if notes.get("kept"):
        items.append(f"Kept: {escape(notes['kept'])}.")
    if finite_number(notes.get("drift")) is not None:
        drift = format_number(notes["drift"])
        items.append(f"Drift of the features: {drift} (0 as borrowed, 1 nothing left; 1 minus linear CKA).")
    forgetting = notes.get("forgetting")
    if forgetting:
        accuracies = f"{100 * forgetting['before']:.1f} % before, {100 * forgetting['after']:.1f} % after"
        items.append(f"Old skill, a linear probe on a reference of {forgetting['n']} rendered examples: {accuracies}.")
    versus = ((result.get("details") or {}).get("versus") or {}).get("probe")
    if versus:
        p = format_number(versus["p"])
        items.append(f"Against the plain probe on the same examples: {escape(versus['verdict'])}, p = {p}.")
    rows = []
    for b in (forgetting or {}).get("blocks") or []:
        shares = format_percent(b["before"]), format_percent(b["after"])
        rows.append((escape(b["block"]), *shares, format_number(b["drift"])))
    heads = ("Block", "Before", "After", "Drift")
    by_block = table("The old skill by block", heads, rows) if rows else ""
    by_block = collapsible("The old skill, block by block", by_block)
    lead = "The loss on training batches, and on the part that chooses the step to keep, where there is one."
    return section("training", "How it trained", lead, loss_plots, bullet_list(items, "told"), by_block)


def loss_plot(result: dict, width: float) -> PlotSpec | None:
    """Training loss by step, with the validation loss as dots."""
    notes = result.get("head") or {}
    losses = [v for v in notes.get("losses") or [] if finite_number(v) is not None]
    steps = finite_number(notes.get("steps")) or len(losses)
    if len(losses) < 3:
        return None
    checks = [(c["step"], c["loss"]) for c in notes.get("checks") or [] if finite_number(c.get("loss")) is not None]
    highest = max([*losses, *(v for _, v in checks)]) or 1.0
    across, up = Scale(0, steps, 44, width - 8), Scale(0, highest, PLOT_HEIGHT - 40, 24)
    marks: list[Mark] = [Text(0, 12, "Loss (lower is better)", 12, "muted")]
    marks += y_axis(ticks(0, highest, 4), up, (44, width - 8), "{:.3g}".format, gap=6)
    marks += [Text(across(v), PLOT_HEIGHT - 22, f"{v:,.0f}", 11, "muted", "middle") for v in ticks(0, steps, 5)[1:-1]]
    points = tuple((across((i + 0.5) * steps / len(losses)), up(v)) for i, v in enumerate(losses))
    marks.append(Line(points, "accent", 2))
    marks += [Circle(across(s), up(v), 4, "warm", tooltip=f"held out, step {s}: {v:.4g}") for s, v in checks]
    if checks:
        marks.append(Text(width - 8, 12, "dots: held out", 12, "warm", "end"))
    marks.append(Text((44 + width) / 2, PLOT_HEIGHT - 4, "steps", 12, "muted", "middle"))
    desc = f"From {format_number(losses[0])} to {format_number(losses[-1])} over {steps:,.0f} steps."
    return PlotSpec("losses", "Loss during training", desc, width, PLOT_HEIGHT, tuple(marks))


def lr_range_plot(result: dict, width: float) -> PlotSpec | None:
    """Loss by learning rate, with the rate that was taken."""
    notes = result.get("head") or {}
    points = [(p["rate"], p["loss"]) for p in notes.get("range") or [] if finite_number(p.get("loss")) is not None]
    if len(points) < 3:
        return None
    high = min(max(v for _, v in points), 2.5 * points[0][1])
    across = Scale(points[0][0], points[-1][0], 44, width - 8, log=True)
    up = Scale(min(v for _, v in points), high, PLOT_HEIGHT - 40, 40)
    marks: list[Mark] = [Text(0, 12, "Loss while the learning rate grows", 12, "muted")]
    marks += y_axis(ticks(up.low, high, 4), up, (44, width - 8), "{:.3g}".format, gap=6)
    rates = log_ticks(points[0][0], points[-1][0])
    marks += [Text(across(v), PLOT_HEIGHT - 22, f"{v:g}", 11, "muted", "middle") for v in rates]
    marks.append(Line(tuple((across(r), up(v)) for r, v in points), "accent", 2))
    rate = finite_number(notes.get("rate"))
    if rate:
        marks += [Line(((across(rate), 40), (across(rate), PLOT_HEIGHT - 40)), "warm", 1.5, dashed=True)]
        marks.append(clamped_text(f"taken: {rate:.2g}", across(rate), 34, 12, (44, width), bold=True))
    marks.append(Text((44 + width) / 2, PLOT_HEIGHT - 4, "learning rate (log scale)", 12, "muted", "middle"))
    desc = f"From {points[0][0]:.1g} to {points[-1][0]:.1g}" + (f"; {rate:.2g} was taken." if rate else ".")
    return PlotSpec("rates", "Learning-rate range test", desc, width, PLOT_HEIGHT, tuple(marks))
