"""Measures of how well a backbone suits a task: what always holds of them, and what is recommended from them."""

import itertools
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from headstart import testing
from headstart.backbones.cards import find_card
from headstart.core.options import DataOptions
from headstart.core.plugins import member
from headstart.core.run import Run
from headstart.data.read import read
from headstart.evaluation.transferability import (
    domain_similarity,
    learning_curve,
    measurements,
    recommendation,
)
from headstart.evaluation.transferability.domain_similarity import (
    BatchNormMoments,
    SimilarityMeasure,
    TransferComparison,
)
from headstart.evaluation.transferability.recommendation import LabelAmount, TaskProfile

MOBILENET = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"


VIT = "timm:hf-hub:headstart-test/vit_tiny_patch16_224.augreg_in1k"


SUBWORDS = domain_similarity.SUBWORDS_BORDER
# What the measures gave on real data (64 photos for norms, 160 to 256 for certainty, 200 texts for pieces): the border,
# what is similar, what is different. Photos of hymenoptera, trashnet, flowers and pacs (with own: cifar10 and art too);
# spectrograms, steel defects, MNIST (with ViT USPS and sketches, with own USPS too); 8 English sets, agnews under rot13
# and rows of numbers. The demo's rendered parts were taken for neither: 0.23 and 0.33, 0.11 and 0.47.
BORDERS_SEEN = {
    "mobilenet certainty": (domain_similarity.CERTAINTY_BORDER, (0.44, 0.33, 0.32, 0.40), (0.16, 0.20, 0.11)),
    "vit certainty": (domain_similarity.CERTAINTY_BORDER, (0.64, 0.40, 0.35, 0.53), (0.15, 0.14, 0.15, 0.15, 0.11)),
    "mobilenet norms": (domain_similarity.BATCHNORM_BORDER, (0.035, 0.092, 0.081, 0.025), (0.175, 0.267, 0.201)),
    "own norms": (
        domain_similarity.BATCHNORM_BORDERS["own:vision-small"],
        (0.44, 0.36, 0.27, 0.35, 0.39, 0.40), (0.54, 0.55, 0.55, 0.54),
    ),
    "minilm pieces": (SUBWORDS, (1.40, 1.28, 1.38, 1.50, 1.66, 1.38, 1.34, 1.25), (3.35, 3.60)),
    "own pieces": (SUBWORDS, (1.34, 1.26, 1.20, 1.43, 1.53, 1.20, 1.14, 1.22), (3.30, 3.50)),
}  # fmt: skip


@pytest.mark.parametrize("name", BORDERS_SEEN)
def test_every_border_lies_between_what_was_seen_on_either_side(name):
    border, similar, different = BORDERS_SEEN[name]
    if "certainty" in name:
        assert min(similar) > border > max(different)
    else:
        assert max(similar) < border < min(different)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=8, max_size=120), st.integers(0, 9))
def test_subsets_are_nested_and_keep_the_shares(labels, seed):
    strata = np.array(labels)
    found = learning_curve.nested_subsets(strata, learning_curve.TRAIN_SHARES, np.random.default_rng(seed))
    for small, large in itertools.pairwise(found):
        assert set(small) <= set(large) and len(small) < len(large)
    assert sorted(found[-1]) == list(range(len(strata)))
    half = np.bincount(strata[found[2]], minlength=5)
    assert (np.abs(half - np.bincount(strata, minlength=5) / 2) <= 2).all()


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float32, (12, 5), elements=st.floats(-3, 3, width=32)),
    st.permutations(range(12)),
)
def test_measures_do_not_depend_on_the_order_of_examples(x, order):
    weight, bias = np.linspace(-1, 1, 35, dtype=np.float32).reshape(7, 5), np.zeros(7, np.float32)

    def rng():
        return np.random.default_rng(0)

    def normed(rows):
        return domain_similarity.batchnorm_distance(
            [BatchNormMoments(rows, rows**2 + 1, np.zeros(5), np.ones(5))], "", rng()
        )

    for measure in (lambda r: domain_similarity.classifier_certainty(r, weight, bias, rng()), normed):
        one, other = measure(x), measure(x[list(order)])
        assert one.value == pytest.approx(other.value, abs=1e-5)
        assert one.low - 1e-9 <= one.value <= one.high + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.02, 2.0), min_size=1, max_size=3), st.floats(1.0, 4.0))
def test_a_figure_that_moves_to_the_similar_side_never_lowers_the_score(values, factor):
    def of(scale):
        return domain_similarity.combine_measures(
            [SimilarityMeasure("m", v * scale, v * scale, v * scale, 0.3, "higher", "") for v in values]
        )

    assert of(factor).score >= of(1.0).score
    assert of(1.0).low < of(1.0).score < of(1.0).high
    assert of(1.0).near == (of(1.0).low < 0 < of(1.0).high)


def test_certainty_is_1_for_sure_and_different_answers_and_0_for_equal_ones():
    eye, none = np.eye(6, dtype=np.float32), np.zeros(6, np.float32)
    rng = np.random.default_rng(0)
    assert domain_similarity.classifier_certainty(50 * eye, eye, none, rng).value == pytest.approx(1, abs=1e-6)
    assert domain_similarity.classifier_certainty(np.ones((6, 6), np.float32), eye, none, rng).value == pytest.approx(
        0, abs=1e-6
    )


def test_norms_are_0_where_channels_are_as_kept_and_1_a_standard_deviation_away():
    mean = np.zeros((9, 4))
    kept = BatchNormMoments(mean, mean + 4, np.zeros(4), np.full(4, 4.0))
    off = BatchNormMoments(mean + 2, mean + 8, np.zeros(4), np.full(4, 4.0))
    rng = np.random.default_rng(0)
    assert domain_similarity.batchnorm_distance([kept], "", rng).value == pytest.approx(0, abs=1e-9)
    assert domain_similarity.batchnorm_distance([off], "", rng).value == pytest.approx(1)


def test_distances_are_small_between_halves_and_large_after_a_shift():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(300, 6)), rng.normal(size=(300, 6))
    near, far = (
        domain_similarity.distribution_distances(a, b, rng),
        domain_similarity.distribution_distances(a, b + 3, rng),
    )
    assert near["frechet"] < 0.1 and near["proxy_a"] < 0.4 and abs(near["mmd"]) < 0.01
    assert far["frechet"] == pytest.approx(54 / 6, rel=0.15), "six columns shifted by 3, of variance 1 each"
    assert far["proxy_a"] > 1.9 and far["mmd"] > 0.3


def test_a_power_law_is_found_and_carried_on():
    rng = np.random.default_rng(0)
    labels = [100, 200, 400, 800]
    errors = [0.4 * (n / 100) ** -0.5 for n in labels]
    worths = [
        (rng.random((3 if n < 800 else 1, 20_000)) > e).astype(float) for n, e in zip(labels, errors, strict=True)
    ]
    found = learning_curve.fit_curve(worths, labels, learning_curve.TRAIN_SHARES, "accuracy", rng)
    assert found.power == pytest.approx(0.5, abs=0.05)
    assert found.expected[0] == pytest.approx(1 - 0.4 * 16**-0.5, abs=0.01)
    assert found.expected[1] <= 1 - 0.4 * 16**-0.5 <= found.expected[2]


def at(verdict="large", labels=100.0):
    return LabelAmount(verdict, 1.0, 0.5, 1.5, False, labels)


CASE = TaskProfile("image", "classes", 800, "similar", at(), None, True, "helped", False, "stats", 0.8)


@pytest.mark.parametrize(
    ("change", "method"),
    [
        ({}, "lpft"),
        ({"score": 0.99}, "probe"),
        ({"amount": at("small")}, "probe"),
        ({"trainable": False}, "probe"),
        ({"similarity": "different"}, "finetune"),
        ({"similarity": "different", "n": 9_000}, "full"),
        ({"similarity": "different", "amount": at("small")}, "auto"),
        ({"kind": "text", "amount": at("small", 8.0)}, "contrast"),
        ({"skip": True, "helped": "cannot tell"}, "probe"),
        ({"skip": True, "helped": "hurt", "similarity": "different"}, "probe"),
    ],
)
def test_each_case_has_its_advice(change, method):
    advice = recommendation.recommend(replace(CASE, **change))
    assert advice.method == method and all(r.endswith(".") for r in advice.reasons)
    assert advice.backbone == ("stats" if change.get("skip") and method == "probe" else "")
    settings = member("methods", method if method != "probe" else "logistic").Settings
    assert advice.settings.keys() <= {field.name for field in fields(settings)}


def test_few_labels_are_small_however_flat_the_curve():
    flat = learning_curve.LearningCurve((), (0, 0, 0), (0.001, 0.0, 0.002), (0.9, 0.8, 1.0), 0.1, "accuracy")
    steep = replace(flat, gain=(0.06, 0.04, 0.08))
    assert (
        recommendation.assess_label_amount(5, flat).verdict == "small"
        and recommendation.assess_label_amount(200, flat).verdict == "large"
    )
    assert (
        recommendation.assess_label_amount(200, steep).verdict == "small"
        and recommendation.assess_label_amount(None, None).verdict == "small"
    )
    for found in (
        recommendation.assess_label_amount(200, flat),
        recommendation.assess_label_amount(200, steep),
        recommendation.assess_label_amount(5, flat),
    ):
        assert found.low < found.score < found.high


PAIR = {"measure": "accuracy", "difference": -0.04, "low": -0.07, "high": -0.01, "p": 0.01, "n": 300}


HURT = TransferComparison(
    "timm:x", "image", "hurt", {"stats": {**PAIR, "verdict": "worse"}}, True, "different", "take stats"
)


HELPED = TransferComparison(
    "timm:x", "image", "helped", {"stats": {**PAIR, "difference": 0.1, "verdict": "better"}}, False, "similar", ""
)


def test_the_guard_sees_harm_and_is_silent_where_borrowing_helped():
    guard = member("guards", "negative")
    testing.check_guard(guard, HURT, HELPED)
    (found,) = guard.look(HURT)
    assert found.level == "warn" and "−4.0 points" in found.message


@pytest.mark.parametrize("name", [MOBILENET, VIT])
def test_photos_are_similar_and_spectrograms_are_not(hub, real_data, tmp_path, name):
    card = find_card(name, tmp_path)
    for data, verdict in (("hymenoptera", "similar"), ("spoken_digits_spectrogram", "different")):
        task = read(real_data / data, DataOptions(seed=0))
        some = task.parts["train"][np.random.default_rng(0).permutation(len(task.parts["train"]))[:40]]
        few = replace(
            task, examples=tuple(task.examples[i] for i in some),
            parts={"train": np.arange(30), "val": np.zeros(0, np.int64), "test": np.arange(30, 40)},
        )  # fmt: skip
        run = Run.start(tmp_path / data, tmp_path / "cache")
        x = measurements.embed(few.examples, card, card.cut(len(card.blocks)), tmp_path).x
        here = measurements.embedded_sample(few, card, x, 0, tmp_path, run)
        found = measurements.estimate_similarity(here, measurements.profile_network(here), {})
        assert found.verdict == verdict, found
