"""One plain sentence about a result, and one of advice: what a manager reads first."""

from __future__ import annotations

PERCENT = {"accuracy", "balanced_accuracy", "macro_f1", "micro_f1"}
WEAK = 0.15  # a class whose recall lies this far below the accuracy is named


def verdict(result: dict) -> str:
    """The headline with its doubt and its baseline, then what to do next."""
    name, head = next(iter(result["metrics"].items()))
    noun = {"image": "photos", "text": "texts"}.get(result["task"]["kind"], "examples")
    return f"{_headline(name, head, noun, result)} {_advice(name, head, result)}"


def _headline(name: str, head: dict, noun: str, result: dict) -> str:
    how = f"in {result['task']['folds']}-fold cross-validation" if result["task"]["folds"] else "that it never saw"
    if name == "accuracy":
        chance = f"always saying the commonest class gives {_p(head['chance'])}"
        span = f"95 % interval {_p(head['low'])} to {_p(head['high'])}"
        opening = "No better than guessing: right" if head["low"] <= head["chance"] else "Right"
        return f"{opening} on {_p(head['value'])} of {head['n']:,} {noun} {how} ({span}; {chance})."
    if name in PERCENT:
        label = name.replace("_", " ").replace("f1", "F1")
        span = f"95 % interval {_p(head['low'])} to {_p(head['high'])}; without looking {_p(head['chance'])}"
        return f"{label[0].upper()}{label[1:]} {_p(head['value'])} on {head['n']:,} {noun} {how} ({span})."
    span = f"95 % interval {_g(head['low'])} to {_g(head['high'])}; always saying the middle gives {_g(head['chance'])}"
    opening = "No better than guessing: off" if head["high"] >= head["chance"] else "Off"
    return f"{opening} by {_g(head['value'])} on average over {head['n']:,} {noun} {how} ({span})."


def _advice(name: str, head: dict, result: dict) -> str:
    floor = any(f["guard"] == "floor" for f in result["findings"])
    hopeless = head["low"] <= head["chance"] if head["better"] == "higher" else head["high"] >= head["chance"]
    if floor:
        return "No network was borrowed yet: name a pretrained --backbone before judging the task."
    if hopeless:
        return "Do not use it: check the labels, add examples, or try another backbone."
    weak = _weakest(result, head)
    if name in PERCENT and head["high"] - head["low"] > 0.15:
        return f"Few examples judged it: label about {4 * head['n']:,} test examples before you rely on the number."
    if weak:
        facts = f"right on {_p(weak['recall'])} of {weak['n']}"
        return f"Its weakest class is '{_short(weak['name'])}' ({facts}): add examples of it first."
    versus = (result["details"].get("versus") or {}).get("probe")
    kept = ((result.get("head") or {}).get("race") or {}).get("winner") == "probe"
    if kept and versus and versus["verdict"] == "cannot tell":
        return "A plain probe answers: nothing that auto tried beside it was surely better on held-out examples."
    if versus and versus["verdict"] != "better":
        said = "worse than" if versus["verdict"] == "worse" else "not surely better than"
        return f"Training was {said} the plain probe on frozen features (p = {versus['p']:.2g}): ship --method probe."
    knn = result["baselines"].get("knn")
    if knn is not None and head["better"] == "higher" and knn > head["high"]:
        return "Nearest neighbours do better: the head is not getting all there is from these features."
    return "Look at the most confident mistakes below before you ship it."


def _weakest(result: dict, head: dict) -> dict | None:
    """The class with the lowest recall, when its interval lies clearly below the headline."""
    classes = [c for c in result["details"].get("per_class", []) if c["n"] >= 5]
    if not classes:
        return None
    weak = min(classes, key=lambda c: c["recall"])
    return weak if weak["recall"] < head["value"] - WEAK and weak["high"] < head["value"] else None


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"


def _p(share: float) -> str:
    # Never "100 %" for what is not: 0.9996 of 10,000 is 99.96 %.
    text = f"{100 * share:.1f}"
    return "100 %" if share == 1 else f"{100 * share:.2f} %" if text == "100.0" else f"{text} %"


def _g(number: float) -> str:
    return f"{number:.3g}"
