"""A plain sentence about a result and one of advice: what a manager reads first."""

from __future__ import annotations

PERCENT_METRICS = {"accuracy", "balanced_accuracy", "macro_f1", "micro_f1"}
WEAK_CLASS_GAP = 0.15  # of a class's recall below the accuracy, from which the class is named


def verdict(result: dict) -> str:
    """The headline metric with its interval and chance level, then what to do next."""
    name, head = next(iter(result["metrics"].items()))
    nouns = {"image": "photos", "text": "texts"}.get(result["task"]["kind"], "examples")
    return f"{_headline(name, head, nouns, result)} {_advice(name, head, result)}"


def _headline(name: str, head: dict, nouns: str, result: dict) -> str:
    protocol = f"in {result['task']['folds']}-fold cross-validation" if result["task"]["folds"] else "that it never saw"
    tested = f"{head['n']:,} {nouns} {protocol}"
    write = _format_percent if name in PERCENT_METRICS else _format_number
    value, low, high, chance = (write(head[key]) for key in ("value", "low", "high", "chance"))
    interval = f"95 % interval {low} to {high}"
    if name == "accuracy":
        opening = "No better than guessing: right" if head["low"] <= head["chance"] else "Right"
        return f"{opening} on {value} of {tested} ({interval}; always saying the commonest class gives {chance})."
    if name in PERCENT_METRICS:
        label = name.replace("_", " ").replace("f1", "F1")
        return f"{label[0].upper()}{label[1:]} {value} on {tested} ({interval}; without looking {chance})."
    opening = "No better than guessing: off" if head["high"] >= head["chance"] else "Off"
    return f"{opening} by {value} on average over {tested} ({interval}; always saying the middle gives {chance})."


def _advice(name: str, head: dict, result: dict) -> str:
    floor = any(f["guard"] == "floor" for f in result["findings"])
    at_chance = head["low"] <= head["chance"] if head["better"] == "higher" else head["high"] >= head["chance"]
    if floor:
        return "No network was borrowed yet: name a pretrained --backbone before judging the task."
    if at_chance:
        return "Do not use it: check the labels, add examples, or try another backbone."
    weakest = _weakest_class(result, head)
    if name in PERCENT_METRICS and head["high"] - head["low"] > 0.15:
        return f"Few examples judged it: label about {4 * head['n']:,} test examples before you rely on the number."
    if weakest:
        recall = f"right on {_format_percent(weakest['recall'])} of {weakest['n']}"
        return f"Its weakest class is '{_truncate(weakest['name'])}' ({recall}): add examples of it first."
    versus = (result["details"].get("versus") or {}).get("probe")
    probe_won = ((result.get("head") or {}).get("race") or {}).get("winner") == "probe"
    if probe_won and versus and versus["verdict"] == "cannot tell":
        return "A plain probe answers: nothing that auto tried beside it was surely better on held-out examples."
    if versus and versus["verdict"] != "better":
        comparison = "worse than" if versus["verdict"] == "worse" else "not surely better than"
        doubt = f"p = {versus['p']:.2g}"
        return f"Training was {comparison} the plain probe on frozen features ({doubt}): ship --method probe."
    knn = result["baselines"].get("knn")
    if knn is not None and head["better"] == "higher" and knn > head["high"]:
        return "Nearest neighbours do better: the head is not getting all there is from these features."
    return "Look at the most confident mistakes below before you ship it."


def _weakest_class(result: dict, head: dict) -> dict | None:
    """The class with the lowest recall, where its interval lies below the headline metric."""
    classes = [c for c in result["details"].get("per_class", []) if c["n"] >= 5]
    weakest = min(classes, key=lambda c: c["recall"], default=None)
    weak = weakest and weakest["recall"] < head["value"] - WEAK_CLASS_GAP and weakest["high"] < head["value"]
    return weakest if weak else None


def _truncate(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"


def _format_percent(share: float) -> str:
    # Never "100 %" for less than all: 0.9996 is 99.96 %.
    text = f"{100 * share:.1f}"
    return "100 %" if share == 1 else f"{100 * share:.2f} %" if text == "100.0" else f"{text} %"


def _format_number(number: float) -> str:
    return f"{number:.3g}"
