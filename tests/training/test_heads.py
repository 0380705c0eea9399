"""What learns above the cut: each head against a reference, and what it must do whatever the rows are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from headstart.core.errors import HeadstartError
from headstart.core.features import Features
from headstart.core.plugins import member, name_of
from headstart.data.objectives.classes import Classes
from headstart.data.objectives.number import Number
from headstart.data.objectives.tags import Tags
from headstart.training.heads import cross_validation
from headstart.training.heads import logistic as logistic_head
from headstart.training.heads import ridge as ridge_head
from headstart.training.heads.linear import build_basis, column_scaling, scale_columns
from headstart.training.heads.temperature_scaling import calibrate
from headstart.training.methods import centroid, knn, logistic, mlp, ridge


def rows(x, y, groups=()) -> Features:
    return Features(np.asarray(x, np.float32), np.asarray(y), tuple(map(str, range(len(x)))), tuple(groups))


def fitted(method, data, objective, val=None, seed=0):
    nothing = data.rows(np.zeros(0, np.int64))
    return method.fit(data, val or nothing, objective, above=pytest.fail, rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def digits():
    """Real handwritten digits: 1,797 x 64, the last 500 for judging."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    whole = rows(x[order], y[order].astype(np.int64))
    return whole.rows(np.arange(1297)), whole.rows(np.arange(1297, 1797)), Classes(tuple(map(str, range(10))))


@pytest.mark.parametrize("strength", [1.0, 100.0])
@pytest.mark.parametrize("kinds", [2, 10])
def test_logistic_is_scikit_learns_solution_at_one_strength(digits, strength, kinds):
    train, test, _ = digits
    train, test = (part.rows(np.flatnonzero(part.y < kinds)) for part in (train, test))
    objective = Classes(tuple(map(str, range(kinds))))
    ours = fitted(logistic.Settings(strengths=(strength,), calibration="none"), train, objective)
    mean, gain = column_scaling(train.x)
    theirs = LogisticRegression(C=strength, tol=1e-10, max_iter=5000)
    theirs.fit(scale_columns(train.x, mean, gain).astype(np.float64), train.y)
    reference = theirs.predict_proba(scale_columns(test.x, mean, gain).astype(np.float64))
    assert objective.probabilities(ours.scores(test.x)) == pytest.approx(reference, abs=1e-4)


def test_logistic_chooses_a_strength_that_cross_validation_bears_out(digits):
    train, test, objective = digits
    head = fitted(logistic.Settings(), train, objective)
    assert objective.score(head.scores(test.x), test.y) > 0.95
    path = head.notes["path"]
    losses = {p["strength"]: p["log_loss"] for p in path}
    assert head.notes["log_loss"] <= 1.006 * min(losses.values())
    assert not head.notes["at_border"]
    held = log_loss(test.y, objective.probabilities(head.scores(test.x)))
    assert held == pytest.approx(head.notes["log_loss"], rel=0.5)


def test_the_path_goes_on_below_its_start_where_labels_are_noise():
    rng = np.random.default_rng(0)
    data = rows(rng.standard_normal((120, 30)), rng.integers(0, 3, 120))
    notes = fitted(logistic.Settings(), data, Classes(("a", "b", "c"))).notes
    assert notes["strength"] < 0.5
    assert notes["log_loss"] == pytest.approx(np.log(3), abs=0.05)


def test_balanced_weights_find_the_rare_class():
    rng = np.random.default_rng(0)
    y = (np.arange(600) % 20 == 0).astype(np.int64)
    x = rng.standard_normal((600, 8))
    x[y == 1, 0] += 1.5
    data, objective = rows(x, y), Classes(("common", "rare"))
    for module in (logistic, mlp):
        found = {
            weight: (fitted(module.Settings(class_weight=weight), data, objective).scores(data.x).argmax(1) == 1)[
                y == 1
            ]
            for weight in ("none", "balanced")
        }
        assert found["balanced"].mean() > 0.6 > found["none"].mean()


def test_ridge_leaves_each_row_out_exactly():
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((40, 7)), rng.standard_normal((40, 2))
    turned = build_basis(x.astype(np.float32))
    z = turned.z.astype(np.float64)
    for strength, held in zip((0.3, 30.0), ridge_head._leave_one_out(turned, t, (0.3, 30.0)), strict=True):
        for i in range(40):
            rest = np.delete(np.arange(40), i)
            model = Ridge(alpha=1 / strength).fit(z[rest], t[rest])
            assert held[i] == pytest.approx(model.predict(z[i : i + 1])[0], abs=2e-5)


def test_ridge_is_scikit_learns_solution():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 9)) + 5
    y = (x[:, 0] - 2 * x[:, 1] + rng.standard_normal(60)).astype(np.float32)
    head = fitted(ridge.Settings(strengths=(20.0,)), rows(x, y), Number(0.0, 1.0))
    mean, gain = column_scaling(x.astype(np.float32))
    z = scale_columns(x.astype(np.float32), mean, gain).astype(np.float64)
    reference = Ridge(alpha=1 / 20).fit(z, y).predict(z)
    assert head.scores(x.astype(np.float32))[:, 0] == pytest.approx(reference, abs=1e-4)


@pytest.mark.parametrize("module", [ridge, logistic])
def test_groups_are_held_out_whole(module):
    """Ten rows a group, nearly equal, with labels drawn a group: only groups held out show that nothing is learned."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 10)
    x = rng.standard_normal((40, 25))[group] + 0.01 * rng.standard_normal((400, 25))
    y = rng.integers(0, 2, 40)[group]
    objective = Classes(("a", "b"))
    loose = fitted(module.Settings(), rows(x, y), objective).notes["log_loss"]
    whole = fitted(module.Settings(), rows(x, y, map(str, group)), objective).notes["log_loss"]
    assert loose < 0.4
    assert whole > 0.6


@pytest.mark.parametrize(("count", "most"), [((300, 300), 100), ((500, 100), 100), ((150, 90), 90)])
def test_no_more_is_held_out_than_choosing_is_worth(count, most):
    """Half of the labels as val once learned nothing; a usual val, and one of a small set, stay as they are."""
    both = np.arange(sum(count))
    data = Features(np.zeros((len(both), 2), np.float32), both % 3, tuple(map(str, both)))
    train, val = (data.rows(part) for part in np.split(both, [count[0]]))
    learns, held = cross_validation.hold_out(train, val, Classes(("a", "b", "c")), np.random.default_rng(0))
    assert len(held) == most and sorted(learns.ids + held.ids) == sorted(data.ids)


def test_folds_keep_groups_whole_and_classes_in_proportion():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 200)
    objective = Classes(tuple("abcd"))
    names = [f"g{i // 4}" for i in range(200)]
    fold = cross_validation.assign_folds(rows(np.zeros((200, 1)), y, names), objective, 5, rng)
    assert all(len(set(fold[i : i + 4])) == 1 for i in range(0, 200, 4))
    fold = cross_validation.assign_folds(rows(np.zeros((200, 1)), y), objective, 5, rng)
    table = np.array([np.bincount(y[fold == f], minlength=4) for f in range(5)])
    assert np.ptp(table, axis=0).max() <= 1


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 6.0])
def test_the_temperature_is_the_best_one(sharpness):
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((4000, 5)) * 2
    y = np.array([rng.choice(5, p=p) for p in np.exp(logits) / np.exp(logits).sum(1, keepdims=True)])
    found = calibrate(sharpness * logits, y, "softmax")

    def loss(t):
        s = sharpness * logits / t
        return float((np.log(np.exp(s).sum(1)) - s[np.arange(len(y)), y]).mean())

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded")
    assert found.temperature == pytest.approx(best.x, rel=0.01)
    assert found.loss == pytest.approx(best.fun, abs=1e-6)
    assert found.raw == pytest.approx(loss(1.0), abs=1e-9)


def test_faultless_answers_are_not_believed_without_end():
    """The rule of succession: after m right answers out of m, confidence is (m + 1) / (m + 2)."""
    scores = np.array([[1.0, 0.0], [0.0, 1.0]] * 20)
    found = calibrate(scores, np.array([0, 1] * 20), "softmax")
    sure = 1 / (1 + np.exp(-1 / found.temperature))
    assert sure == pytest.approx(41 / 42, abs=1e-3)


def test_mlp_learns_what_no_linear_head_can():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (800, 2))
    y = ((x[:, 0] > 0) != (x[:, 1] > 0)).astype(np.int64)
    train, test, objective = rows(x[:600], y[:600]), rows(x[600:], y[600:]), Classes(("even", "odd"))
    assert objective.score(fitted(logistic.Settings(), train, objective).scores(test.x), test.y) < 0.65
    assert objective.score(fitted(mlp.Settings(learning_rate=3e-3), train, objective).scores(test.x), test.y) > 0.93


@pytest.mark.parametrize(
    ("objective", "y"),
    [
        (Classes(("a", "b", "c")), np.array([0, 1, 2, 2, 1, 0])),
        (Tags(("a", "b")), np.array([[0, 1], [1, 1], [1, 0], [0, 0], [1, 1], [0, 1]], np.float32)),
        (Number(0.0, 1.0), np.array([0.1, -1, 2, 0.5, 0, 1], np.float32)),
    ],
)
def test_the_gradients_of_the_mlp_are_those_of_its_loss(objective, y):
    rng = np.random.default_rng(0)
    method = mlp.Settings(hidden_units=5, dropout=0.0)
    x = rng.standard_normal((6, 4)).astype(np.float32)
    net = method._initial(x, objective, rng)
    net.w2[:] = rng.standard_normal(net.w2.shape)
    t, w = mlp._targets(y, objective), mlp._sample_weight(y, objective, "none")
    slopes = method._gradients(net, x, t, w, objective.link, rng)
    half = 0.5 if name_of(objective) == "number" else 1.0
    for layer, slope in zip((net.w1, net.b1, net.w2, net.b2), slopes, strict=True):
        at = np.unravel_index(np.abs(slope).argmax(), slope.shape)
        kept, step = layer[at], np.float32(1e-2)
        ends = []
        for sign in (1, -1):
            layer[at] = kept + sign * step
            ends.append(half * mlp._loss(net.scores(x), t, objective.link))
        layer[at] = kept
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope[at], rel=2e-2, abs=1e-4)


def test_mlp_stops_where_validation_was_best(digits):
    train, test, objective = digits
    head = fitted(mlp.Settings(epochs=60, patience=5, learning_rate=5e-3), train, objective, val=test)
    curve = head.notes["validation_loss"]
    assert len(curve) < 60
    assert head.notes["best_pass"] == int(np.argmin(curve)) + 1


def test_neighbours_and_means_answer_as_their_names_say(digits):
    train, test, objective = digits
    one = fitted(knn.Settings(n_neighbors=(1,)), train, objective)
    centred = train.x - train.x.mean(0), test.x - train.x.mean(0)
    a, b = (c / np.linalg.norm(c, axis=1, keepdims=True) for c in centred)
    assert np.array_equal(one.scores(test.x).argmax(1), train.y[(b @ a.T).argmax(1)])
    mean, gain = column_scaling(train.x)
    z, other = scale_columns(train.x, mean, gain), scale_columns(test.x, mean, gain)
    means = np.stack([z[train.y == k].mean(0) for k in range(10)])
    nearest = ((other[:, None] - means) ** 2).sum(2).argmin(1)
    assert np.mean(fitted(centroid.Settings(), train, objective).scores(test.x).argmax(1) == nearest) > 0.995


@pytest.mark.parametrize("name", ["logistic", "ridge", "knn", "centroid", "mlp"])
def test_a_class_without_examples_is_never_the_answer(name):
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = rng.standard_normal((90, 6))
    x[np.arange(90), y] += 3
    objective = Classes(("a", "b", "c", "never"))
    scores = fitted(member("methods", name).Settings(), rows(x, y), objective).scores(x.astype(np.float32))
    assert scores.argmax(1).max() < 3
    assert objective.probabilities(scores)[:, 3].max() < 0.1


@pytest.mark.parametrize("name", ["logistic", "ridge", "knn", "centroid", "mlp"])
def test_what_cannot_be_learned_from_is_refused_in_words(name):
    method, objective = member("methods", name).Settings(), Classes(("a", "b"))
    x = np.ones((6, 3))
    x[3, 1] = np.nan
    with pytest.raises(HeadstartError, match="NaN"):
        fitted(method, rows(x, [0, 1] * 3), objective)
    with pytest.raises(HeadstartError, match="one class"):
        fitted(method, rows(np.ones((6, 3)), [1] * 6), objective)


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(6, 40),
    d=st.integers(1, 50),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
    name=st.sampled_from(["logistic", "ridge", "knn", "centroid", "mlp"]),
)
@settings(max_examples=60, deadline=None)
def test_any_rows_give_finite_scores_that_are_worth_more_than_chance(seed, n, d, scale, name):
    """Few rows, many columns, dead columns, tiny and huge units: nothing but finite scores comes out."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.standard_normal((n, d)) * scale + 10 * scale
    x[:, rng.random(d) < 0.2] = scale
    x[:, 0] = scale * (10 + 3 * y + 0.1 * rng.standard_normal(n))
    objective = Classes(("a", "b", "c"))
    data = rows(x, y)
    scores = fitted(member("methods", name).Settings(), data, objective, seed=seed).scores(data.x)
    assert np.isfinite(scores).all()
    assert objective.score(scores, data.y) > 1 / 3


def test_a_column_that_varies_by_rounding_alone_has_no_weight():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 6)).astype(np.float32)
    x[:, 4], x[:, 5] = 1e-33 * x[:, 4], 1e-8 * x[:, 5]
    mean, gain = column_scaling(x)
    assert gain[4] == gain[5] == 0 and (gain[:4] > 0).all()
    assert np.isfinite(mean).all()


def test_a_tag_that_is_always_on_gives_no_step_without_end():
    """Its intercept has no end: the curvature underflows, and what is left of the slope is rounding."""
    import warnings

    rng = np.random.default_rng(0)
    names = [("always", "left") if v > 0 else ("always",) for v in rng.normal(size=40)]
    objective = member("objectives", "tags").of([*names, ("left",), ()])
    x = rng.normal(size=(40, 300)).astype(np.float32)
    part = Features(x, objective.encode(names), tuple(map(str, range(40))))
    nothing = part.rows(np.zeros(0, np.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        head = member("methods", "logistic").Settings()
        scores = head.fit(part, nothing, objective, above=None, rng=np.random.default_rng(0)).scores(x)
    assert np.isfinite(scores).all() and (scores[:, objective.encode([("always",)])[0] > 0] > 0).all()


@pytest.mark.parametrize("link", ["classes", "two classes", "tags"])
def test_rows_that_are_streamed_give_the_head_that_rows_in_memory_give(link, tmp_path, monkeypatch):
    """In passes over a memory map, from a quarter of the rows: the same answers and the same loss."""
    rng = np.random.default_rng(0)
    n, d = 4000, 24
    spread = 1 / np.sqrt(1 + np.arange(d))
    width = 2 if link == "two classes" else 4
    hidden = rng.standard_normal((n, d)) * spread
    said = hidden @ rng.standard_normal((d, width)) * 1.5 + rng.gumbel(size=(n, width))
    y = (said > 1).astype(np.float32) if link == "tags" else said.argmax(1)
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", (n, d))
    x[:] = hidden + 3.0
    names = tuple("abcd"[:width])
    objective = Tags(names) if link == "tags" else Classes(names)
    data = Features(x, y, tuple(map(str, range(n))))
    nothing = data.rows(np.zeros(0, np.int64))
    head = logistic.Settings(strengths=(30.0,), calibration="none")

    def fitted():
        return head.fit(data, nothing, objective, above=None, rng=np.random.default_rng(0))

    whole = fitted()
    monkeypatch.setattr(logistic_head, "IN_MEMORY", 0)
    monkeypatch.setattr(logistic_head, "SAMPLE", n * d // 4)
    streamed = fitted()
    assert streamed.notes["rows"] == n and 500 < streamed.notes["rows_chosen_on"] < 1500
    a, b = whole.scores(x), streamed.scores(x)
    assert np.abs(a - b).max() <= 0.02 * np.abs(a).max()
    assert ((a > 0) == (b > 0)).mean() > 0.999 if link == "tags" else (a.argmax(1) == b.argmax(1)).mean() > 0.995


def test_a_rare_class_is_not_lost_by_the_sample(monkeypatch):
    rng = np.random.default_rng(0)
    y = np.where(np.arange(3000) < 7, 2, np.arange(3000) % 2)
    x = (rng.standard_normal((3000, 8)) + 2 * np.eye(8)[y]).astype(np.float32)
    monkeypatch.setattr(logistic_head, "IN_MEMORY", 0)
    monkeypatch.setattr(logistic_head, "SAMPLE", 300 * 8)
    data = Features(x, y, tuple(map(str, range(3000))))
    some = logistic_head._sample(data, Classes(("a", "b", "c")), rng)
    assert (some.y == 2).sum() == 7 and 250 < len(some) < 450
