"""Runs of several methods on one split as a table: means over seeds, what each costs, and which is surely better."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np

from headstart.find import member, names
from headstart.pairing import SURE, Paired, compared

PROBES = ("probe", "logistic", "ridge")  # heads that a comparison is measured against
PERCENT = ("accuracy", "balanced_accuracy", "macro_f1", "micro_f1")
# Student's t for 95 %, by degrees of freedom from 1.
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
BEST_FOR = {
    "probe": "nearly everything first: seconds, and nothing of the backbone moves",
    "logistic": "nearly everything first: seconds, and nothing of the backbone moves",
    "ridge": "numbers; many outputs at once",
    "knn": "a look without training; classes that come and go",
    "centroid": "very few labels; classes that come and go",
    "mlp": "many labels whose classes no straight line parts",
    "finetune": "hundreds of labels, pictures unlike those of the pretraining",
    "lpft": "fine-tuning that must hold on unlike data too",
    "wise": "data that will drift away from the training set",
    "gradual": "texts, a few hundred labels",
    "full": "thousands of labels and time",
    "bias": "many tasks on one base, each a few KB",
    "lora": "many tasks on one base, nearly what full fine-tuning gives",
    "ia3": "many tasks on one base, the smallest files",
    "adapter": "many tasks on one base",
    "prompt": "many tasks on one base, transformers",
    "prefix": "many tasks on one base, transformers",
    "contrast": "8 to 50 labels a class",
    "scratch": "the baseline that tells whether borrowing helped",
    "compact": "where borrowing hurts: a small network of its own",
    "auto": "when in doubt",
}


def row(method: str, results: list[dict]) -> dict:
    """One method's line: what its runs have in common, and the headline's mean with its interval over the seeds."""
    first = results[0]
    metric = next(iter(first["metrics"]))
    values = [r["metrics"][metric]["value"] for r in results]
    spread = STUDENT[min(len(values), 10) - 2] * stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    low, high = (mean(values) - spread, mean(values) + spread) if spread is not None else (None, None)
    if low is not None and high is not None and metric in PERCENT:
        low, high = max(0.0, low), min(1.0, high)
    head = first.get("head") or {}
    learns = any("drift" in (r.get("head") or {}) for r in results)
    counts = first["task"]["n"]
    return {
        "method": method,
        "metric": metric,
        "mean": mean(values),
        "low": low,
        "high": high,
        "values": values,
        "seeds": len(values),
        "metrics": first["metrics"],
        "params": first["params"],
        "share": first["params"]["trained"] / max(1, first["params"]["total"]),
        "labels": counts["train"] + counts["val"],
        "bytes": first["bytes"],
        "seconds": {k: median(r["seconds"].get(k, 0.0) for r in results) for k in ("fit", "extract", "total")},
        "drift": mean((r.get("head") or {}).get("drift", 0.0) for r in results) if learns else 0.0,
        "forgetting": (head.get("forgetting") or {}).get("drop"),
        "plan": first["plan"],
        "best_for": BEST_FOR.get(method) or _said(method),
        "error": "",
    }


def _said(method: str) -> str:
    """What a member of another package says of itself in its first line."""
    return (member("methods", method).__doc__ or "").strip().partition("\n")[0] if method in names("methods") else ""


def known() -> list[dict]:
    """Every method: its name, what it does, what it is best for, its settings."""
    found = []
    for name in names("methods"):
        settings = asdict(member("methods", name).Settings())
        settings = {k: ",".join(map(str, v)) if isinstance(v, tuple) else v for k, v in settings.items()}
        found.append({"name": name, "about": _said(name), "best_for": BEST_FOR.get(name, ""), "settings": settings})
    return found


def refused(method: str, reason: str) -> dict:
    """The line of a method that cannot be had here."""
    return {"method": method, "error": reason, "best_for": BEST_FOR.get(method, "")}


def merits(folders: list[Path], objective: str) -> dict[str, float]:
    """What each example's answer was worth, by id, on average over the seeds: right or not, F1 of tags, minus error."""
    total: dict[str, list[float]] = {}
    for folder in folders:
        with open(folder / "predictions.csv", newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                total.setdefault(line["id"], []).append(_worth(line["label"], line["predicted"], objective))
    return {name: mean(some) for name, some in total.items()}


def _worth(label: str, predicted: str, objective: str) -> float:
    if objective == "number":
        return -((float(label) - float(predicted)) ** 2)
    if objective == "tags":
        a, b = ({t for t in text.split(";") if t} for text in (label, predicted))
        return 2 * len(a & b) / max(len(a) + len(b), 1)
    return float(label == predicted)


def pairs(worth: dict[str, dict[str, float]], seed: int) -> list[dict]:
    """Every method against every other on the examples that both answered; p-values of one table by Holm 1979."""
    found: list[tuple[str, str, Paired]] = []
    methods = list(worth)
    for i, a in enumerate(methods):
        for b in methods[i + 1 :]:
            ids = sorted(worth[a].keys() & worth[b].keys())
            one, other = (np.array([worth[m][k] for k in ids]) for m in (a, b))
            found.append((a, b, compared("worth", one, other, seed)))
    corrected = holm([p.p for _, _, p in found])
    return [
        {"a": a, "b": b, **asdict(p), "p_holm": q, "verdict": verdict_of(p.difference, q)}
        for (a, b, p), q in zip(found, corrected, strict=True)
    ]


def verdict_of(difference: float, p: float) -> str:
    """Of the first against the second."""
    return "cannot tell" if p >= SURE else "better" if difference > 0 else "worse"


def holm(p: list[float]) -> list[float]:
    """p-values that hold for all of the table together. Source: Holm 1979."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    out, last = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        last = max(last, min(1.0, (len(p) - rank) * p[i]))
        out[i] = last
    return out


def between(found: list[dict], a: str, b: str) -> dict | None:
    """The pair of a against b, whichever way it was taken."""
    for pair in found:
        if (pair["a"], pair["b"]) == (a, b):
            return pair
        if (pair["a"], pair["b"]) == (b, a):
            turned = {"better": "worse", "worse": "better"}.get(pair["verdict"], pair["verdict"])
            flipped = {"difference": -pair["difference"], "low": -pair["high"], "high": -pair["low"]}
            return {**pair, **flipped, "a": a, "b": b, "verdict": turned}
    return None


def verdict(rows: list[dict], found: list[dict]) -> str:
    """What to ship, in plain words."""
    done = [r for r in rows if not r["error"]]
    if not done:
        return "No method could be tried here."
    lower = done[0]["metrics"][done[0]["metric"]]["better"] == "lower"
    best = (min if lower else max)(done, key=lambda r: r["mean"])
    base = next((r for r in done if r["method"] in PROBES), None)
    if len(done) == 1 or base is None:
        return f"{best['method']} scored best: {_figure(best, best['mean'])} ({best['metric'].replace('_', ' ')})."
    cost = f"it trains {base['params']['trained']:,} numbers in {base['seconds']['fit']:.1f} s"
    if best is base:
        return f"The plain probe scored best ({_figure(base, base['mean'])}): ship it, {cost}."
    pair = between(found, best["method"], base["method"])
    assert pair is not None
    scores = f"{best['method']} {_figure(best, best['mean'])}, probe {_figure(base, base['mean'])}"
    if pair["verdict"] != "better":
        told = f"No method is surely better than the plain probe ({scores}; p = {pair['p_holm']:.2g})"
        return f"{told}: ship the probe, {cost}."
    gain = f"{scores}; 95 % interval of the gain {_gain(best, pair['low'])} to {_gain(best, pair['high'])}"
    return f"{best['method']} is better than the plain probe ({gain}; p = {pair['p_holm']:.2g}): ship {best['method']}."


def _figure(entry: dict, value: float) -> str:
    return f"{100 * value:.1f} %" if entry["metric"] in PERCENT else f"{value:.3g}"


def _gain(entry: dict, value: float) -> str:
    return f"{100 * value:.1f}" if entry["metric"] in PERCENT else f"{value:.3g}"
