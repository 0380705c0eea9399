"""Disputed labels: planted errors are found and named, clean and unlearnable data are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart import testing
from headstart.core.features import Features
from headstart.core.observations import DataSurvey
from headstart.core.options import BackboneOptions, MethodOptions, TrainingOptions
from headstart.core.plan import Plan
from headstart.core.plugins import member
from headstart.core.run import Run
from headstart.core.task import Example, Task
from headstart.data.read import read
from headstart.features.extract import embed
from headstart.training.heads.linear import column_scaling, scale_columns
from headstart.workflows.planner import choose, method_of
from headstart.workflows.steps import embedded_task, survey_frozen

labels = member("guards", "labels")


def blobs(wrong: int, n=300, k=3, d=16, apart=4.0, seed=0, kind="classes") -> DataSurvey:
    """Examples around k points, of which the first `wrong` bear the label of another; a fifth of them judges."""
    rng = np.random.default_rng(seed)
    true = np.arange(n) % k
    x = rng.standard_normal((n, d)).astype(np.float32)
    x[np.arange(n), true] += apart
    said = np.where(np.arange(n) < wrong, (true + 1) % k, true)
    given = [float(v) for v in said] if kind == "number" else [f"c{v}" for v in said]
    objective = member("objectives", kind).of(given)
    examples = tuple(Example(f"e{i}", str(i), f"d{i}", label) for i, label in enumerate(given))
    index = np.arange(n)
    parts = {"train": index[index % 5 < 3], "val": index[index % 5 == 3], "test": index[index % 5 == 4]}
    card = member("backbones", "vector").card(str(d))
    whole = Features(x, objective.encode(given), tuple(e.id for e in examples))
    task = Task("vector", objective, examples, parts)
    plan = Plan(card, card.cut(1), method_of("logistic" if kind == "classes" else "ridge", {}), 0)
    rows = {name: whole.rows(some) for name, some in parts.items()}
    return DataSurvey(task, plan, rows, lambda positions: [b""] * len(positions))


PLANTED = (blobs(12), blobs(0))


def test_the_guard_sees_wrong_labels_and_is_silent_on_right_ones():
    testing.check_guard(labels, *PLANTED)


def test_the_finding_names_the_wrong_ones_and_what_they_look_like():
    (found,) = labels.look(blobs(12))
    assert found.level == "warn" and "of 300 labels" in found.message and "the model's mistakes" in found.message
    wrong = {f"e{i}" for i in range(12)}
    named = {e["id"] for e in found.evidence["examples"]}
    assert named <= wrong and len(named) >= 10
    shown = next(e for e in found.evidence["examples"] if e["id"] == "e0")
    assert shown["text"].startswith("c1, looks like c0 (")


def test_a_single_wrong_label_is_noted():
    (found,) = labels.look(blobs(1))
    assert found.level == "note" and found.evidence["examples"][0]["id"] == "e0"


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_labels_that_features_know_nothing_of_are_never_disputed(seed, k):
    rng = np.random.default_rng(seed)
    part = Features(
        rng.standard_normal((120, 10)).astype(np.float32), rng.integers(0, k, 120), tuple(map(str, range(120)))
    )
    assert not len(labels.find_label_issues([part], k).index)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(0, 8))
def test_what_is_disputed_depends_on_no_order(seed, k, wrong):
    some = blobs(wrong, n=120, k=k, seed=seed).parts
    whole = Features(
        np.concatenate([p.x for p in some.values()]), np.concatenate([p.y for p in some.values()]),
        tuple(name for p in some.values() for name in p.ids),
    )  # fmt: skip
    turned = whole.rows(np.random.default_rng(seed).permutation(120))
    a, b = labels.find_label_issues([whole], k), labels.find_label_issues([turned], k)
    assert {whole.ids[i] for i in a.index} == {turned.ids[i] for i in b.index}
    assert (a.predicted_probability > a.self_confidence).all() and (a.predicted != whole.y[a.index]).all()


@pytest.mark.parametrize(("n", "d"), [(40, 90), (90, 40), (700, 900), (900, 700)])
def test_answers_without_a_row_are_those_of_a_head_that_never_saw_it(n, d):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d)).astype(np.float32) * np.geomspace(1, 0.02, d)  # as uneven as features are
    z = scale_columns(x.astype(np.float32), *column_scaling(x))
    z -= z.mean(0)
    t = rng.standard_normal((n, 3)).astype(np.float32)
    t -= t.mean(0)
    weight, held = labels._ridge_leave_one_out(z, t)
    wide = z.astype(np.float64)
    gram = wide.T @ wide + labels.RIDGE_PENALTY * np.eye(d)
    assert np.allclose(weight, np.linalg.solve(gram, wide.T @ t), atol=1e-3)
    for row in (0, 17, n - 1):
        rest = np.delete(wide, row, 0), np.delete(t, row, 0).astype(np.float64)
        middle, height = rest[0].mean(0), rest[1].mean(0)
        off = rest[0] - middle
        alone = np.linalg.solve(off.T @ off + labels.RIDGE_PENALTY * np.eye(d), off.T @ (rest[1] - height))
        assert np.allclose(held[row], height + (wide[row] - middle) @ alone, atol=2e-3)


def test_a_sample_that_is_learned_from_judges_the_rest_and_the_message_says_so(monkeypatch):
    monkeypatch.setattr(labels, "MIN_TRAIN", 100)
    monkeypatch.setattr(labels, "MAX_GRAM_FLOPS", 1.0)
    (found,) = labels.look(blobs(12))
    assert "A sample of 100 examples was learned from" in found.message
    named = {e["id"] for e in found.evidence["examples"]}
    assert named <= {f"e{i}" for i in range(12)} and len(named) >= 8


def test_numbers_and_classes_that_are_too_rare_are_left_alone():
    assert not list(labels.look(blobs(12, kind="number")))
    part = blobs(0).parts["train"]
    y = part.y.copy()
    y[:2] = 3
    assert not len(labels.find_label_issues([replace(part, y=y)], 4).index)
    assert not len(labels.find_label_issues([part.rows(np.arange(4))], 3).index)


def test_labels_turned_in_real_texts_are_found_and_few_others(real_data, tmp_path):
    run = Run.start(tmp_path / "run", tmp_path / "cache", raise_on_stop=False)
    job = read(real_data / "text_sms_spam")
    plan = choose(job, BackboneOptions(), MethodOptions(), TrainingOptions(), 0, tmp_path / "cache")
    rows = embed(job.examples, plan.backbone, plan.cut, tmp_path / "cache", run)
    survey = survey_frozen(embedded_task(job, plan, rows), rows, run)
    parts = list(survey.parts.values())
    assert len(labels.find_label_issues(parts, 2).index) < 0.005 * len(job.examples)
    y = np.concatenate([p.y for p in parts])
    turned = np.random.default_rng(0).random(len(y)) < 0.03
    edge = np.cumsum([len(p) for p in parts])[:-1]
    mended = [replace(p, y=some) for p, some in zip(parts, np.split(np.where(turned, 1 - y, y), edge), strict=True)]
    index = labels.find_label_issues(mended, 2).index
    assert turned[index].mean() > 0.9 and turned[index].sum() > 0.5 * turned.sum()
