"""The sections that say what the model is made of, what it learned from, and how to make it again."""

from __future__ import annotations

import json

from headstart.core.messages import smaller
from headstart.reporting import network_diagram, plots
from headstart.reporting.formatting import (
    amount,
    clean,
    counted,
    esc,
    name,
    nouns,
    number,
    percent,
    plain,
    seconds,
    size,
)
from headstart.reporting.html import SLIM, WIDE, bullets, facts, folded, paragraph, plot, section, table

PARTS = {
    "train": ("Training", "what it learned from"),
    "val": ("Validation", "for its choices, never for judging"),
    "test": ("Test", "what it never saw: judged it"),
}
CLASSES = 30  # names listed before the rest is counted
UNFOLDED = 20  # files set aside that are listed in the open
TERMS = {
    "strength": "regularisation setting",
    "temperature": "temperature (1 leaves confidence as it was)",
    "log_loss": "cross-validated log-loss",
    "log_loss_uncalibrated": "the same before the temperature",
    "at_border": "best at the edge of what was tried",
}


def borrowed(result: dict) -> str:
    """The stack with its cut, in a picture and in words."""
    plan, card = result.get("plan") or {}, result.get("backbone") or {}
    called = card.get("name") or plan.get("backbone")
    if not called:
        return ""
    params, weight = result.get("params") or {}, result.get("bytes") or {}
    trained, total = number(params.get("trained")), number(params.get("total"))
    lead = "Borrowed is what others trained on far more data; trained is the small part that learned from yours. "
    lead += "The <i>cut</i> is where one ends and the other begins. Taller blocks hand on more numbers."
    lent = max(0.0, total - trained) if trained is not None and total is not None else None
    source = f", trained on {esc(card['pretrained_on'])}" if card.get("pretrained_on") else ""
    licence = f" (licence {esc(card['licence'])})" if card.get("licence") else ""
    term = "Borrowed" if lent or lent is None else "Nothing borrowed, only measured"
    told = [f"<b>{term}:</b> {name(called, 90)}{source}{licence}."]
    if lent:
        told[0] += f" {amount(lent)} learned numbers (parameters)"
        told[0] += f", {size(weight['base'])}." if number(weight.get("base")) else "."
    if trained is not None:
        share = f", {percent(trained / total)} of all" if total and trained <= total else ""
        told.append(
            f"<b>Trained here:</b> {amount(trained)} numbers{share}, by the method {name(plan.get('method', '?'))}."
        )
        if number(weight.get("delta")):
            against = smaller(weight["delta"], number(weight.get("full")) or 0)
            told[-1] += f" What you keep on top of the borrowed network (the delta) is {size(weight['delta'])}"
            told[-1] += f", {against}." if against else "."
            told[-1] += _stored((result.get("head") or {}).get("stored"))
    told.append(_receipt(result.get("frozen")))
    told.append(_agreed(result.get("frozen")))
    why = folded("Why it was done this way", bullets(esc(r) for r in plan.get("reasons") or []))
    picture = plot(network_diagram.stack(result, WIDE), network_diagram.stack(result, SLIM))
    return section(
        "borrowed", "What was borrowed, what was trained", lead, picture, bullets(filter(None, told), "told"), why
    )


def _stored(facts: dict | None) -> str:
    """In which precision tuned weights are kept, and what that cost."""
    if not facts or number(facts.get("moved")) is None:
        return ""
    how = "in half precision" if facts.get("half") else "in single precision, because half would show"
    turned = number(facts.get("turned")) or 0
    told = f"scores of {facts.get('rows')} examples moved by {plain(facts['moved'])} of the largest at most"
    return f" It is kept {how}: {told}, {turned:.0f} answers changed."


def _receipt(frozen: dict | None) -> str:
    """Proof in words that the borrowed part is what it was."""
    if not frozen:
        return ""
    count, moved = number(frozen.get("tensors")) or 0, number(frozen.get("moved")) or 0
    if not count:
        return "<b>Frozen:</b> no network was opened, so there was nothing that could move."
    when = "" if frozen.get("when") in (None, "", "this run") else f" {esc(frozen['when'])}"
    again = " This run took the features from the cache." if "features" in when else ""
    checked = f"{count:,.0f} tensors (the borrowed network's tables of numbers) checked before and after{when}"
    if moved:
        return (
            f'<b>Not frozen:</b> {checked}: <strong class="bad">{moved:,.0f} moved</strong>. Do not trust this model.'
        )
    return f'<b>Frozen:</b> {checked}: <strong class="good">0 moved</strong>.{again}'


def _agreed(frozen: dict | None) -> str:
    """Whether the network saw what its own library would have fed it."""
    alike = number((frozen or {}).get("agreement"))
    if alike is None:
        return ""
    return (
        f"<b>Fed rightly:</b> reference inputs gave the rows that the network's own library gives them (smallest "
        f"cosine {alike:.4f}; below 0.999 the preparation is wrong)."
    )


def data(result: dict) -> str:
    """How many examples, what was worked out from them, and what could not be read."""
    task = result.get("task") or {}
    counts = task.get("n") or {}
    folds = number(task.get("folds"))
    tiles = []
    for key, (label, meaning) in PARTS.items():
        n = number(counts.get(key))
        if n or (key == "train" and n is not None):
            tiles.append(
                (label, f"<b>{n:,.0f}</b><small>{'learned from and judged, in turns' if folds else meaning}</small>")
            )
    if folds:
        tiles.append(
            ("Cross-validation", f"<b>{folds:.0f} folds</b><small>each judged by a head that never saw it</small>")
        )
    names = task.get("classes") or []
    rest = f" and {len(names) - CLASSES:,} more" if len(names) > CLASSES else ""
    listed = ", ".join(name(n, 40) for n in names[:CLASSES]) + rest
    what = "tags" if task.get("objective") == "tags" else "classes"
    about = paragraph(f"{len(names):,} {what}: {listed}.") if names else ""
    inferred = bullets(esc(note) for note in task.get("notes") or [])
    beyond = result.get("beyond") or {}
    long = ""
    if number(beyond.get("texts")):
        long = f"{beyond['texts']:,} texts were longer than the network reads at once. They were read in windows and "
        long += (
            f"averaged; reading only the beginning would have lost {percent(beyond.get('share'))} of an average text."
        )
    heading = "<h3>What was worked out from the data</h3>" if inferred else ""
    source = f"From <bdi>{esc(result['source'])}</bdi>." if result.get("source") else ""
    return section(
        "data",
        "The data",
        source,
        facts(tiles, "tiles"),
        about,
        heading,
        inferred,
        paragraph(long) if long else "",
        _aside(result),
    )


def _aside(result: dict) -> str:
    if "aside" not in result:
        return ""
    rows = [(name(a.get("id", ""), 80), esc(a.get("reason", ""))) for a in result["aside"] or []]
    if not rows:
        return "<h3>Set aside</h3>" + paragraph(f"Nothing: all {nouns(result)[1]} could be read.")
    listed = bullets((f"{who}: {why}" for who, why in rows), "aside")
    told = paragraph(f"{counted(len(rows), result)} could not be read and took no part.")
    return f"<h3>Set aside</h3>{told}" + (listed if len(rows) <= UNFOLDED else folded(f"All {len(rows):,}", listed))


def time(result: dict) -> str:
    """Where the seconds went, and what the cache saved."""
    spent, cache = result.get("seconds") or {}, result.get("cache") or {}
    hits, misses = number(cache.get("hits")), number(cache.get("misses"))
    lead = f"In all {seconds(spent['total'])}." if number(spent.get("total")) is not None else ""
    told = ""
    if hits is not None and misses is not None:
        told = f"The borrowed network ran on {counted(int(misses), result)}; "
        told += (
            f"what it makes of the other {int(hits):,} was in the cache."
            if hits
            else "a second run takes them from the cache."
        )
        if not misses:
            told = (
                "The borrowed network did not run at all: everything it has to say about these data was in the cache."
            )
    picture = plot(network_diagram.timeline(result, WIDE), network_diagram.timeline(result, SLIM))
    return section("time", "Time", lead, picture, paragraph(told) if told and picture else "")


def repeat(result: dict) -> str:
    """The exact command, and everything that pins the result down."""
    plan, card = result.get("plan") or {}, result.get("backbone") or {}
    command = str(result.get("command") or "")
    pre = ""
    if command:
        pre = '<div class="command"><button type="button" class="copy" hidden>Copy</button>'
        pre += f'<pre tabindex="0" aria-label="Command">{esc(command)}</pre></div>'
    settings = {k: v for k, v in (plan.get("settings") or {}).items()}
    pinned = [
        ("Headstart", esc(result.get("version") or "")),
        ("Made on", esc(str(result.get("created") or "").replace("T", " ").replace("Z", " UTC"))),
        ("Seed", esc(plan.get("seed", ""))),
        ("Borrowed network", f"<code>{esc(plan.get('backbone') or card.get('name') or '')}</code>"),
        ("Its weights", _digest(plan.get("weights") or card.get("weights"))),
        ("Method", esc(plan.get("method") or "")),
        ("Its settings", esc(_settings(settings))),
    ]
    lead = "The same command on the same data, with the same version and the same weights, gives the same figures."
    return section("repeat", "Make it again", lead if command else "", pre, facts(pinned), _technical(result))


def _technical(result: dict) -> str:
    card, head, frozen = (result.get(k) or {} for k in ("backbone", "head", "frozen"))
    steps = [
        (str(k), f"<code>{esc(json.dumps(v, ensure_ascii=False))}</code>") for k, v in _pairs(card.get("preprocess"))
    ]
    learned = [
        (TERMS.get(k, clean(k).replace("_", " ")), _value(v)) for k, v in head.items() if not isinstance(v, list | dict)
    ]
    curve = plot(plots.strength(result, WIDE), plots.strength(result, SLIM))
    digests = [("Before", _digest(frozen.get("digest_before"))), ("After", _digest(frozen.get("digest_after")))]
    why = paragraph(
        "Regularisation holds the head back from learning its training examples by heart. Each setting was tried on "
        "examples the head had not learned from (cross-validation), and one as good as the best was taken."
    )
    blocks = [
        (f"{i}  {name(b.get('name', ''), 60)}", esc(" x ".join(map(str, b.get("shape") or [])) or "–"))
        for i, b in enumerate(card.get("blocks") or [], 1)
    ]
    return "".join(
        (
            folded("How the head was chosen", (why + curve) if curve else "", facts(learned)),
            folded("How inputs are prepared before the borrowed network sees them", facts(steps)),
            folded(
                "The borrowed network, block by block",
                table("Blocks", ("Block", "Passes on"), blocks) if blocks else "",
            ),
            folded("Digests of the frozen part", facts(digests)),
        )
    )


def _pairs(preprocess: dict | None) -> list[tuple[object, object]]:
    return [
        tuple(pair) for pair in (preprocess or {}).get("settings") or [] if isinstance(pair, list) and len(pair) == 2
    ]


def _settings(settings: dict) -> str:
    return ", ".join(f"{k} = {v}" for k, v in settings.items()) or "as they come"


def _value(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no"}.get(value, "")  # type: ignore[arg-type]
    known = number(value)
    return esc(value) if known is None else esc(f"{known:.4g}") if isinstance(value, float) else amount(known)


def _digest(value: object) -> str:
    return f"<code>{esc(value)}</code>" if value else ""
