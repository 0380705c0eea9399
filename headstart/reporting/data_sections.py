"""Report sections on the backbone, the data, the time, and how to reproduce the run."""

from __future__ import annotations

import json
from functools import partial

from headstart.core.messages import describe_delta_size
from headstart.reporting import html, network_diagram, plots
from headstart.reporting.formatting import (
    count_examples,
    escape,
    example_nouns,
    finite_number,
    format_bytes,
    format_count,
    format_number,
    format_percent,
    format_seconds,
    name_html,
    sanitize,
)

SPLIT_LABELS = {
    "train": ("Training", "what it learned from"),
    "val": ("Validation", "for its choices, never for judging"),
    "test": ("Test", "what it never saw: judged it"),
}
MAX_CLASSES = 30  # listed by name
MAX_OPEN_FILES = 20  # unreadable files listed before the list is collapsed
NOTE_LABELS = {
    "strength": "regularisation setting",
    "temperature": "temperature (1 leaves confidence as it was)",
    "log_loss": "cross-validated log-loss",
    "log_loss_uncalibrated": "the same before the temperature",
    "at_border": "best at the edge of what was tried",
}


def backbone_section(result: dict) -> str:
    """The network with its cut: what is pretrained and frozen, what was trained."""
    plan, backbone = result.get("plan") or {}, result.get("backbone") or {}
    backbone_name = backbone.get("name") or plan.get("backbone")
    if not backbone_name:
        return ""
    params, sizes = result.get("params") or {}, result.get("bytes") or {}
    trained, total = finite_number(params.get("trained")), finite_number(params.get("total"))
    lead = "Borrowed is what others trained on far more data; trained is the small part that learned from yours. "
    lead += "The <i>cut</i> is where one ends and the other begins. Taller blocks hand on more numbers."
    pretrained = max(0.0, total - trained) if trained is not None and total is not None else None
    source = f", trained on {escape(backbone['pretrained_on'])}" if backbone.get("pretrained_on") else ""
    licence = f" (licence {escape(backbone['licence'])})" if backbone.get("licence") else ""
    term = "Borrowed" if pretrained or pretrained is None else "Nothing borrowed, only measured"
    items = [f"<b>{term}:</b> {name_html(backbone_name, 90)}{source}{licence}."]
    if pretrained:
        items[0] += f" {format_count(pretrained)} learned numbers (parameters)"
        items[0] += f", {format_bytes(sizes['base'])}." if finite_number(sizes.get("base")) else "."
    if trained is not None:
        share = f", {format_percent(trained / total)} of all" if total and trained <= total else ""
        method = name_html(plan.get("method", "?"))
        items.append(f"<b>Trained here:</b> {format_count(trained)} numbers{share}, by the method {method}.")
        if finite_number(sizes.get("delta")):
            smaller_than = describe_delta_size(sizes["delta"], finite_number(sizes.get("full")) or 0)
            items[-1] += f" What you keep on top of the borrowed network (the delta) is {format_bytes(sizes['delta'])}"
            items[-1] += f", {smaller_than}." if smaller_than else "."
            items[-1] += _storage_precision((result.get("head") or {}).get("stored"))
    items.append(_frozen_proof(result.get("frozen")))
    items.append(_preprocessing_proof(result.get("frozen")))
    reasons = html.bullet_list(map(escape, plan.get("reasons") or []))
    reasons = html.collapsible("Why it was done this way", reasons)
    plot = html.responsive_plot(partial(network_diagram.network_plot, result))
    facts = html.bullet_list(filter(None, items), "told")
    return html.section("borrowed", "What was borrowed, what was trained", lead, plot, facts, reasons)


def _storage_precision(facts: dict | None) -> str:
    """The precision in which fine-tuned weights are stored, and what rounding changed."""
    if not facts or finite_number(facts.get("moved")) is None:
        return ""
    precision = "in half precision" if facts.get("half") else "in single precision, because half would show"
    n_changed = finite_number(facts.get("turned")) or 0
    effect = f"scores of {facts.get('rows')} examples moved by {format_number(facts['moved'])} of the largest at most"
    return f" It is kept {precision}: {effect}, {n_changed:.0f} answers changed."


def _frozen_proof(frozen: dict | None) -> str:
    """The receipt in words: whether the frozen tensors stayed as they were."""
    if not frozen:
        return ""
    n_tensors, n_changed = finite_number(frozen.get("tensors")) or 0, finite_number(frozen.get("moved")) or 0
    if not n_tensors:
        return "<b>Frozen:</b> no network was opened, so there was nothing that could move."
    when = "" if frozen.get("when") in (None, "", "this run") else f" {escape(frozen['when'])}"
    from_cache = " This run took the features from the cache." if "features" in when else ""
    checked = f"{n_tensors:,.0f} tensors (the borrowed network's tables of numbers) checked before and after{when}"
    if n_changed:
        moved = f'<strong class="bad">{n_changed:,.0f} moved</strong>'
        return f"<b>Not frozen:</b> {checked}: {moved}. Do not trust this model."
    return f'<b>Frozen:</b> {checked}: <strong class="good">0 moved</strong>.{from_cache}'


def _preprocessing_proof(frozen: dict | None) -> str:
    """The smallest cosine between our embeddings of reference inputs and the library's own."""
    cosine = finite_number((frozen or {}).get("agreement"))
    if cosine is None:
        return ""
    return (
        f"<b>Fed rightly:</b> reference inputs gave the rows that the network's own library gives them (smallest "
        f"cosine {cosine:.4f}; below 0.999 the preparation is wrong)."
    )


def data_section(result: dict) -> str:
    """Split sizes, classes, what was inferred from the data, and what could not be read."""
    task = result.get("task") or {}
    counts = task.get("n") or {}
    folds = finite_number(task.get("folds"))
    tiles = []
    for key, (label, meaning) in SPLIT_LABELS.items():
        n = finite_number(counts.get(key))
        if n or (key == "train" and n is not None):
            role = "learned from and judged, in turns" if folds else meaning
            tiles.append((label, f"<b>{n:,.0f}</b><small>{role}</small>"))
    if folds:
        role = "each judged by a head that never saw it"
        tiles.append(("Cross-validation", f"<b>{folds:.0f} folds</b><small>{role}</small>"))
    names = task.get("classes") or []
    more = f" and {len(names) - MAX_CLASSES:,} more" if len(names) > MAX_CLASSES else ""
    listed = ", ".join(name_html(n, 40) for n in names[:MAX_CLASSES]) + more
    noun = "tags" if task.get("objective") == "tags" else "classes"
    class_list = html.paragraph(f"{len(names):,} {noun}: {listed}.") if names else ""
    inferred = html.bullet_list(escape(note) for note in task.get("notes") or [])
    beyond = result.get("beyond") or {}
    long_texts = ""
    if finite_number(beyond.get("texts")):
        long_texts = html.paragraph(
            f"{beyond['texts']:,} texts were longer than the network reads at once. They were read in windows and "
            "averaged; reading only the beginning would have lost "
            f"{format_percent(beyond.get('share'))} of an average text."
        )
    heading = "<h3>What was worked out from the data</h3>" if inferred else ""
    source = f"From <bdi>{escape(result['source'])}</bdi>." if result.get("source") else ""
    body = html.definition_list(tiles, "tiles"), class_list, heading, inferred, long_texts, _unreadable(result)
    return html.section("data", "The data", source, *body)


def _unreadable(result: dict) -> str:
    if "aside" not in result:
        return ""
    rows = [(name_html(a.get("id", ""), 80), escape(a.get("reason", ""))) for a in result["aside"] or []]
    if not rows:
        return "<h3>Set aside</h3>" + html.paragraph(f"Nothing: all {example_nouns(result)[1]} could be read.")
    files = html.bullet_list((f"{id}: {reason}" for id, reason in rows), "aside")
    if len(rows) > MAX_OPEN_FILES:
        files = html.collapsible(f"All {len(rows):,}", files)
    summary = html.paragraph(f"{count_examples(len(rows), result)} could not be read and took no part.")
    return f"<h3>Set aside</h3>{summary}{files}"


def time_section(result: dict) -> str:
    """Seconds by stage, and cache hits."""
    spent, cache = result.get("seconds") or {}, result.get("cache") or {}
    hits, misses = finite_number(cache.get("hits")), finite_number(cache.get("misses"))
    lead = f"In all {format_seconds(spent['total'])}." if finite_number(spent.get("total")) is not None else ""
    cache_note = ""
    if hits is not None and misses is not None:
        cached = f"what it makes of the other {int(hits):,} was in the cache."
        cache_note = f"The borrowed network ran on {count_examples(int(misses), result)}; "
        cache_note += cached if hits else "a second run takes them from the cache."
        if not misses:
            cache_note = "The borrowed network did not run at all: "
            cache_note += "everything it has to say about these data was in the cache."
    plot = html.responsive_plot(partial(network_diagram.timeline_plot, result))
    return html.section("time", "Time", lead, plot, html.paragraph(cache_note) if cache_note and plot else "")


def reproduction_section(result: dict) -> str:
    """The command, and everything that determines the result."""
    plan, backbone = result.get("plan") or {}, result.get("backbone") or {}
    command = str(result.get("command") or "")
    pinned = [
        ("Headstart", escape(result.get("version") or "")),
        ("Made on", escape(str(result.get("created") or "").replace("T", " ").replace("Z", " UTC"))),
        ("Seed", escape(plan.get("seed", ""))),
        ("Borrowed network", f"<code>{escape(plan.get('backbone') or backbone.get('name') or '')}</code>"),
        ("Its weights", _digest_html(plan.get("weights") or backbone.get("weights"))),
        ("Method", escape(plan.get("method") or "")),
        ("Its settings", escape(_format_settings(plan.get("settings") or {}))),
    ]
    lead = "The same command on the same data, with the same version and the same weights, gives the same figures."
    lead, block = (lead, html.command_block(command)) if command else ("", "")
    details = html.definition_list(pinned), _technical_details(result)
    return html.section("repeat", "Make it again", lead, block, *details)


def _technical_details(result: dict) -> str:
    backbone, head, frozen = (result.get(k) or {} for k in ("backbone", "head", "frozen"))
    steps = [
        (str(k), f"<code>{escape(json.dumps(v, ensure_ascii=False))}</code>")
        for k, v in _preprocess_settings(backbone.get("preprocess"))
    ]
    notes = [
        (NOTE_LABELS.get(k, sanitize(k).replace("_", " ")), _format_value(v))
        for k, v in head.items()
        if not isinstance(v, list | dict)
    ]
    curve = html.responsive_plot(partial(plots.regularization_plot, result))
    digests = [(when.capitalize(), _digest_html(frozen.get(f"digest_{when}"))) for when in ("before", "after")]
    explanation = html.paragraph(
        "Regularisation holds the head back from learning its training examples by heart. Each setting was tried on "
        "examples the head had not learned from (cross-validation), and one as good as the best was taken."
    )
    blocks = [
        (f"{i}  {name_html(b.get('name', ''), 60)}", escape(" x ".join(map(str, b.get("shape") or [])) or "–"))
        for i, b in enumerate(backbone.get("blocks") or [], 1)
    ]
    path = explanation + curve if curve else ""
    preparation = "How inputs are prepared before the borrowed network sees them"
    block_table = html.table("Blocks", ("Block", "Passes on"), blocks) if blocks else ""
    return (
        html.collapsible("How the head was chosen", path, html.definition_list(notes))
        + html.collapsible(preparation, html.definition_list(steps))
        + html.collapsible("The borrowed network, block by block", block_table)
        + html.collapsible("Digests of the frozen part", html.definition_list(digests))
    )


def _preprocess_settings(preprocess: dict | None) -> list[tuple[object, object]]:
    settings = (preprocess or {}).get("settings") or []
    return [tuple(pair) for pair in settings if isinstance(pair, list) and len(pair) == 2]


def _format_settings(settings: dict) -> str:
    return ", ".join(f"{k} = {v}" for k, v in settings.items()) or "as they come"


def _format_value(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no"}.get(value, "")  # type: ignore[arg-type]
    number = finite_number(value)
    if number is None:
        return escape(value)
    return f"{number:.4g}" if isinstance(value, float) else format_count(number)


def _digest_html(value: object) -> str:
    return f"<code>{escape(value)}</code>" if value else ""
