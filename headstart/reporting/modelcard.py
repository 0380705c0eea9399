"""What a model card says, without a form: from result.json, or from card.json alone where that is all there is.

A part is a title and blocks: a sentence, a list of them, a table with its heads first, or code to type.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.core.messages import smaller
from headstart.reporting.formatting import amount, measure_of, number, short, size

LISTED = 30  # classes and rows of a table; what is beyond is counted
HUB = re.compile(r"[\w][\w.\-]*/[\w][\w.\-]*")
NOUNS = {"image": ("photo", "photos"), "text": ("text", "texts"), "vector": ("row", "rows")}
EXTRAS = {"timm": "torch", "transformers": "text", "clip": "text"}


@dataclass(frozen=True, slots=True)
class Table:
    """Plain heads and rows."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Lines to type. language: "bash" or "python" """

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Part:
    """One section. blocks: str a sentence, tuple of str a list, Table, Code; empty ones are left out"""

    title: str
    blocks: tuple[str | tuple[str, ...] | Table | Code, ...]


def bare(facts: dict) -> dict:
    """The part of a result.json that a model's own card.json still tells."""
    objective, kept = facts["objective"], facts.get("delta") or {}
    metrics = {k: {"chance": None, "level": 0.95, "better": "higher", **m} for k, m in facts.get("summary", {}).items()}
    return {
        "version": facts.get("headstart", ""),
        "task": {"kind": facts["kind"], "objective": objective["name"], "classes": objective.get("names", []), "n": {}},
        "plan": {"method": facts["method"], "backbone": facts["backbone"]["name"], "cut": facts["cut"]},
        "backbone": facts["backbone"],
        "metrics": metrics,
        "head": facts.get("notes") or {},
        "bytes": {"delta": kept.get("bytes"), "full": kept.get("full"), "base": facts["backbone"].get("size")},
    }


def called(result: dict) -> str:
    """What the model is called: its data by name, never their whole path."""
    return (
        f"{source(result)}, {result['plan']['method']} on {result['plan']['backbone'].partition(':')[2] or 'numbers'}"
    )


def source(result: dict) -> str:
    """The data's name: owner/name of the hub, or the last part of a path."""
    given = str(result.get("source") or "").rstrip("/")
    if given.startswith("hub:"):
        return given.removeprefix("hub:")
    return short(re.split(r"[/\\]", given)[-1] or "a model of Headstart", 60)


def hub_name(backbone: str) -> str:
    """owner/name on the Hugging Face hub of what was borrowed; "" where it came from elsewhere."""
    family, _, rest = backbone.partition(":")
    name = rest.partition("?")[0].partition("@")[0]
    if family not in EXTRAS or name.startswith(("/", ".", "~", "local-dir:")):
        return ""
    name = re.sub(r"^hf[-_]hub:", "", name)
    name = f"timm/{name}" if family == "timm" and "/" not in name else name
    return name if HUB.fullmatch(name) and not Path(name).exists() else ""


def parts(result: dict, where: str = "DIR") -> list[Part]:
    """All of the card. where: what stands for the model's folder or its name on the hub"""
    made = [use(result, where), what(result), data(result), figures(result), found(result)]
    made += [limits(result), untested(result), licence(result), again(result)]
    return [part for part in made if any(part.blocks)]


def use(result: dict, where: str) -> Part:
    """Lines to type."""
    extra = EXTRAS.get(result["plan"]["backbone"].partition(":")[0], "")
    one = {"image": "photo.jpg", "text": '"a text"'}.get(result["task"]["kind"], "rows.npy")
    thing = {"image": '"photo.jpg"', "text": '"a text"'}.get(result["task"]["kind"], "rows")
    hub = HUB.fullmatch(where) is not None
    extras = ",".join(filter(None, [extra, "hub" if hub else ""]))
    lines = [f"pip install 'headstart[{extras}]'" if extras else "pip install headstart"]
    folder = f"models/{where.partition('/')[2]}" if hub else where
    lines += [f"headstart pull {where}"] if hub else []
    lines += [f"headstart predict {folder} {one}"] if one != "rows.npy" else []
    python = f'import headstart\n\nfor answer in headstart.predict("{folder}", [{thing}]):\n'
    python += "    print(answer.label, answer.confidence)"
    told = "" if hub else f"{where} is the folder in which this card lies. "
    told += "It holds what was learned and no code. Its witness is replayed at every load: an installation that "
    told += "would give other answers than were measured is refused."
    return Part("How to use it", (Code("\n".join(lines), "bash"), Code(python, "python"), told))


def what(result: dict) -> Part:
    """Task, base, method, delta."""
    task, plan, card, weight = result["task"], result["plan"], result["backbone"], result.get("bytes") or {}
    names = task.get("classes") or []
    kind = {"classes": "one of", "tags": "any of"}.get(task["objective"])
    goal = f"It gives a {NOUNS.get(task['kind'], ('example', ''))[0]} "
    goal += f"{kind} {len(names):,} labels: {_listed(names)}." if kind else "a number."
    base = f"Borrowed: {card['name']}"
    base += f", trained on {card['pretrained_on']}" if card.get("pretrained_on") else ""
    base += f", licence {card['licence']}" if card.get("licence") else ""
    base += f". {amount(card['parameters'])} parameters" if card.get("parameters") else ""
    trained = (result.get("params") or {}).get("trained")
    learned = f"Learned here: {amount(trained)} numbers, " if trained else "Learned here "
    learned += f"by the method {plan['method']}."
    against = smaller(weight.get("delta") or 0, weight.get("full") or 0)
    kept = (
        f"Kept: a delta of {size(weight['delta'])}{', ' + against if against else ''}." if weight.get("delta") else ""
    )
    stored = (result.get("head") or {}).get("stored") or {}
    if kept and stored.get("half"):
        kept += f" Tuned weights are kept in half precision: scores of {stored['rows']:,} examples moved by "
        kept += f"{stored['moved']:.1e} of the largest, no answer changed; the figures are of what is kept."
    pinned = f"Pinned to the base by content: {card['weights']}. Another base is refused."
    return Part("What it is", (tuple(filter(None, (goal, f"{base}.", learned, kept, pinned))),))


def data(result: dict) -> Part:
    """What it learned from and was judged on."""
    task = result["task"]
    counts = task.get("n") or {}
    words = {"train": "to learn from", "val": "to choose by", "test": "that judged it and nothing else"}
    nouns = NOUNS.get(task["kind"], ("example", "examples"))[1]
    told = [f"{n:,} {words[name]}" for name, n in counts.items() if n and name in words]
    folds = f"judged by {task['folds']}-fold cross-validation" if task.get("folds") else ""
    sizes = f"{nouns.capitalize()} out of {source(result)!r}: "
    aside = result.get("aside") or []
    lines = [f"{sizes}{'; '.join(filter(None, [*told, folds]))}." if told else ""]
    lines += [str(note) for note in task.get("notes") or []]
    lines.append(f"{len(aside):,} could not be read and took no part." if aside else "")
    return Part("Data", (tuple(filter(None, lines)),))


def figures(result: dict) -> Part:
    """Metrics with their doubt, baselines, classes."""
    rows = []
    for key, m in (result.get("metrics") or {}).items():
        measure = measure_of(key)
        better = "" if m.get("better") != "lower" else " (lower is better)"
        span = measure.span(m.get("low"), m.get("high")) + (" %" if measure.percent else "")
        chance = measure.figure(m.get("chance"))
        rows.append((measure.label + better, measure.figure(m["value"]), span, chance, f"{m.get('n', 0):,}"))
    heads = ("figure", "value", "95 % interval", "without looking", "examples")
    head = next(iter(result.get("metrics") or {}), "")
    known = {"knn": "nearest neighbours", "probe": "the plain probe on frozen features"}
    base = [(known[k], number(v)) for k, v in (result.get("baselines") or {}).items() if k in known]
    beside = "; ".join(f"{name} {measure_of(head).figure(v)}" for name, v in base if v is not None)
    classes = (result.get("details") or {}).get("per_class") or []
    each = tuple(map(_by_label, classes[:LISTED]))
    table = Table(("label", "found (recall)", "95 % interval", "right when said (precision)", "examples"), each)
    more = f"{len(classes) - LISTED:,} more labels are in the report." if len(classes) > LISTED else ""
    return Part(
        "Figures",
        (Table(heads, tuple(rows)) if rows else "", f"To hold them against: {beside}." if beside else "",
         table if each else "", more),
    )  # fmt: skip


def found(result: dict) -> Part:
    """What the automatic checks saw."""
    if "findings" not in result:
        return Part("Findings", ())
    lines = tuple(f"{f['guard']} ({f['level']}): {f['message']}" for f in result["findings"])
    return Part("Findings", (lines or "The automatic checks found nothing.",))


def _by_label(c: dict) -> tuple[str, ...]:
    shown = measure_of("accuracy")
    span = f"{shown.span(c.get('low'), c.get('high'))} %"
    return short(c["name"], 40), shown.figure(c.get("recall")), span, shown.figure(c.get("precision")), f"{c['n']:,}"


def limits(result: dict) -> Part:
    """What it is for, and where it ends."""
    task, metrics = result["task"], result.get("metrics") or {}
    nouns = NOUNS.get(task["kind"], ("example", "examples"))[1]
    key = next(iter(metrics), "")
    head: dict = metrics.get(key, {})
    alike = f"Meant for {nouns} like those in {source(result)!r}, taken or written in the same way"
    lines = [f"{alike}, with a person who can overrule it."]
    if task["objective"] == "classes":
        forced = "It always names one of its labels, also for what is none of them"
        lines.append(f"{forced}: look at the confidence, and set a border below which a person decides.")
    classes = [c for c in (result.get("details") or {}).get("per_class") or [] if c["n"] >= 5]
    weak = min(classes, key=lambda c: c["recall"], default=None)
    if weak is not None and key == "accuracy" and weak["recall"] < head["value"] - 0.05:
        lines.append(f"Its weakest label is {short(weak['name'], 40)!r}: {weak['recall']:.1%} of {weak['n']:,} found.")
    if "ece" in metrics:
        lines.append(f"Its confidence is off by {measure_of('ece').figure(metrics['ece']['value'])} on average.")
    if key and number(head.get("low")) is not None:
        measure = measure_of(key)
        span = measure.span(head["low"], head["high"]) + (" %" if measure.percent else "")
        lines.append(f"{measure.label} on such {nouns} lies in {span} with 95 % certainty: it is no single figure.")
    lines.append("Not for decisions about people, or where a mistake does harm, without tests of your own.")
    return Part("Intended use and limits", (tuple(lines),))


def untested(result: dict) -> Part:
    """What nobody has looked at."""
    kind = result["task"]["kind"]
    other = {
        "image": "Other cameras, light, places, backgrounds or seasons than those in the data.",
        "text": "Other languages, other writers, other times, or texts much longer or shorter than those in the data.",
    }.get(kind, "Rows measured by another instrument or computed by another program.")
    lines = [other, "Inputs that are none of its labels, drawings meant to fool it, and damaged files."]
    lines.append("Whether it treats groups of people alike.")
    lines.append("What changes over time: the figures are of the day of the fit.")
    judged = ((result.get("details") or {}).get("judged") or {}).get("models")
    if judged and judged > 1:
        lines.append(f"The same examples have judged {judged} models on that machine: the best of many is partly luck.")
    return Part("What it was not tested on", (tuple(lines),))


def licence(result: dict) -> Part:
    """Of the base; the rest is the owner's."""
    stated, name = result["backbone"].get("licence"), result["backbone"]["name"]
    base = f"The borrowed network {name} is under {stated}."
    if not stated:
        base = f"The licence of the borrowed network {name} is not stated in its files: look before you pass this on."
    lines = (base, "What was learned is made from it and from the data, whose terms are their owner's.")
    held = "witness.npz holds a dozen of the examples as they are, byte for byte: pass the folder on only to those who "
    return Part("Licence", ((*lines, f"{held}may see them."),))


def again(result: dict) -> Part:
    """The command, without the folders of the machine where it ran."""
    if not result.get("command"):
        return Part("Make it again", ())
    words, kept = shlex.split(result["command"]), []
    given = str(result.get("source") or "")
    skip = False
    for word in words:
        if skip or word == "--into":
            skip = not skip
            continue
        kept.append(source(result) if word == given and not given.startswith("hub:") else word)
    made = f"Headstart {result.get('version', '')}, {str(result.get('created') or '')[:10]}. "
    made += "The same data, version and weights give the same figures."
    return Part("Make it again", (Code(" ".join(map(shlex.quote, kept)), "bash"), made))


def _listed(names: Sequence[str]) -> str:
    some = ", ".join(short(n, 40) for n in names[:LISTED])
    return some + (f" and {len(names) - LISTED:,} more" if len(names) > LISTED else "")
