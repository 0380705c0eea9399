"""Runs of several methods on one split as a table: means over seeds, what each costs, and which is surely better."""

from __future__ import annotations

import csv
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np

from headstart.core.messages import chance, plain
from headstart.core.plugins import member, names
from headstart.core.statistics import SURE, Paired, compared

PROBES = ("probe", "logistic", "ridge")  # heads that a comparison is measured against
PERCENT = ("accuracy", "balanced_accuracy", "macro_f1", "micro_f1")
# Student's t for 95 %, by degrees of freedom from 1.
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
# What answers are compared in, example by example.
WORTH = {"classes": "accuracy", "tags": "F1 of a row's tags", "number": "minus absolute error"}
BEST_FOR = {
    "probe": "nearly everything first: seconds, and nothing of the backbone moves",
    "logistic": "nearly everything first: seconds, and nothing of the backbone moves",
    "ridge": "numbers; many outputs at once",
    "knn": "a look without training; classes that come and go",
    "zeroshot": "no labels at all: classes that words can name, on a clip: backbone",
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
    """One method's line: what its runs have in common, and the headline's mean with its interval over the seeds.

    low, high: Student's 95 % interval of the mean; None for fewer than three runs, which cannot give one
    seconds:   medians over the runs; total counts embedding, which only the first run at a cut pays
    """
    first = results[0]
    metric = next(iter(first["metrics"]))
    values = [r["metrics"][metric]["value"] for r in results]
    low, high = _interval(values, metric in PERCENT)
    lost = [r["head"]["forgetting"]["drop"] for r in results if r["head"].get("forgetting")]
    counts = first["task"]["n"]
    return {
        "method": method,
        "metric": metric,
        "mean": mean(values),
        "low": low,
        "high": high,
        "values": values,
        "seeds": len(values),
        "reused": sum(r.get("reused", False) for r in results),
        "metrics": first["metrics"],
        "params": first["params"],
        "share": first["params"]["trained"] / max(1, first["params"]["total"]),
        "labels": counts["train"] + counts["val"],
        "bytes": first["bytes"],
        "seconds": {k: median(r["seconds"].get(k, 0.0) for r in results) for k in ("fit", "extract", "total")},
        "drift": mean(r["head"].get("drift", 0.0) for r in results),
        "forgetting": mean(lost) if lost else None,
        "plan": first["plan"],
        "best_for": BEST_FOR.get(method) or _said(method),
        "error": "",
    }


def _interval(values: list[float], share: bool) -> tuple[float | None, float | None]:
    if len(values) < 3:
        return None, None
    reach = STUDENT[min(len(values), 10) - 2] * stdev(values) / len(values) ** 0.5
    low, high = mean(values) - reach, mean(values) + reach
    return (max(0.0, low), min(1.0, high)) if share else (low, high)


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
    """What each example's answer was worth, by id, on average over the runs; larger is better. WORTH says in what."""
    total: dict[str, list[float]] = {}
    for folder in folders:
        with open(folder / "predictions.csv", newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                total.setdefault(line["id"], []).append(_worth(line["label"], line["predicted"], objective))
    return {name: mean(some) for name, some in total.items()}


def _worth(label: str, predicted: str, objective: str) -> float:
    if objective == "number":
        return -abs(float(label) - float(predicted))
    if objective == "tags":
        a, b = ({t for t in text.split(";") if t} for text in (label, predicted))
        return 2 * len(a & b) / max(len(a) + len(b), 1)
    return float(label == predicted)


def pairs(worth: dict[str, dict[str, float]], objective: str, seed: int) -> list[dict]:
    """Every method against every other, both ways round, on the examples that both answered.

    worth: of each method, as `merits` gives it
    p_holm, and the verdict by it, hold for all of the table together: also for the best, which was picked afterwards
    """
    tests: list[tuple[str, str, Paired]] = []
    for a, b in combinations(worth, 2):
        ids = sorted(worth[a].keys() & worth[b].keys())
        one, other = (np.array([worth[m][k] for k in ids]) for m in (a, b))
        tests.append((a, b, compared(WORTH.get(objective, "accuracy"), one, other, seed)))
    found = []
    for (a, b, test), p in zip(tests, holm([t.p for _, _, t in tests]), strict=True):
        verdict = "cannot tell" if p >= SURE else "better" if test.difference > 0 else "worse"
        pair = {"a": a, "b": b, **asdict(test), "p_holm": p, "verdict": verdict}
        found += [pair, _turned(pair)]
    return found


def _turned(pair: dict) -> dict:
    """The second of a pair against the first."""
    verdict = {"better": "worse", "worse": "better"}.get(pair["verdict"], pair["verdict"])
    turned = {"difference": 0.0 - pair["difference"], "low": 0.0 - pair["high"], "high": 0.0 - pair["low"]}
    return {**pair, **turned, "a": pair["b"], "b": pair["a"], "verdict": verdict}


def holm(p: list[float]) -> list[float]:
    """p-values that hold for all of the table together. Source: Holm 1979."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    out, last = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        last = max(last, min(1.0, (len(p) - rank) * p[i]))
        out[i] = last
    return out


def verdict(rows: list[dict], found: list[dict]) -> str:
    """What to ship, in plain words. rows: at least one that is no refusal"""
    done = sorted((r for r in rows if not r["error"]), key=_merit, reverse=True)
    best, base = done[0], base_of(rows)
    told = {(p["a"], p["b"]): p for p in found}
    if base is None or len(done) == 1:
        worse = [r["method"] for r in done[1:] if told[best["method"], r["method"]]["verdict"] == "better"]
        beaten = f"; surely better than {plain(worse)}" if worse else "; surely better than none" if done[1:] else ""
        return f"{best['method']} scored best ({_figure(best, best['mean'])}{beaten})."
    cost = f"it trains {base['params']['trained']:,} numbers in {_seconds(base['seconds']['fit'])}"
    winner = next((r for r in done if r is not base and told[r["method"], base["method"]]["verdict"] == "better"), None)
    if winner is None and best is base:
        return f"The plain probe scored best ({_figures(done[:2])}): ship it, {cost}."
    if winner is None:
        p = told[best["method"], base["method"]]["p_holm"]
        scores = _figures([best, base])
        return f"No method is surely better than the plain probe ({scores}; {chance(p)}): ship the probe, {cost}."
    pair = told[winner["method"], base["method"]]
    gain, low, high = (_gain(winner, pair[k]) for k in ("difference", "low", "high"))
    unit = " points" if winner["metric"] in PERCENT else ""
    if pair["measure"] != winner["metric"] and unit:  # tags are compared row by row, which is not the headline
        unit += f" of {pair['measure']}"
    span = f"95 % interval {low} to {high}, {chance(pair['p_holm'])}; {_figures([winner, base])}"
    even = [r["method"] for r in done if r not in (winner, base) and _even(r, winner, base, told)]
    also = f" It cannot be told from {plain(even)}." if even else ""
    return f"{winner['method']} is better than the plain probe by {gain}{unit} ({span}): ship {winner['method']}.{also}"


def base_of(rows: list[dict]) -> dict | None:
    """The plain probe among the methods that could be had."""
    return next((r for r in rows if r["method"] in PROBES and not r["error"]), None)


def _even(r: dict, winner: dict, base: dict, told: dict) -> bool:
    """Whether another method also beats the probe, and not surely less than the winner."""
    beats = told[r["method"], base["method"]]["verdict"] == "better"
    return beats and told[winner["method"], r["method"]]["verdict"] == "cannot tell"


def _merit(entry: dict) -> float:
    return -entry["mean"] if entry["metrics"][entry["metric"]]["better"] == "lower" else entry["mean"]


def _figures(some: list[dict]) -> str:
    return ", ".join(f"{r['method']} {_figure(r, r['mean'])}" for r in some)


def _figure(entry: dict, value: float) -> str:
    return f"{100 * value:.1f} %" if entry["metric"] in PERCENT else f"{value:.3g}"


def _gain(entry: dict, value: float) -> str:
    return f"{100 * value:.1f}" if entry["metric"] in PERCENT else f"{value:.3g}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
