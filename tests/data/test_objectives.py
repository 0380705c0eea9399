"""What labels mean, and metrics that equal the reference implementations."""

import json
from collections import Counter

import numpy as np
import pytest

from headstart.core.errors import SourceError
from headstart.core.statistics import wilson_interval
from headstart.data.objectives import classes, number, tags

TIGHT = {"rel": 1e-12, "abs": 1e-12}


def measured(objective, scores, y, seed=0) -> dict:
    return {m.name: m for m in objective.measure(scores, y, np.random.default_rng(seed))}


def classified(n: int, k: int, seed: int, present: int | None = None):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, present or k, n)
    scores = rng.standard_normal((n, k)).astype(np.float32)
    scores[np.arange(n), y] += 1.5
    return classes.Classes(tuple(f"c{i}" for i in range(k))), scores, y


@pytest.mark.parametrize(("n", "k", "present"), [(300, 5, 5), (40, 7, 4), (1, 3, 3), (2000, 30, 30)])
def test_figures_of_classes_equal_scikit_learn(n, k, present):
    from sklearn import metrics

    objective, scores, y = classified(n, k, seed=n, present=present)
    p, said = objective.probabilities(scores), scores.argmax(1)
    found = measured(objective, scores, y)
    assert found["accuracy"].value == pytest.approx(metrics.accuracy_score(y, said), **TIGHT)
    recall = [np.mean(said[y == c] == c) for c in np.unique(y)]
    assert found["balanced_accuracy"].value == pytest.approx(np.mean(recall), **TIGHT)
    macro = metrics.f1_score(y, said, average="macro", zero_division=0)
    assert found["macro_f1"].value == pytest.approx(macro, **TIGHT)
    loss = metrics.log_loss(y, p / p.sum(1, keepdims=True), labels=range(k))
    assert found["log_loss"].value == pytest.approx(loss, **TIGHT)
    confidence, right, ece = p.max(1), said == y, 0.0
    for low in np.arange(15) / 15:
        here = (confidence > low) & (confidence <= low + 1 / 15)
        ece += abs(right[here].mean() - confidence[here].mean()) * here.mean() if here.any() else 0
    assert found["ece"].value == pytest.approx(ece, abs=1e-9)


def test_chance_is_the_commonest_class_and_its_entropy():
    objective, scores, _ = classified(10, 3, 0)
    found = measured(objective, scores, np.array([0] * 6 + [1] * 4))
    assert found["accuracy"].chance == 0.6
    assert found["balanced_accuracy"].chance == 0.5
    assert found["macro_f1"].chance == pytest.approx((2 * 0.6 / 1.6) / 2)
    assert found["log_loss"].chance == pytest.approx(-0.6 * np.log(0.6) - 0.4 * np.log(0.4))
    assert found["ece"].chance == 0
    assert found["log_loss"].better == found["ece"].better == "lower"


def test_ratios_resample_like_drawing_examples_again():
    from sklearn.metrics import f1_score

    objective, scores, y = classified(200, 4, seed=3)
    said, rng = scores.argmax(1), np.random.default_rng(0)
    drawn = [f1_score(y[i], said[i], average="macro") for i in (rng.integers(0, 200, 200) for _ in range(400))]
    f1 = measured(objective, scores, y)["macro_f1"]
    assert f1.high - f1.low == pytest.approx(np.subtract(*np.quantile(drawn, (0.975, 0.025))), rel=0.2)
    assert f1.low < f1.value < f1.high


def test_faultless_answers_on_few_examples_leave_doubt():
    y = np.arange(18) % 2
    objective = classes.Classes(("a", "b"))
    found = measured(objective, np.eye(2)[y] * 9, y)
    assert [found[name].value for name in ("accuracy", "balanced_accuracy", "macro_f1")] == [1, 1, 1]
    assert {found[name].low for name in ("accuracy", "balanced_accuracy", "macro_f1")} == {found["accuracy"].low}
    assert found["accuracy"].low == pytest.approx(0.824, abs=1e-3)


def test_the_interval_of_a_small_calibration_error_lies_around_it():
    """Resamples of a calibration error are larger than it: plain percentiles would all lie above."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((400, 3)).astype(np.float32)
    objective = classes.Classes(("a", "b", "c"))
    y = np.array([rng.choice(3, p=p) for p in objective.probabilities(scores)])
    ece = measured(objective, scores, y)["ece"]
    assert (ece.low + ece.high) / 2 == pytest.approx(ece.value, rel=0.1)


@pytest.mark.parametrize("scores", [[[np.inf, 0], [0, 5]], [[-np.inf, 3], [1, -np.inf]], [[1e38, -1e38], [0, 1e-38]]])
def test_extreme_scores_stay_finite(scores):
    objective = classes.Classes(("a", "b"))
    found = objective.measure(np.array(scores, np.float32), np.array([0, 1]), np.random.default_rng(0))
    assert all(np.isfinite([m.value, m.low, m.high, m.chance]).all() for m in found)
    assert np.allclose(objective.probabilities(np.array(scores, np.float32)).sum(1), 1)
    json.dumps(objective.details(np.array(scores, np.float32), np.array([0, 1])), allow_nan=False)


def test_perfect_answers():
    objective = classes.Classes(("a", "b"))
    y = np.array([0, 1] * 25)
    found = measured(objective, np.where(np.arange(2) == y[:, None], 50.0, -50.0).astype(np.float32), y)
    assert found["accuracy"].value == found["macro_f1"].value == 1
    assert found["accuracy"].low == pytest.approx(50 / (50 + 1.959964**2))
    assert found["log_loss"].value == pytest.approx(0, abs=1e-12)


def test_details_of_classes_add_up():
    objective, scores, y = classified(120, 4, seed=5, present=3)
    found = objective.details(scores, y)
    matrix = np.array(found["confusion"])
    assert [row["n"] for row in found["per_class"]] == matrix.sum(1).tolist() == [*np.bincount(y), 0]
    first = found["per_class"][0]
    assert first["precision"] == matrix[0, 0] / matrix[:, 0].sum()
    assert (first["low"], first["high"]) == wilson_interval(int(matrix[0, 0]), int(matrix[0].sum()))
    assert sum(b["n"] for b in found["reliability"]) == 120
    assert all(b["low"] < b["confidence"] <= b["high"] for b in found["reliability"])


def test_figures_repeat_with_their_generator():
    objective, scores, y = classified(90, 3, seed=0)
    assert measured(objective, scores, y, 4) == measured(objective, scores, y, 4)
    assert measured(objective, scores, y, 4)["ece"].low != measured(objective, scores, y, 5)["ece"].low


@pytest.mark.parametrize("seed", [0, 1])
def test_figures_of_tags_equal_scikit_learn(seed):
    from sklearn import metrics

    rng = np.random.default_rng(seed)
    y = (rng.random((150, 4)) < (0.5, 0.2, 0.05, 0)).astype(np.float32)
    scores = np.round(rng.standard_normal(y.shape) + 2 * y - 1, 1).astype(np.float32)  # rounded: some are equal
    scores[:, 3] = -3
    objective = tags.Tags(("a", "b", "c", "never"))
    found, said, p = measured(objective, scores, y), scores >= 0, objective.probabilities(scores)
    seen = [0, 1, 2]
    assert found["micro_f1"].value == pytest.approx(
        metrics.f1_score(y, said, average="micro", zero_division=0), **TIGHT
    )
    macro = metrics.f1_score(y[:, seen], said[:, seen], average="macro")
    assert found["macro_f1"].value == pytest.approx(macro, **TIGHT)
    assert found["exact_match"].value == pytest.approx(metrics.accuracy_score(y, said), **TIGHT)
    loss = np.mean([metrics.log_loss(y[:, i], p[:, i], labels=[0, 1]) for i in range(4)])
    assert found["log_loss"].value == pytest.approx(loss, rel=1e-9)
    precision = metrics.average_precision_score(y[:, seen], scores[:, seen], average="macro")
    assert found["mean_average_precision"].value == pytest.approx(precision, rel=1e-9)
    assert found["exact_match"].chance == max(Counter(map(bytes, y)).values()) / 150
    said_always = metrics.f1_score(y, np.tile([True, False, False, False], (150, 1)), average="micro", zero_division=0)
    assert found["micro_f1"].chance == pytest.approx(said_always)
    assert all(m.low <= m.value <= m.high for m in found.values())
    assert next(iter(found)) == "micro_f1"


def test_figures_of_numbers_equal_scikit_learn_in_their_own_unit():
    from scipy.stats import spearmanr
    from sklearn import metrics

    rng = np.random.default_rng(0)
    labels = np.round(rng.gamma(2, 1000, 200), -2).tolist()
    objective = number.of(labels)
    y = objective.encode(labels)
    scores = (y + rng.normal(0, 0.5, 200)).astype(np.float32)[:, None]
    truth, answer = np.array(labels), np.array(objective.decode(scores))
    found = measured(objective, scores, y)
    assert found["mae"].value == pytest.approx(metrics.mean_absolute_error(truth, answer), rel=1e-5)
    assert found["rmse"].value == pytest.approx(metrics.root_mean_squared_error(truth, answer), rel=1e-5)
    assert found["r2"].value == pytest.approx(metrics.r2_score(truth, answer), rel=1e-5)
    assert found["spearman"].value == pytest.approx(spearmanr(truth, answer).statistic, rel=1e-9)
    assert found["mae"].chance == pytest.approx(np.abs(truth - truth.mean()).mean(), rel=1e-5)
    assert all(m.low < m.value < m.high for m in found.values())
    assert [m.better for m in found.values()] == ["lower", "lower", "higher", "higher"]


def test_a_test_part_without_variation_has_no_nan():
    objective = number.Number(10.0, 2.0)
    for scores, r2 in (([[0.0]], 1.0), ([[0.5]], 0.0)):
        found = measured(objective, np.array(scores, np.float32), np.zeros(1, np.float32))
        assert found["r2"].value == r2
        assert found["spearman"].value == 0
        assert all(np.isfinite([m.value, m.low, m.high]).all() for m in found.values())
    json.dumps(objective.details(np.ones((3, 1), np.float32), np.zeros(3, np.float32)), allow_nan=False)


FITS = [
    (["a", "b", "a"], "classes"),
    ([True, False], "classes"),
    ([0, 1, 2] * 3, "classes"),
    ([1, 2] * 9, "classes"),
    ([-1, 1] * 9, "classes"),
    ([1, 2, 3, 4, 5] * 9, "classes number"),
    ([10, 20, 50] * 9, "classes number"),
    ([1.0, 2.0, 4.0, 5.0] * 9, "classes number"),
    (list(range(60)) * 3, "classes number"),
    ([0.5, 1.25, 3.0], "number"),
    (list(range(100, 400)), "number"),
    ([("a",), ()], "tags"),
    ([["a", "b"]], "tags"),
    (["a", ("b",)], ""),
    ([{"a": 1}], ""),
]


@pytest.mark.parametrize(("labels", "expected"), FITS, ids=lambda v: str(v)[:24])
def test_which_labels_fit(labels, expected):
    fitting = [m.__name__.rsplit(".", 1)[-1] for m in (classes, number, tags) if m.fits(labels)]
    assert " ".join(fitting) == expected


def test_order_of_classes_and_what_they_decode_to():
    assert classes.of(["b", "a", "10", "9"]).names == ("10", "9", "a", "b")
    assert classes.of([10, 9, 0]).names == ("0", "9", "10")
    objective = classes.of([10, 9.0, 9])
    assert objective.encode([9, 10, 9.0]).tolist() == [0, 1, 0]
    assert objective.decode(np.array([[0, 1], [1, 0]])) == ["10", "9"]
    with pytest.raises(SourceError, match="'cat' is none of the 2 classes"):
        objective.encode(["cat"])
    with pytest.raises(SourceError, match="same label, 'a'"):
        classes.of(["a", "a"])
    with pytest.raises(SourceError, match="say --task tags"):
        classes.of([("a",), ("a", "b")])


def test_tags_encode_decode_and_come_apart():
    objective = tags.of([("red", "round"), (), ("blue",)])
    assert objective.names == ("blue", "red", "round")
    y = objective.encode([("round", "red"), ()])
    assert y.tolist() == [[0, 1, 1], [0, 0, 0]]
    assert y.dtype == np.float32
    assert objective.decode(objective.targets(y)) == [("red", "round"), ()]
    assert tags.parse_tag_column(["a;b", "b"], "tags") == [("a", "b"), ("b",)]
    assert tags.parse_tag_column(["a|b, c", "b"], "Labels") == [("a", "b, c"), ("b",)]
    assert tags.parse_tag_column(["['a', 'b']", '["b"]'], "tags") == [("a", "b"), ("b",)]
    assert tags.parse_tag_column(["a;b"], "label") is None
    assert tags.parse_tag_column(["a", "b"], "tags") is None


def test_strata_of_rare_tags_are_thrown_together():
    labels = [("common",)] * 50 + [("common", "some")] * 30 + [("common", "once")] + [()] * 25
    assert Counter(tags.of(labels).strata(labels)) == {"common": 51, "some": 30, "": 25}


def test_strata_of_numbers_are_quarters_even_with_ties():
    counts = Counter(number.of([1.0, 2.0]).strata([float(i) for i in range(100)]))
    assert len(counts) == 4
    assert max(counts.values()) - min(counts.values()) <= 2
    assert len(set(number.of([0.0, 1.0]).strata([0.0] * 90 + [5.0] * 10))) == 2
    with pytest.raises(SourceError, match="nothing to learn"):
        number.of([3.0, 3.0])
    with pytest.raises(SourceError, match="'many' is not a number"):
        number.of([3.0, "many"])


def test_losses_in_torch_are_the_figures_in_numpy():
    torch = pytest.importorskip("torch")
    objective, scores, y = classified(50, 3, seed=2)
    loss = float(objective.loss(torch.from_numpy(scores), torch.from_numpy(y)))
    assert loss == pytest.approx(measured(objective, scores, y)["log_loss"].value, rel=1e-6)
    several = tags.Tags(("a", "b", "c"))
    hot = np.eye(3, dtype=np.float32)[y]
    loss = float(several.loss(torch.from_numpy(scores), torch.from_numpy(hot)))
    assert loss == pytest.approx(measured(several, scores, hot)["log_loss"].value, rel=1e-6)
    one = number.Number(5.0, 2.0)
    loss = float(one.loss(torch.from_numpy(scores[:, :1]), torch.from_numpy(hot[:, 0])))
    assert 4 * loss == pytest.approx(measured(one, scores[:, :1], hot[:, 0])["rmse"].value ** 2, rel=1e-6)
