"""Sections of a model card, independent of its format: from result.json, or from card.json alone.

A section is a title and blocks: a sentence, a list of sentences, a table, or code.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.core.messages import describe_delta_size
from headstart.reporting.formatting import (
    example_nouns,
    finite_number,
    format_bytes,
    format_count,
    metric_format,
    truncate,
)

MAX_LISTED = 30  # classes, and rows of a table; further ones are counted
HUB_NAME = re.compile(r"[\w][\w.\-]*/[\w][\w.\-]*")
PIP_EXTRAS = {"timm": "torch", "transformers": "text", "clip": "text"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of plain text."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Code to type. language: "bash" or "python" """

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class CardSection:
    """One section. blocks: str a sentence, tuple of str a list, Table, Code; empty ones are left out"""

    title: str
    blocks: tuple[str | tuple[str, ...] | Table | Code, ...]


def result_from_card(facts: dict) -> dict:
    """The part of result.json that a model's card.json holds."""
    objective, kept = facts["objective"], facts.get("delta") or {}
    metrics = {
        k: {"chance": None, "level": 0.95, "better": "higher", **m} for k, m in (facts.get("summary") or {}).items()
    }
    return {
        "version": facts.get("headstart", ""),
        "task": {"kind": facts["kind"], "objective": objective["name"], "classes": objective.get("names", []), "n": {}},
        "plan": {"method": facts["method"], "backbone": facts["backbone"]["name"], "cut": facts["cut"]},
        "backbone": facts["backbone"],
        "metrics": metrics,
        "head": facts.get("notes") or {},
        "bytes": {"delta": kept.get("bytes"), "full": kept.get("full"), "base": facts["backbone"].get("size")},
    }


def model_name(result: dict) -> str:
    """Data set, method and backbone; never a whole path."""
    backbone = result["plan"]["backbone"].partition(":")[2] or "numbers"
    return f"{dataset_name(result)}, {result['plan']['method']} on {backbone}"


def dataset_name(result: dict) -> str:
    """owner/name on the hub, or the last part of a path."""
    source = str(result.get("source") or "").rstrip("/")
    if source.startswith("hub:"):
        return source.removeprefix("hub:")
    return truncate(re.split(r"[/\\]", source)[-1] or "a model of Headstart", 60)


def hub_name(backbone: str) -> str:
    """owner/name of a backbone on the Hugging Face hub; "" for one from elsewhere."""
    family, _, rest = backbone.partition(":")
    name = rest.partition("?")[0].partition("@")[0]
    if family not in PIP_EXTRAS or name.startswith(("/", ".", "~", "local-dir:")):
        return ""
    name = re.sub(r"^hf[-_]hub:", "", name)
    name = f"timm/{name}" if family == "timm" and "/" not in name else name
    return name if HUB_NAME.fullmatch(name) and not Path(name).exists() else ""


def card_sections(result: dict, where: str = "DIR") -> list[CardSection]:
    """All sections of the card. where: the model's folder, or its name on the hub"""
    sections = [usage(result, where), overview(result), training_data(result), metrics_tables(result), findings(result)]
    sections += [limits(result), untested(result), licence(result), reproduction(result)]
    return [section for section in sections if any(section.blocks)]


def usage(result: dict, where: str) -> CardSection:
    """Install and predict, in the shell and in Python."""
    extra = PIP_EXTRAS.get(result["plan"]["backbone"].partition(":")[0], "")
    input_path = {"image": "photo.jpg", "text": '"a text"'}.get(result["task"]["kind"], "rows.npy")
    python_input = {"image": '"photo.jpg"', "text": '"a text"'}.get(result["task"]["kind"], "rows")
    hub = HUB_NAME.fullmatch(where) is not None
    extras = ",".join(filter(None, [extra, "hub" if hub else ""]))
    lines = [f"pip install 'headstart[{extras}]'" if extras else "pip install headstart"]
    folder = f"models/{where.partition('/')[2]}" if hub else where
    lines += [f"headstart pull {where}"] if hub else []
    lines += [f"headstart predict {shlex.quote(str(folder))} {input_path}"] if input_path != "rows.npy" else []
    python = f'import headstart\n\nfor answer in headstart.predict("{folder}", [{python_input}]):\n'
    python += "    print(answer.label, answer.confidence)"
    note = "" if hub else f"{where} is the folder in which this card lies. "
    note += "It holds what was learned and no code. Its witness is replayed at every load: an installation that "
    note += "would give other answers than were measured is refused."
    return CardSection("How to use it", (Code("\n".join(lines), "bash"), Code(python, "python"), note))


def overview(result: dict) -> CardSection:
    """Task, base model, method and delta."""
    task, plan, backbone, sizes = result["task"], result["plan"], result["backbone"], result.get("bytes") or {}
    names = task.get("classes") or []
    quantifier = {"classes": "one of", "tags": "any of"}.get(task["objective"])
    goal = f"It gives a {example_nouns(result)[0]} "
    goal += f"{quantifier} {len(names):,} labels: {_list_labels(names)}." if quantifier else "a number."
    base = f"Borrowed: {backbone['name']}"
    base += f", trained on {backbone['pretrained_on']}" if backbone.get("pretrained_on") else ""
    base += f", licence {backbone['licence']}" if backbone.get("licence") else ""
    base += f". {format_count(backbone['parameters'])} parameters" if backbone.get("parameters") else ""
    trained = (result.get("params") or {}).get("trained")
    learned = f"Learned here: {format_count(trained)} numbers, " if trained else "Learned here "
    learned += f"by the method {plan['method']}."
    ratio = describe_delta_size(sizes.get("delta") or 0, sizes.get("full") or 0)
    ratio = f", {ratio}" if ratio else ""
    delta = f"Kept: a delta of {format_bytes(sizes['delta'])}{ratio}." if sizes.get("delta") else ""
    stored = (result.get("head") or {}).get("stored") or {}
    if delta and stored.get("half"):
        delta += f" Tuned weights are kept in half precision: scores of {stored['rows']:,} examples moved by "
        delta += f"{stored['moved']:.1e} of the largest, no answer changed; the figures are of what is kept."
    pinned = f"Pinned to the base by content: {backbone['weights']}. Another base is refused."
    return CardSection("What it is", (tuple(filter(None, (goal, f"{base}.", learned, delta, pinned))),))


def training_data(result: dict) -> CardSection:
    """Split sizes and notes on the data."""
    task = result["task"]
    counts = task.get("n") or {}
    roles = {"train": "to learn from", "val": "to choose by", "test": "that judged it and nothing else"}
    nouns = example_nouns(result)[1]
    counts_text = [f"{n:,} {roles[name]}" for name, n in counts.items() if n and name in roles]
    folds = f"judged by {task['folds']}-fold cross-validation" if task.get("folds") else ""
    sizes = f"{nouns.capitalize()} out of {dataset_name(result)!r}: "
    aside = result.get("aside") or []
    lines = [f"{sizes}{'; '.join(filter(None, [*counts_text, folds]))}." if counts_text else ""]
    lines += [str(note) for note in task.get("notes") or []]
    lines.append(f"{len(aside):,} could not be read and took no part." if aside else "")
    return CardSection("Data", (tuple(filter(None, lines)),))


def metrics_tables(result: dict) -> CardSection:
    """Metrics with intervals, baselines, and metrics by class."""
    rows = []
    for key, m in (result.get("metrics") or {}).items():
        metric = metric_format(key)
        better = "" if m.get("better") != "lower" else " (lower is better)"
        interval = metric.interval(m.get("low"), m.get("high")) + (" %" if metric.is_share else "")
        chance = metric.format(m.get("chance"))
        rows.append((metric.label + better, metric.format(m["value"]), interval, chance, f"{m.get('n', 0):,}"))
    heads = ("figure", "value", "95 % interval", "without looking", "examples")
    headline = next(iter(result.get("metrics") or {}), "")
    baseline_labels = {"knn": "nearest neighbours", "probe": "the plain probe on frozen features"}
    baselines = {k: v for k, v in (result.get("baselines") or {}).items() if finite_number(v) is not None}
    named = {baseline_labels[k]: v for k, v in baselines.items() if k in baseline_labels}
    comparison = "; ".join(f"{label} {metric_format(headline).format(v)}" for label, v in named.items())
    classes = (result.get("details") or {}).get("per_class") or []
    class_rows = tuple(map(_class_row, classes[:MAX_LISTED]))
    table = Table(("label", "found (recall)", "95 % interval", "right when said (precision)", "examples"), class_rows)
    omitted = f"{len(classes) - MAX_LISTED:,} more labels are in the report." if len(classes) > MAX_LISTED else ""
    return CardSection(
        "Figures",
        (Table(heads, tuple(rows)) if rows else "", f"To hold them against: {comparison}." if comparison else "",
         table if class_rows else "", omitted),
    )  # fmt: skip


def findings(result: dict) -> CardSection:
    """Findings of the guards."""
    if "findings" not in result:
        return CardSection("Findings", ())
    lines = tuple(f"{f['guard']} ({f['level']}): {f['message']}" for f in result["findings"])
    return CardSection("Findings", (lines or "The automatic checks found nothing.",))


def _class_row(entry: dict) -> tuple[str, ...]:
    metric = metric_format("accuracy")
    interval = f"{metric.interval(entry.get('low'), entry.get('high'))} %"
    recall, precision = metric.format(entry.get("recall")), metric.format(entry.get("precision"))
    return truncate(entry["name"], 40), recall, interval, precision, f"{entry['n']:,}"


def limits(result: dict) -> CardSection:
    """Intended use, weakest class and uncertainty."""
    task, metrics = result["task"], result.get("metrics") or {}
    nouns = example_nouns(result)[1]
    key = next(iter(metrics), "")
    headline: dict = metrics.get(key, {})
    intended = f"Meant for {nouns} like those in {dataset_name(result)!r}, taken or written in the same way"
    lines = [f"{intended}, with a person who can overrule it."]
    if task["objective"] == "classes":
        closed_set = "It always names one of its labels, also for what is none of them"
        lines.append(f"{closed_set}: look at the confidence, and set a border below which a person decides.")
    classes = [c for c in (result.get("details") or {}).get("per_class") or [] if c["n"] >= 5]
    weakest = min(classes, key=lambda c: c["recall"], default=None)
    if weakest is not None and key == "accuracy" and weakest["recall"] < headline["value"] - 0.05:
        recall = f"{weakest['recall']:.1%} of {weakest['n']:,} found"
        lines.append(f"Its weakest label is {truncate(weakest['name'], 40)!r}: {recall}.")
    if "ece" in metrics:
        lines.append(f"Its confidence is off by {metric_format('ece').format(metrics['ece']['value'])} on average.")
    if key and finite_number(headline.get("low")) is not None:
        metric = metric_format(key)
        interval = metric.interval(headline["low"], headline["high"]) + (" %" if metric.is_share else "")
        lines.append(f"{metric.label} on such {nouns} lies in {interval} with 95 % certainty: it is no single figure.")
    lines.append("Not for decisions about people, or where a mistake does harm, without tests of your own.")
    return CardSection("Intended use and limits", (tuple(lines),))


def untested(result: dict) -> CardSection:
    """Conditions that the evaluation did not cover."""
    kind = result["task"]["kind"]
    shift = {
        "image": "Other cameras, light, places, backgrounds or seasons than those in the data.",
        "text": "Other languages, other writers, other times, or texts much longer or shorter than those in the data.",
    }.get(kind, "Rows measured by another instrument or computed by another program.")
    lines = [shift, "Inputs that are none of its labels, drawings meant to fool it, and damaged files."]
    lines.append("Whether it treats groups of people alike.")
    lines.append("What changes over time: the figures are of the day of the fit.")
    n_models = ((result.get("details") or {}).get("judged") or {}).get("models")
    if n_models and n_models > 1:
        judged = f"The same examples have judged {n_models} models on that machine"
        lines.append(f"{judged}: the best of many is partly luck.")
    return CardSection("What it was not tested on", (tuple(lines),))


def licence(result: dict) -> CardSection:
    """Licence of the base model, and a warning about the witness."""
    stated, name = result["backbone"].get("licence"), result["backbone"]["name"]
    base_licence = f"The borrowed network {name} is under {stated}."
    if not stated:
        base_licence = f"The licence of the borrowed network {name} is not stated in its files: "
        base_licence += "look before you pass this on."
    origin = "What was learned is made from it and from the data, whose terms are their owner's."
    witness = "witness.npz holds a dozen of the examples as they are, byte for byte: "
    witness += "pass the folder on only to those who may see them."
    return CardSection("Licence", ((base_licence, origin, witness),))


def reproduction(result: dict) -> CardSection:
    """The command, without local paths."""
    if not result.get("command"):
        return CardSection("Make it again", ())
    words, source = shlex.split(result["command"]), str(result.get("source") or "")
    skip = {i for n, word in enumerate(words) if word == "--into" for i in (n, n + 1)}
    public = {} if source.startswith("hub:") else {source: dataset_name(result)}
    arguments = [public.get(word, word) for n, word in enumerate(words) if n not in skip]
    note = f"Headstart {result.get('version', '')}, {str(result.get('created') or '')[:10]}. "
    note += "The same data, version and weights give the same figures."
    return CardSection("Make it again", (Code(" ".join(map(shlex.quote, arguments)), "bash"), note))


def _list_labels(names: Sequence[str]) -> str:
    listed = ", ".join(truncate(n, 40) for n in names[:MAX_LISTED])
    return listed + (f" and {len(names) - MAX_LISTED:,} more" if len(names) > MAX_LISTED else "")
