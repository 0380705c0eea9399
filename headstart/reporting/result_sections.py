"""The sections that say how good the model is and where it goes wrong."""

from __future__ import annotations

from pathlib import Path

from headstart.reporting import confusion, plots
from headstart.reporting.finding_cards import card, picture, quoted
from headstart.reporting.formatting import SPACE, counted, esc, measure_of, name, nouns, number, percent, plain
from headstart.reporting.html import SLIM, WIDE, bullets, facts, folded, paragraph, plot, scrolled, section, table


def verdict(result: dict) -> str:
    """What the run came to: its main clause large, then the doubt in brackets and the advice."""
    whole = str(result.get("verdict") or "")
    if not whole:
        key, head = _headline(result)
        whole = (
            f"{measure_of(key).label} {measure_of(key).figure(head.get('value'))}." if key else "A run of Headstart."
        )
    whole = whole.replace(" %", f"{SPACE}%")
    # The figure is said first, its doubt in brackets, advice after them; names from the data come only in the advice.
    first, _, rest = whole.partition(" (")
    doubt, closed, advice = rest.partition("). ")
    if not closed:
        return f"<h1>{esc(whole)}</h1>"
    small = f'<span class="doubt">({esc(doubt)}).</span> <span class="advice">{esc(advice)}</span>'
    return f"<h1>{esc(first)} {small}</h1>"


def number_section(result: dict) -> str:
    """The headline figure, large, with what to hold it against."""
    key, head = _headline(result)
    if not key:
        return ""
    measure = measure_of(key)
    n, level = number(head.get("n")), number(head.get("level"))
    large = f'<p class="large"><strong>{esc(measure.figure(head.get("value")))}</strong> <span>{esc(measure.label)}'
    span = measure.span(head.get("low"), head.get("high"))
    if span != "–":
        large += f"<br>{100 * (level or 0.95):g}&nbsp;% interval {span}{'&nbsp;%' if measure.percent else ''}"
    lead = f"{esc(measure.label)}: {esc(measure.meaning.format(nouns=nouns(result)[1]))}."
    lead += f" Measured on {counted(int(n), result)} {_unseen(result)}." if n else ""
    if span != "–":
        lead += f" The bar is the interval: other {nouns(result)[1]} of the same kind would put the figure in it "
        lead += "about 19 times out of 20." if (level or 0.95) == 0.95 else f"{percent(level)} of the time."
    if head.get("better") == "lower":
        lead += " Lower is better."
    pictures = plot(plots.headline(result, WIDE), plots.headline(result, SLIM))
    return section("figure", "The number", lead, f"{large}</span></p>", pictures)


def _unseen(result: dict) -> str:
    folds = (result.get("task") or {}).get("folds")
    return f"by {folds}-fold cross-validation: each was judged by a head that never saw it" if folds else "it never saw"


def _headline(result: dict) -> tuple[str, dict]:
    key, head = next(iter((result.get("metrics") or {}).items()), ("", None))
    return key, head or {}


def warnings(result: dict, folder: Path) -> str:
    """What should be known before the figure is believed."""
    cards = [card(f, folder) for f in result.get("findings") or [] if f.get("level") in ("stop", "warn")]
    return section("warnings", "Know this first", "What the automatic checks found.", *cards)


def notes(result: dict, folder: Path) -> str:
    """What the checks noted by the way."""
    if "findings" not in result:
        return ""
    cards = [card(f, folder) for f in result["findings"] or [] if f.get("level") not in ("stop", "warn")]
    loud = len(result["findings"] or []) - len(cards)
    clear = paragraph(
        "The automatic checks found nothing to warn of." if not loud else "Nothing beyond the warnings above."
    )
    return section(
        "checks", "Checks", "Looked at on every run: silent mistakes that a good figure can hide.", *(cards or [clear])
    )


def figures(result: dict) -> str:
    """Every metric with its doubt, its chance level and what it means."""
    rows = []
    for key, m in (result.get("metrics") or {}).items():
        measure, m = measure_of(key), m or {}
        meaning = esc(measure.meaning.format(nouns=nouns(result)[1]))
        label = f"{esc(measure.label)}<small>{meaning}</small>"
        # Saying the shares of the classes is perfectly calibrated, and useless: a 0 there would read as better.
        chance = "–" if key == "ece" else measure.figure(m.get("chance"))
        span = measure.span(m.get("low"), m.get("high"))
        doubt = "" if span == "–" else f"<small>{span}</small>"
        rows.append((label, f"<b>{measure.figure(m.get('value'))}</b>{doubt}", chance))
    if not rows:
        return ""
    usual = "mean" if (result.get("task") or {}).get("objective") == "number" else "commonest answer"
    lead = (
        f"Several ways to look at the same answers. <i>By chance</i> is what always giving the {usual} scores; "
        "the small figures are the 95 % interval."
    )
    return section("figures", "All the figures", lead, table("All figures", ("Figure", "Value", "By chance"), rows))


def mixups(result: dict) -> str:
    """The confusion matrix and the commonest mix-ups."""
    names, _ = confusion.counts(result)
    if not names:
        return ""
    least = confusion.least(result)
    wide = confusion.matrix(result, max(WIDE, least))
    slim = confusion.matrix(result, SLIM)
    picture = plot(wide, slim) if least <= SLIM else scrolled(wide, least)
    few = len(names) <= confusion.NUMBERED
    lead = (
        "Each row is one true class, each column what the model said. Blue on the diagonal is right, orange is wrong; "
    )
    lead += "stronger colour is a larger share of the row. Columns stand in the order of the rows."
    pairs = [
        f"<b>{n:,}</b> <div>{name(names[i])} <span>said to be</span> {name(names[j])}</div>"
        for n, i, j in confusion.frequent(result, 20 if not few else 5)
    ]
    title = "The most frequent mix-ups" if pairs else ""
    told = f"<h3>{title}</h3>{bullets(pairs, 'mixups')}" if pairs else paragraph("Not one was taken for another.")
    return section("confusion", "What it takes for what", lead, picture, told)


def by_class(result: dict) -> str:
    """A bar a class, and all of them as a table."""
    details = result.get("details") or {}
    ranked, key = plots.ranked(details)
    if not ranked:
        return ""
    of_classes = key == "recall"
    lead = (
        "How many of each class it found, weakest first."
        if of_classes
        else "F1, one figure for misses and false alarms."
    )
    lead += " The whiskers are 95 % intervals: few examples, wide doubt." if of_classes else ""
    if len(ranked) > plots.ALL:
        lead += f" The {plots.WORST} weakest and the {plots.BEST} strongest of {len(ranked)}."
    rows = []
    for r in details.get("per_class") or details.get("per_tag") or []:
        cells = [
            name(r.get("name", "")),
            f"{r.get('n', 0):,}",
            *(percent(r.get(k)) for k in ("recall", "precision", "f1")),
        ]
        rows.append(cells if r.get("n", 1) else [*cells[:2], "–", "–", "–"])
    heads = ("Class" if of_classes else "Tag", "Examples", "Found (recall)", "Right when said (precision)", "F1")
    whole = folded(f"All {len(rows)} as a table", table("All classes", heads, rows))
    return section(
        "classes", "Class by class" if of_classes else "Tag by tag", lead, _both(plots.per_class, result), whole
    )


def trust(result: dict) -> str:
    """Reliability of its confidence, or of numbers: truth against prediction."""
    picture = _both(plots.reliability, result)
    if picture:
        lead = (
            "On the dashed line its confidence can be taken at its word: 80 % sure is right 80 times in 100. Below the "
        )
        lead += "line it is too sure of itself, above it too modest. Large dots stand for many answers."
        return section("trust", "Can its confidence be trusted?", lead, picture)
    picture = _both(plots.scatter, result)
    quantiles = (result.get("details") or {}).get("residual_quantiles") or {}
    marks = [number(quantiles.get(k)) for k in ("0.05", "0.25", "0.75", "0.95")]
    told = ""
    if None not in marks:
        a, b, c, d = (plain(m) for m in marks if m is not None)
        told = paragraph(f"Half of the errors lie between {b} and {c}, nine of ten between {a} and {d}.")
    return section("trust", "Prediction against truth", "The nearer to the dashed line, the better.", picture, told)


def _both(draw, result: dict) -> str:
    return plot(draw(result, WIDE), draw(result, SLIM))


def mistakes(result: dict, folder: Path) -> str:
    """The wrong answers it was surest of: often a wrong label, or what to collect next."""
    if "mistakes" not in result:
        return ""
    number_task = (result.get("task") or {}).get("objective") == "number"
    cards = [_mistake(m, folder, number_task) for m in result["mistakes"] or []]
    lead = "The wrong answers it was surest of. Look at them first: often the label is what is wrong."
    if number_task:
        lead = "The answers that were furthest off. Look at them first: often the label is what is wrong."
    inside = f'<div class="cards">{"".join(cards)}</div>' if cards else paragraph("It made none.")
    return section("mistakes", "Its largest errors" if number_task else "Its most confident mistakes", lead, inside)


def _mistake(entry: dict, folder: Path, number_task: bool) -> str:
    sure = entry.get("confidence")
    told = f"{percent(sure)} sure" if not number_task and number(sure) is not None else ""
    shown = picture(str(entry.get("thumbnail") or ""), folder)
    text = quoted(str(entry.get("text") or ""))
    said = [("in truth", name(entry.get("truth", ""), 40)), ("it said", name(entry.get("predicted", ""), 40))]
    answers = facts(said, "answers")
    bar = f'<p class="sure">{told}</p>' if told else ""
    whole = str(entry.get("id", ""))
    where = f'<p class="where" title="{esc(whole)}"><bdi>{esc(whole.rpartition("/")[2])}</bdi></p>'
    return f'<article class="card{" worded" if text else ""}">{shown}{text}{answers}<div>{bar}{where}</div></article>'
