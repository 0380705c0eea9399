"""Recommends a method from domain similarity, label count and measured transfer; estimates its cost."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from headstart.core.backbone import Backbone
from headstart.core.plan import Plan, trains_in_steps, traits_of
from headstart.core.plugins import member
from headstart.core.settings import own_name
from headstart.evaluation.transferability.learning_curve import LearningCurve
from headstart.training.expected_gain import PAIR_LABELS, gain_prior

MIN_LABELS_PER_CLASS = 20  # of the median class; with fewer there is no validation set for early stopping
MIN_GAIN = 0.02  # of the score, predicted for twice the labels, from which on labelling more comes first
FLAT_GAIN, SATURATED_SCORE = 0.005, 0.95  # a learning curve counts as flat below, a score as saturated above
MIN_FULL_FINETUNING = 5_000  # training examples from which all blocks are fine-tuned
STEP_COST = 3.0  # of a training step in forward passes: forward, and backward at twice its cost
Z = 1.96


@dataclass(frozen=True, slots=True)
class LabelAmount:
    """Whether the labels suffice, or more of them should come first.

    score, low, high: log2 distance to the border between small and large, with its 95 % interval
    near:   the interval holds the border.  labels: of the median class, None for regression
    """

    verdict: Literal["small", "large"]
    score: float
    low: float
    high: float
    near: bool
    labels: float | None


def assess_label_amount(labels: float | None, curve: LearningCurve | None) -> LabelAmount:
    """Large with MIN_LABELS_PER_CLASS and less than MIN_GAIN predicted from twice the labels; the lower score counts.

    labels: of the median class
    """
    label_score = math.log2(max(labels, 0.5) / MIN_LABELS_PER_CLASS) if labels is not None else math.inf
    if curve is None:
        score = min(label_score, -1.0)
        return LabelAmount("small", score, score - 0.5, min(score + 0.5, -0.1), False, labels)
    gain, gain_low, gain_high = (min(max(g, MIN_GAIN / 16), 1.0) for g in curve.gain)
    gain_score, least, most = (math.log2(MIN_GAIN / g) for g in (gain, gain_high, gain_low))
    score, low, high = min(label_score, gain_score), min(label_score, least), min(label_score, most)
    low, high = min(low, score - 0.2), max(high, score + 0.2)
    verdict: Literal["small", "large"] = "large" if score >= 0 else "small"
    return LabelAmount(verdict, score, low, high, low < 0 < high, labels)


@dataclass(frozen=True, slots=True)
class TaskProfile:
    """Everything a recommendation depends on.

    kind, objective: of the task.  n: training examples.  trainable: whether the backbone can be fine-tuned here
    helped: "helped", "cannot tell", "hurt", "" where transfer was not compared.  skip: the floor does as well
    floor:  the backbone without pretraining.  score: of the probe, a share, None for regression
    """

    kind: str
    objective: str
    n: int
    similarity: str
    amount: LabelAmount
    curve: LearningCurve | None
    trainable: bool
    helped: str
    skip: bool
    floor: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A method with its settings. backbone: "" for the one planned with.  settings: as text, for --set"""

    method: str
    settings: dict[str, str]
    backbone: str
    reasons: tuple[str, ...]


def recommend(profile: TaskProfile) -> Recommendation:
    """The method for a task profile, with its reasons in sentences."""
    if profile.skip:
        return _recommend_floor(profile)
    labels = profile.amount.labels
    few_shot = labels is not None and labels <= PAIR_LABELS and profile.objective == "classes"
    if not profile.trainable:
        reason = "The backbone is no network whose weights can move here, so the choice is among heads on its rows."
        return Recommendation("probe", {}, "", (reason,))
    if few_shot and profile.kind == "text":
        reason = (
            f"With {labels:.0f} labels a class, pairs of texts tell more than single ones: contrast "
            "gained 4 to 25 points over the probe on other texts with 8 to 64."
        )
        return Recommendation("contrast", {}, "", (reason,))
    if profile.similarity == "similar":
        return _recommend_similar(profile)
    if profile.amount.verdict == "small":
        reason = (
            "The top of the backbone speaks of what it was trained on. Lower levels are more general, so auto judges a "
            "head on each of them by cross-validation and keeps the plain probe where none is better."
        )
        methods = {"methods": "contrast"} if few_shot else {"methods": "lpft"}
        return Recommendation("auto", methods, "", (reason,))
    if profile.n >= MIN_FULL_FINETUNING:
        reason = f"{profile.n:,} examples are enough for every block to learn; "
        reason += "the rate falls by a fifth at each block down."
        return Recommendation("full", {}, "", (reason,))
    reason = "Labels are many enough to move the upper half of the blocks, each slower than the one above it."
    return Recommendation("finetune", {"blocks": "half"}, "", (reason,))


def _recommend_similar(profile: TaskProfile) -> Recommendation:
    if profile.amount.verdict == "small":
        reason = (
            "The frozen features fit, and with so few labels training them mostly forgets: a linear probe is the safe "
            "choice, and more labels gain more than a better method would."
        )
        return Recommendation("probe", {}, "", (reason,))
    flat = profile.curve is not None and profile.curve.gain[0] <= FLAT_GAIN
    if flat or (profile.score is not None and profile.score >= SATURATED_SCORE):
        room = "the learning curve is flat" if flat else "little is left to gain"
        reason = f"The frozen features fit and {room}: the probe is enough, and fine-tuning has little room."
        return Recommendation("probe", {}, "", (reason,))
    reason = (
        "The features fit and labels are many: under a converged head the top quarter of the blocks may follow them, "
        "each at 0.8 times the rate of the one above it."
    )
    return Recommendation("lpft", {}, "", (reason,))


def _recommend_floor(profile: TaskProfile) -> Recommendation:
    """The floor instead of transfer learning."""
    comparison = "better" if profile.helped == "hurt" else "as good"
    reason = f"Take the floor {profile.floor}, which borrows nothing: it is {comparison} here, smaller and faster."
    if profile.trainable and profile.amount.verdict == "large":
        reason += " With far more labels, a small network from scratch may do better still: compare --method compact."
    return Recommendation("probe", {}, profile.floor, (reason,))


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """Estimated cost of the recommended fit, and the score to expect of it.

    embedding, learning: seconds on this machine, None where that was not measured.  bytes: of the delta, about
    value, low, high: expected score with its 95 % interval.  says: where these come from
    """

    embedding: float | None
    learning: float | None
    bytes: int
    value: float
    low: float
    high: float
    says: str


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredCosts:
    """Measurements that a cost estimate starts from.

    n, n_train: examples in all, and to learn from.  outputs: width of the scores
    seconds_per_example: forward pass of the whole network, None where it was not measured
    head_seconds:        fit of the probe.  probe: (value, low, high) of its score; is_share: that score is a share
    parameters:          (blocks + 2,) by part, as NetworkProfile has them; None where the network was not opened
    """

    n: int
    n_train: int
    outputs: int
    seconds_per_example: float | None
    head_seconds: float
    probe: tuple[float, float, float]
    is_share: bool
    parameters: np.ndarray | None


def estimate_cost(plan: Plan, measured: MeasuredCosts) -> CostEstimate:
    """Cost of a fit by this plan, and the score to expect."""
    card, method, at, each = plan.backbone, plan.method, plan.cut.at, measured.seconds_per_example
    n_blocks = max(1, len(card.blocks))
    head_size = (card.width + 1) * measured.outputs
    if not trains_in_steps(method):
        embedding = None if each is None else each * measured.n
        says = "Seconds of the head and its score were measured here."
        return CostEstimate(embedding, measured.head_seconds, 4 * head_size, *measured.probe, says)
    facts: dict[str, Any] = asdict(method)
    traits, batch_size = traits_of(method), facts[own_name(type(method), "batch_size")]
    by_part = measured.parameters
    trained = card.parameters if by_part is None else int(by_part[0 if at == 0 else at + 1 :].sum())
    steps = facts["steps"] or 0
    views = facts.get("views", 0) if card.preprocess.kind == "image" else 0
    below, above = at / n_blocks, (n_blocks - at) / n_blocks
    embedding = None if each is None else each * below * (measured.n + views * measured.n_train)
    learning = None if each is None else each * above * STEP_COST * steps * batch_size
    size = 4 * (trained + head_size)
    kinds = member("preprocess", card.preprocess.kind).SERVES
    mean, spread = gain_prior(traits, kinds, few_labels=True, headroom=0.0)
    says = (
        f"Seconds are an estimate: {steps:,} steps of {batch_size}, each {STEP_COST:.0f} times a forward pass "
        f"through {above:.0%} of the blocks, timed here. The score is the probe's, moved by what such training moved "
        f"scores by on other data: {100 * mean:.0f} ± {100 * spread:.0f} points."
    )
    if traits.parameters:
        millions = traits.parameters / 1e6
        size = 4 * traits.parameters
        says = f"About {millions:.1f} million weights. What it scores was not measured: compare it."
    return CostEstimate(embedding, learning, size, *_shift_score(measured.probe, mean, spread, measured.is_share), says)


def _shift_score(
    probe: tuple[float, float, float], gain_mean: float, gain_std: float, is_share: bool
) -> tuple[float, float, float]:
    """(value, low, high) of the probe plus a gain with mean and standard deviation, as shares of the score's scale."""
    scale = 1.0 if is_share else abs(probe[0])
    value = probe[0] + gain_mean * scale
    low, high = (math.hypot(probe[0] - end, Z * gain_std * scale) for end in probe[1:])
    if not is_share:
        return value, value - low, value + high
    return min(value, 1.0), max(value - low, 0.0), min(value + high, 1.0)


def resolve_settings(recommendation: Recommendation, backbone: Backbone) -> dict[str, str]:
    """The recommended settings for this backbone: "half" of the blocks becomes their number."""
    settings = dict(recommendation.settings)
    if settings.get("blocks") == "half":
        settings["blocks"] = str(-(-len(backbone.blocks) // 2))
    return settings
