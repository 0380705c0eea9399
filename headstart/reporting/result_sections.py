"""Report sections on results: headline metric, warnings, all metrics, confusion, calibration, mistakes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from headstart.reporting import confusion, html, plots
from headstart.reporting.finding_cards import file_name, finding_card, quote_html, thumbnail_html
from headstart.reporting.formatting import (
    NBSP,
    count_examples,
    escape,
    example_nouns,
    finite_number,
    format_number,
    format_percent,
    metric_format,
    name_html,
)


def verdict_heading(result: dict) -> str:
    """The run's verdict as a heading."""
    verdict = str(result.get("verdict") or "")
    if not verdict:
        key, head = _headline_metric(result)
        metric = metric_format(key)
        verdict = f"{metric.label} {metric.format(head.get('value'))}." if key else "A run of Headstart."
    verdict = verdict.replace(" %", f"{NBSP}%")
    # The brackets come before any name from the data, so the first "). " closes them.
    return html.verdict_heading(verdict, end="). ")


def headline_section(result: dict) -> str:
    """The headline metric, large, with its interval and baselines."""
    key, headline = _headline_metric(result)
    if not key:
        return ""
    metric = metric_format(key)
    n, level = finite_number(headline.get("n")), finite_number(headline.get("level"))
    value, label = escape(metric.format(headline.get("value"))), escape(metric.label)
    value_html = f'<p class="large"><strong>{value}</strong> <span>{label}'
    interval = metric.interval(headline.get("low"), headline.get("high"))
    if interval != "–":
        value_html += f"<br>{100 * (level or 0.95):g}&nbsp;% interval {interval}{'&nbsp;%' if metric.is_share else ''}"
    nouns = example_nouns(result)[1]
    lead = f"{label}: {escape(metric.meaning.format(nouns=nouns))}."
    lead += f" Measured on {count_examples(int(n), result)} {_evaluation_protocol(result)}." if n else ""
    if interval != "–":
        lead += f" The bar is the interval: other {nouns} of the same kind would put the figure in it "
        lead += "about 19 times out of 20." if (level or 0.95) == 0.95 else f"{format_percent(level)} of the time."
    if headline.get("better") == "lower":
        lead += " Lower is better."
    plot = html.responsive_plot(partial(plots.headline_plot, result))
    return html.section("figure", "The number", lead, f"{value_html}</span></p>", plot)


def _evaluation_protocol(result: dict) -> str:
    folds = (result.get("task") or {}).get("folds")
    return f"by {folds}-fold cross-validation: each was judged by a head that never saw it" if folds else "it never saw"


def _headline_metric(result: dict) -> tuple[str, dict]:
    key, headline = next(iter((result.get("metrics") or {}).items()), ("", None))
    return key, headline or {}


def warnings_section(result: dict, folder: Path) -> str:
    """Findings of level "stop" and "warn"."""
    cards = [finding_card(f, folder) for f in result.get("findings") or [] if f.get("level") in ("stop", "warn")]
    return html.section("warnings", "Know this first", "What the automatic checks found.", *cards)


def notes_section(result: dict, folder: Path) -> str:
    """Findings of level "note"."""
    if "findings" not in result:
        return ""
    cards = [finding_card(f, folder) for f in result["findings"] or [] if f.get("level") not in ("stop", "warn")]
    clear = "Nothing beyond the warnings above."
    if not result["findings"]:
        clear = "The automatic checks found nothing to warn of."
    lead = "Looked at on every run: silent mistakes that a good figure can hide."
    return html.section("checks", "Checks", lead, *(cards or [html.paragraph(clear)]))


def metrics_section(result: dict) -> str:
    """Every metric with its interval, chance level and meaning."""
    rows = []
    for key, m in (result.get("metrics") or {}).items():
        metric, m = metric_format(key), m or {}
        meaning = escape(metric.meaning.format(nouns=example_nouns(result)[1]))
        label = f"{escape(metric.label)}<small>{meaning}</small>"
        # Saying the shares of the classes is perfectly calibrated, and useless: a 0 there would read as better.
        chance = "–" if key == "ece" else metric.format(m.get("chance"))
        interval = metric.interval(m.get("low"), m.get("high"))
        interval_html = "" if interval == "–" else f"<small>{interval}</small>"
        rows.append((label, f"<b>{metric.format(m.get('value'))}</b>{interval_html}", chance))
    if not rows:
        return ""
    constant = "mean" if (result.get("task") or {}).get("objective") == "number" else "commonest answer"
    lead = (
        f"Several ways to look at the same answers. <i>By chance</i> is what always giving the {constant} scores; "
        "the small figures are the 95 % interval."
    )
    body = html.table("All figures", ("Figure", "Value", "By chance"), rows)
    return html.section("figures", "All the figures", lead, body)


def confusion_section(result: dict) -> str:
    """The confusion matrix and the most frequent confusions."""
    names, _ = confusion.confusion_counts(result)
    if not names:
        return ""
    min_width = confusion.min_width(result)
    if min_width <= html.PHONE_WIDTH:
        plot = html.responsive_plot(partial(confusion.confusion_plot, result))
    else:
        plot = html.scrollable_plot(confusion.confusion_plot(result, max(html.DESKTOP_WIDTH, min_width)), min_width)
    lead = "Each row is one true class, each column what the model said. Blue on the diagonal is right, orange is "
    lead += "wrong; stronger colour is a larger share of the row. Columns stand in the order of the rows."
    pairs = [
        f"<b>{n:,}</b> <div>{name_html(names[i])} <span>said to be</span> {name_html(names[j])}</div>"
        for n, i, j in confusion.most_confused(result, 20 if len(names) > confusion.MAX_NUMBERED else 5)
    ]
    confusions = html.paragraph("Not one was taken for another.")
    if pairs:
        confusions = f"<h3>The most frequent mix-ups</h3>{html.bullet_list(pairs, 'mixups')}"
    return html.section("confusion", "What it takes for what", lead, plot, confusions)


def per_class_section(result: dict) -> str:
    """Recall by class (F1 by tag) as bars, and a table of all."""
    details = result.get("details") or {}
    ranked, key = plots.rank_labels(details)
    if not ranked:
        return ""
    is_classes, lead = key == "recall", "F1, one figure for misses and false alarms."
    if is_classes:
        lead = "How many of each class it found, weakest first. "
        lead += "The whiskers are 95 % intervals: few examples, wide doubt."
    if len(ranked) > plots.MAX_BARS:
        lead += f" The {plots.N_WEAKEST} weakest and the {plots.N_STRONGEST} strongest of {len(ranked)}."
    rows = []
    for r in details.get("per_class") or details.get("per_tag") or []:
        shares = [format_percent(r.get(k)) if r.get("n", 1) else "–" for k in ("recall", "precision", "f1")]
        rows.append([name_html(r.get("name", "")), f"{r.get('n', 0):,}", *shares])
    heads = ("Class" if is_classes else "Tag", "Examples", "Found (recall)", "Right when said (precision)", "F1")
    full_table = html.collapsible(f"All {len(rows)} as a table", html.table("All classes", heads, rows))
    title, plot = "Class by class" if is_classes else "Tag by tag", partial(plots.per_class_plot, result)
    return html.section("classes", title, lead, html.responsive_plot(plot), full_table)


def calibration_section(result: dict) -> str:
    """Reliability diagram; for regression predictions against true values."""
    plot = html.responsive_plot(partial(plots.reliability_diagram, result))
    if plot:
        lead = "On the dashed line its confidence can be taken at its word: 80 % sure is right 80 times in 100. Below "
        lead += "the line it is too sure of itself, above it too modest. Large dots stand for many answers."
        return html.section("trust", "Can its confidence be trusted?", lead, plot)
    plot = html.responsive_plot(partial(plots.scatter_plot, result))
    quantiles = (result.get("details") or {}).get("residual_quantiles") or {}
    levels = [finite_number(quantiles.get(k)) for k in ("0.05", "0.25", "0.75", "0.95")]
    spread = ""
    if None not in levels:
        a, b, c, d = (format_number(m) for m in levels if m is not None)
        spread = html.paragraph(f"Half of the errors lie between {b} and {c}, nine of ten between {a} and {d}.")
    return html.section("trust", "Prediction against truth", "The nearer to the dashed line, the better.", plot, spread)


def mistakes_section(result: dict, folder: Path) -> str:
    """The most confident mistakes; for regression the largest errors."""
    if "mistakes" not in result:
        return ""
    is_regression = (result.get("task") or {}).get("objective") == "number"
    cards = [_mistake_card(m, folder, is_regression) for m in result["mistakes"] or []]
    lead = "The wrong answers it was surest of. Look at them first: often the label is what is wrong."
    if is_regression:
        lead = "The answers that were furthest off. Look at them first: often the label is what is wrong."
    body = f'<div class="cards">{"".join(cards)}</div>' if cards else html.paragraph("It made none.")
    return html.section(
        "mistakes", "Its largest errors" if is_regression else "Its most confident mistakes", lead, body
    )


def _mistake_card(entry: dict, folder: Path, is_regression: bool) -> str:
    confidence, confidence_html = entry.get("confidence"), ""
    if not is_regression and finite_number(confidence) is not None:
        confidence_html = f'<p class="sure">{format_percent(confidence)} sure</p>'
    thumbnail = thumbnail_html(str(entry.get("thumbnail") or ""), folder)
    text = quote_html(str(entry.get("text") or ""))
    truth, predicted = (name_html(entry.get(key, ""), 40) for key in ("truth", "predicted"))
    answers = html.definition_list([("in truth", truth), ("it said", predicted)], "answers")
    footer = f"<div>{confidence_html}{file_name(str(entry.get('id', '')))}</div>"
    return f'<article class="card{" worded" if text else ""}">{thumbnail}{text}{answers}{footer}</article>'
