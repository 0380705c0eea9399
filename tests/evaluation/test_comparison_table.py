"""The table of a comparison: intervals over seeds, corrected p-values, and a verdict."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.evaluation import comparison_table


def runs_of(*values):
    result = {"metrics": {"accuracy": {"value": 0.0}}, "head": {}, "task": {"n": {"train": 1, "val": 0}}, "plan": {}}
    result |= {"params": {"trained": 1, "total": 1}, "bytes": {}, "seconds": {"fit": 1.0}}
    return [{**result, "metrics": {"accuracy": {"value": v}}} for v in values]


def test_an_interval_over_seeds_is_students_and_needs_three():
    from scipy.stats import t

    two, three = (
        comparison_table.method_row("knn", runs_of(0.8, 0.9)),
        comparison_table.method_row("knn", runs_of(0.8, 0.82, 0.84)),
    )
    assert two["low"] is None and two["high"] is None and two["mean"] == pytest.approx(0.85)
    low, high = t.interval(0.95, 2, 0.82, 0.02 / 3**0.5)
    assert (three["low"], three["high"]) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


def test_the_verdict_names_the_gain_and_who_is_as_good():
    rng = np.random.default_rng(0)
    hard = rng.random(400)
    means = {"probe": 0.7, "lora": 0.9, "full": 0.905, "scratch": 0.4}
    worth = {m: {str(i): float(h < mean) for i, h in enumerate(hard)} for m, mean in means.items()}
    rows = [comparison_table.method_row(m, runs_of(np.mean(list(worth[m].values())))) for m in means]
    for r in rows:
        r["metrics"]["accuracy"]["better"] = "higher"
    said = comparison_table.verdict(rows, comparison_table.pairwise_tests(worth, "classes", 0))
    assert said.startswith("full is better than the plain probe by ") and "p < 0.001" in said
    assert said.endswith("ship full. It cannot be told from lora.")
    said = comparison_table.verdict(
        rows[1:3], comparison_table.pairwise_tests({m: worth[m] for m in ("lora", "full")}, "classes", 0)
    )
    assert said.startswith("full scored best") and "surely better than none" in said


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_claims_more_than_one_test(p):
    corrected = comparison_table.holm_correction(p)
    assert all(a <= b <= 1 for a, b in zip(p, corrected, strict=True))
    order = np.argsort(p, kind="stable")
    assert all(np.diff(np.array(corrected)[order]) >= -1e-12)
