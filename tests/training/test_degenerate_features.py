"""Features that hold nothing, or numbers at the ends of arithmetic: finite answers, or a refusal in words."""

import json
import warnings

import numpy as np
import pytest

from headstart.backbones.cards import find_card
from headstart.backbones.network import open_above
from headstart.core.errors import HeadstartError, PlanError
from headstart.core.features import LARGEST_FEATURE, Features
from headstart.core.plan import Plan
from headstart.core.plugins import member
from headstart.core.task import Task
from headstart.evaluation.guards.labels import find_label_issues
from headstart.evaluation.measure import baseline_scores, evaluate
from headstart.evaluation.transferability import domain_similarity
from headstart.training.heads import linear
from tests.support.two_classes import OBJECTIVE, features_at_cut

HEADS = ("logistic", "ridge", "knn", "centroid", "mlp")
LABELS = {
    "classes": ("classes", ["abc"[i % 3] for i in range(48)]),
    "two classes": ("classes", ["ab"[i % 2] for i in range(48)]),
    "a rare class": ("classes", ["a" if i < 46 else "bc"[i % 2] for i in range(48)]),
    "tags": ("tags", [("a",) if i % 3 else ("a", "b") for i in range(48)]),
    "numbers": ("number", [float(i % 7) for i in range(48)]),
    "huge numbers": ("number", [1e99 * (i % 7) for i in range(48)]),
    "tiny numbers": ("number", [1e-99 * (i % 7) for i in range(48)]),
}
RNG = np.random.default_rng(0)
PLAIN = RNG.standard_normal((48, 5))


def with_column(values) -> np.ndarray:
    return np.column_stack([PLAIN, np.broadcast_to(values, 48)])


FEATURES = {
    "constant": np.full((48, 5), 3.0),
    "zero": np.zeros((48, 5)),
    "near 1e-40": PLAIN * 1e-40,
    "near 1e-30": PLAIN * 1e-30,
    "near 1e-12": PLAIN * 1e-12,
    "near 1e29": PLAIN * 1e29,
    "near 1e38": PLAIN * 1e37,
    "two rows again and again": np.repeat(PLAIN[:2], 24, 0),
    "one direction": np.outer(PLAIN[:, 0], np.ones(5)),
    "one column": PLAIN[:, :1],
    "constant but for rounding": 1 + 1e-8 * PLAIN,
    "one row far out": np.concatenate([PLAIN[:47], np.full((1, 5), 1e29)]),
    "a huge column": with_column(1e30),
    "a column of all sizes": with_column(10.0 ** np.linspace(-45, 29, 48)),
    "a denormal column": with_column(1e-42 * PLAIN[:, 0]),
    "a NaN": with_column(np.where(np.arange(48) == 7, np.nan, 0)),
    "an infinite column": with_column(np.inf),
    "more columns than rows": RNG.standard_normal((48, 200)) * 1e-20,
}


def part(x, y) -> Features:
    return Features(np.asarray(x, np.float32), y, tuple(map(str, range(len(x)))))


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("features", FEATURES)
def test_every_head_answers_in_finite_numbers_or_refuses(features, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of float32 numbers that are made here
        x = FEATURES[features].astype(np.float32)
    kind, given = LABELS[labels]
    objective = member("objectives", kind).of(given)
    y = objective.encode(given)
    train, test = part(x[:36], y[:36]), part(x[36:], y[36:])
    for name in HEADS:
        method = member("methods", name).Settings(**({"epochs": 3} if name == "mlp" else {}))
        nothing = train.rows(np.zeros(0, np.int64))
        try:
            fitted = method.fit(train, nothing, objective, above=pytest.fail, rng=np.random.default_rng(0))
        except HeadstartError as refusal:
            assert "Traceback" not in str(refusal) and len(str(refusal)) > 20
            continue
        assert all(np.isfinite(a).all() for a in fitted.state().values() if a.dtype.kind == "f"), name
        json.dumps(fitted.notes, allow_nan=False)
        farther = np.concatenate(
            [test.x[np.isfinite(test.x).all(1)], np.full((2, x.shape[1]), LARGEST_FEATURE, np.float32)]
        )
        assert np.isfinite(fitted.scores(farther)).all(), name
        scores = fitted.scores(test.x)
        metrics = objective.measure(scores, test.y, np.random.default_rng(0))
        assert all(np.isfinite([m.value, m.low, m.high, m.chance]).all() for m in metrics), name
        json.dumps(objective.details(scores, test.y), allow_nan=False)


@pytest.mark.parametrize("features", [name for name, x in FEATURES.items() if np.isfinite(x).all()])
def test_what_is_computed_beside_a_head_is_finite_too(features):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        x = FEATURES[features].astype(np.float32)
    if np.abs(x).max() > LARGEST_FEATURE:
        return  # refused where it is read
    y = np.arange(48) % 3
    issues = find_label_issues([part(x, y)], 3)
    assert np.isfinite(issues.predicted_probability).all() and np.isfinite(issues.error)
    assert np.isfinite(domain_similarity.nearest_neighbour_purity(x, y)["value"])
    distances = domain_similarity.distribution_distances(x[:24], x[24:], np.random.default_rng(0))
    assert all(np.isfinite(v) for v in distances.values()), distances
    objective = member("objectives", "classes").of(list("abc"))
    assert np.isfinite(baseline_scores("knn", part(x[:36], y[:36]), part(x[36:], y[36:]), objective, 0)).all()


def test_rows_of_equal_direction_are_neighbours_whatever_their_unit():
    y = np.arange(48) % 3
    objective = member("objectives", "classes").of(list("abc"))
    x = 0.1 * PLAIN
    x[np.arange(48), y] += 2
    plain, tiny, huge = (
        baseline_scores("knn", part(x[:36] * unit, y[:36]), part(x[36:] * unit, y[36:]), objective, 0)
        for unit in (1.0, 1e-25, 1e25)
    )
    assert plain.argmax(1).tolist() == tiny.argmax(1).tolist() == huge.argmax(1).tolist() == y[36:].tolist()


def test_so_many_axes_that_they_would_take_hours_are_those_of_a_sample(monkeypatch):
    x = RNG.standard_normal((80, 6)) @ RNG.standard_normal((6, 50)) + 1e-3 * RNG.standard_normal((80, 50))
    x = x.astype(np.float32)
    whole = linear.build_basis(x)
    monkeypatch.setattr(linear, "MAX_RANK", 20)
    few = linear.build_basis(x)
    assert few.z.shape[1] <= 20 < whole.z.shape[1]
    assert few.power[:6] == pytest.approx(whole.power[:6], rel=1e-3)
    y = np.arange(80) % 2
    b = np.ones((few.z.shape[1], 1))
    assert few.head(b, np.zeros(1), {}).scores(x)[:, 0] == pytest.approx(few.z.sum(1), abs=1e-3), y


@pytest.mark.parametrize("value", [0.0, 6e4, np.nan])
@pytest.mark.parametrize("name", ["bias", "finetune", "lora"])
def test_what_trains_above_a_cut_learns_from_equal_rows_or_refuses(name, value, vision, tmp_path):
    module, card = member("methods", name), find_card(vision, tmp_path)
    cut = module.Settings().cut(card)
    parts = []
    for given in features_at_cut(vision, "image", cut, tmp_path):
        x = np.asarray(given.x[:])
        parts.append(Features(np.full_like(x, value if x.dtype.kind == "f" else 9), given.y, given.ids))
    try:
        fitted = module.Settings(steps=3, views=0).fit(
            *parts, OBJECTIVE, above=lambda: open_above(card, cut), rng=np.random.default_rng(0)
        )
    except HeadstartError as refusal:
        assert np.isnan(value) and "NaN" in str(refusal).replace("nan", "NaN")
        return
    assert np.isfinite(fitted.scores(parts[1].x)).all()


def test_scores_that_are_no_numbers_are_never_reported(vision, tmp_path):
    card = find_card(vision, tmp_path)
    plan = Plan(card, card.cut(len(card.blocks)), member("methods", "mlp").Settings(), 0)
    scores = np.zeros((6, 2), np.float32)
    scores[2, 1] = np.nan
    y = np.arange(6) % 2
    task = Task("image", OBJECTIVE, (), {})
    with pytest.raises(PlanError, match="mlp gave no number for 1 of 6 test examples"):
        evaluate(task, plan, scores, part(np.zeros((6, 2)), y), {})
