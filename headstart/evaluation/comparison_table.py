"""Comparison of methods on one split: mean scores over seeds, costs, and pairwise significance tests."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np

from headstart.core.messages import format_p_value, join_plain
from headstart.core.paired_comparison import SIGNIFICANCE, PairedComparison, paired_comparison
from headstart.core.plan import Traits, traits_of
from headstart.core.plugins import member, names
from headstart.core.result import PREDICTION_COLUMNS
from headstart.core.spreadsheet import read_csv
from headstart.evaluation.verdict import PERCENT_METRICS
from headstart.training.heads import probe

# Two-sided 95 % quantiles of Student's t for 1, 2, … degrees of freedom.
STUDENT_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
# Per-example score of the paired tests, by objective.
EXAMPLE_METRICS = {"classes": "accuracy", "tags": "F1 of a row's tags", "number": "minus absolute error"}


def method_row(method: str, results: list[dict]) -> dict:
    """One method's row: the headline metric's mean and interval over seeds, and costs.

    low, high: Student's 95 % interval of the mean; None for fewer than three runs
    seconds:   medians over the runs; total includes embedding, which only the first run at a cut pays
    """
    first = results[0]
    metric = next(iter(first["metrics"]))
    values = [r["metrics"][metric]["value"] for r in results]
    low, high = _t_interval(values, metric in PERCENT_METRICS)
    drops = [r["head"]["forgetting"]["drop"] for r in results if r["head"].get("forgetting")]
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
        "forgetting": mean(drops) if drops else None,
        "plan": first["plan"],
        "best_for": best_for(method) or _summary_line(method),
        "error": "",
    }


def _t_interval(values: list[float], is_share: bool) -> tuple[float | None, float | None]:
    if len(values) < 3:
        return None, None
    half_width = STUDENT_T[min(len(values), 10) - 2] * stdev(values) / len(values) ** 0.5
    low, high = mean(values) - half_width, mean(values) + half_width
    return (max(0.0, low), min(1.0, high)) if is_share else (low, high)


def _traits(method: str) -> Traits:
    """Traits of a method; "probe" has those of the head for classes."""
    name = probe.METHODS["softmax"] if method == "probe" else method
    return traits_of(member("methods", name).Settings) if name in names("methods") else Traits()


def is_probe(method: str) -> bool:
    """Whether it is a plain head on frozen features, which the other methods of a comparison are measured against."""
    return _traits(method).is_probe


def best_for(method: str) -> str:
    """When to take a method, in half a sentence; "" where it does not say."""
    return _traits(method).best_for


def _summary_line(method: str) -> str:
    """First line of a method's docstring, for methods of other packages."""
    return (member("methods", method).__doc__ or "").strip().partition("\n")[0] if method in names("methods") else ""


def list_methods() -> list[dict]:
    """Every method: name, one line about it, what it is best for, default settings."""
    methods = []
    for name in names("methods"):
        settings = asdict(member("methods", name).Settings())
        settings = {k: ",".join(map(str, v)) if isinstance(v, tuple) else v for k, v in settings.items()}
        methods.append({"name": name, "about": _summary_line(name), "best_for": best_for(name), "settings": settings})
    return methods


def unavailable_row(method: str, reason: str) -> dict:
    """The row of a method that cannot run here."""
    return {"method": method, "error": reason, "best_for": best_for(method)}


def mean_example_scores(folders: list[Path], objective: str) -> dict[str, float]:
    """Score of each example's prediction by id, averaged over the runs; larger is better (EXAMPLE_METRICS)."""
    by_id: dict[str, list[float]] = defaultdict(list)
    for folder in folders:
        fix = f"Delete {folder}, and compare again."
        for line in read_csv(folder / "predictions.csv", PREDICTION_COLUMNS, fix):
            by_id[line["id"]].append(_example_score(line["label"], line["predicted"], objective))
    return {id: mean(scores) for id, scores in by_id.items()}


def _example_score(label: str, predicted: str, objective: str) -> float:
    if objective == "number":
        return -abs(float(label) - float(predicted))
    if objective == "tags":
        a, b = ({t for t in text.split(";") if t} for text in (label, predicted))
        return 2 * len(a & b) / max(len(a) + len(b), 1)
    return float(label == predicted)


def pairwise_tests(scores: dict[str, dict[str, float]], objective: str, seed: int) -> list[dict]:
    """Paired tests of every method against every other, both ways round, on the examples that both predicted.

    scores: of each method, as `mean_example_scores` gives them
    p_holm and the verdict hold for the whole table at once, so also for a best method picked afterwards
    """
    tests: list[tuple[str, str, PairedComparison]] = []
    for a, b in combinations(scores, 2):
        ids = sorted(scores[a].keys() & scores[b].keys())
        scores_a, scores_b = (np.array([scores[m][id] for id in ids]) for m in (a, b))
        tests.append((a, b, paired_comparison(EXAMPLE_METRICS.get(objective, "accuracy"), scores_a, scores_b, seed)))
    pairs = []
    for (a, b, test), p in zip(tests, holm_correction([t.p for _, _, t in tests]), strict=True):
        verdict = "cannot tell" if p >= SIGNIFICANCE else "better" if test.difference > 0 else "worse"
        pair = {"a": a, "b": b, **asdict(test), "p_holm": p, "verdict": verdict}
        pairs += [pair, _swapped(pair)]
    return pairs


def _swapped(pair: dict) -> dict:
    """The same pair seen from the second method."""
    verdict = {"better": "worse", "worse": "better"}.get(pair["verdict"], pair["verdict"])
    negated = {"difference": 0.0 - pair["difference"], "low": 0.0 - pair["high"], "high": 0.0 - pair["low"]}
    return {**pair, **negated, "a": pair["b"], "b": pair["a"], "verdict": verdict}


def holm_correction(p: list[float]) -> list[float]:
    """p-values adjusted for multiple comparisons. Source: Holm 1979."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


def verdict(rows: list[dict], pairs: list[dict]) -> str:
    """What to ship, in plain words. rows: of `method_row`, at least one.  pairs: of `pairwise_tests`"""
    ran = sorted((r for r in rows if not r["error"]), key=_ranking_key, reverse=True)
    best, baseline = ran[0], baseline_row(rows)
    tests = {(p["a"], p["b"]): p for p in pairs}

    def beats(a: dict, b: dict) -> bool:
        return tests[a["method"], b["method"]]["verdict"] == "better"

    if baseline is None or len(ran) == 1:
        worse = join_plain(r["method"] for r in ran[1:] if beats(best, r)) or "none"
        beaten = f"; surely better than {worse}" if ran[1:] else ""
        return f"{best['method']} scored best ({_format_score(best)}{beaten})."
    probe_cost = f"it trains {baseline['params']['trained']:,} numbers in {_format_seconds(baseline['seconds']['fit'])}"
    winner = next((r for r in ran if r is not baseline and beats(r, baseline)), None)
    if winner is None and best is baseline:
        return f"The plain probe scored best ({_format_scores(ran[:2])}): ship it, {probe_cost}."
    if winner is None:
        p = format_p_value(tests[best["method"], baseline["method"]]["p_holm"])
        scores = _format_scores([best, baseline])
        return f"No method is surely better than the plain probe ({scores}; {p}): ship the probe, {probe_cost}."
    pair, is_share = tests[winner["method"], baseline["method"]], winner["metric"] in PERCENT_METRICS
    ends = [pair[k] for k in ("difference", "low", "high")]
    gain, low, high = (f"{100 * value:.1f}" if is_share else f"{value:.3g}" for value in ends)
    unit = " points" if is_share else ""
    if is_share and pair["measure"] != winner["metric"]:  # tags are tested by example, unlike the headline metric
        unit += f" of {pair['measure']}"
    span = f"95 % interval {low} to {high}, {format_p_value(pair['p_holm'])}; {_format_scores([winner, baseline])}"
    others = [r for r in ran if r not in (winner, baseline) and beats(r, baseline)]
    ties = [r["method"] for r in others if tests[winner["method"], r["method"]]["verdict"] == "cannot tell"]
    tie_note = f" It cannot be told from {join_plain(ties)}." if ties else ""
    name = winner["method"]
    return f"{name} is better than the plain probe by {gain}{unit} ({span}): ship {name}.{tie_note}"


def baseline_row(rows: list[dict]) -> dict | None:
    """The row of the linear probe, if it ran."""
    return next((r for r in rows if is_probe(r["method"]) and not r["error"]), None)


def _ranking_key(row: dict) -> float:
    return -row["mean"] if row["metrics"][row["metric"]]["better"] == "lower" else row["mean"]


def _format_scores(rows: list[dict]) -> str:
    return ", ".join(f"{row['method']} {_format_score(row)}" for row in rows)


def _format_score(row: dict) -> str:
    return f"{100 * row['mean']:.1f} %" if row["metric"] in PERCENT_METRICS else f"{row['mean']:.3g}"


def _format_seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
