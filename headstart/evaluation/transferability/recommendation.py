"""Where data stand among the four cases of transfer learning, and what is wise there, with reasons and prices."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from headstart.core.backbone import Backbone
from headstart.core.plan import Plan, trains
from headstart.core.plugins import name_of
from headstart.evaluation.transferability.learning_curve import Curve

LABELS = 20  # of the median class; with fewer no part can be held out to choose a step by (split.FEW)
GAIN = 0.02  # that twice the labels must promise for more of them to be the thing to get
FLAT, GOOD = 0.005, 0.95  # of a curve with no more to gain, and of a score with no room above it
FEW = 100  # labels a class up to which pairs are tried; on trec6 and sst2 they gained 4 to 25 points (docs/LOG.md)
DEEP = 5_000  # examples from which every block may learn
BACK = 3.0  # times a forward pass is a step: forward, and backward at twice its price
# What training below the top moved scores by on other data, mean and standard deviation (auto.USUAL, auto.FEW_SHOT).
USUAL, TEXTS, PAIRS = (0.0, 0.03), (0.02, 0.08), (0.10, 0.08)
Z = 1.96


@dataclass(frozen=True, slots=True)
class Amount:
    """Whether more labels are the thing to get.

    score, low, high: doublings on the large side of the border, and their 95 % interval
    labels: of the median class, None where labels are numbers
    """

    verdict: Literal["small", "large"]
    score: float
    low: float
    high: float
    near: bool
    labels: float | None


def amount(labels: float | None, curve: Curve | None) -> Amount:
    """Large where there are LABELS of each class and twice as many would gain less than GAIN: the lesser of the two.

    labels: of the median class
    """
    counted = math.log2(max(labels, 0.5) / LABELS) if labels is not None else math.inf
    if curve is None:
        score = min(counted, -1.0)
        return Amount("small", score, score - 0.5, min(score + 0.5, -0.1), False, labels)
    gained, least, most = (math.log2(GAIN / min(max(g, GAIN / 16), 1.0)) for g in (*curve.gain[:1], *curve.gain[:0:-1]))
    score, low, high = min(counted, gained), min(counted, least), min(counted, most)
    low, high = min(low, score - 0.2), max(high, score + 0.2)
    verdict: Literal["small", "large"] = "large" if score >= 0 else "small"
    return Amount(verdict, score, low, high, low < 0 < high, labels)


@dataclass(frozen=True, slots=True)
class Case:
    """All that a recommendation depends on.

    kind, objective: of the task.  n: examples to learn from.  trainable: whether the backbone is a network that can
    learn.  helped: "helped", "cannot tell", "hurt", "" where nothing was compared.  floor: that stands for no transfer
    score: of the probe, a share, None for numbers
    """

    kind: str
    objective: str
    n: int
    similarity: str
    amount: Amount
    curve: Curve | None
    trainable: bool
    helped: str
    skip: bool
    floor: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do. backbone: "" for the one that was asked about.  settings: as text, for --set"""

    method: str
    settings: dict[str, str]
    backbone: str
    reasons: tuple[str, ...]


def advise(case: Case) -> Advice:
    """The method for a case, and why, in sentences."""
    if case.skip:
        return _without(case)
    few = case.amount.labels is not None and case.amount.labels <= FEW and case.objective == "classes"
    if not case.trainable:
        said = "The backbone is no network whose weights can move here, so the choice is among heads on its rows."
        return Advice("probe", {}, "", (said,))
    if few and case.kind == "text":
        said = (
            f"With {case.amount.labels:.0f} labels a class, pairs of texts tell more than single ones: contrast gained "
            "4 to 25 points over the probe on other texts with 8 to 64."
        )
        return Advice("contrast", {}, "", (said,))
    if case.similarity == "similar":
        return _similar(case)
    if case.amount.verdict == "small":
        said = (
            "The top of the backbone speaks of what it was trained on. Lower levels are more general, so auto judges a "
            "head on each of them by cross-validation and keeps the plain probe where none is better."
        )
        methods = {"methods": "contrast"} if few else {"methods": "lpft"}
        return Advice("auto", methods, "", (said,))
    if case.n >= DEEP:
        said = f"{case.n:,} examples are enough for every block to learn; the rate falls by a fifth at each block down."
        return Advice("full", {}, "", (said,))
    said = "Labels are many enough to move the upper half of the blocks, each slower than the one above it."
    return Advice("finetune", {"blocks": "half"}, "", (said,))


def _similar(case: Case) -> Advice:
    if case.amount.verdict == "small":
        said = (
            "The frozen features fit, and with so few labels training them mostly forgets: a linear probe is the safe "
            "choice, and more labels gain more than a better method would."
        )
        return Advice("probe", {}, "", (said,))
    flat = case.curve is not None and case.curve.gain[0] <= FLAT
    if flat or (case.score is not None and case.score >= GOOD):
        room = "the learning curve is flat" if flat else "little is left to gain"
        said = f"The frozen features fit and {room}: the probe is enough, and fine-tuning has little room."
        return Advice("probe", {}, "", (said,))
    said = (
        "The features fit and labels are many: under a converged head the top quarter of the blocks may follow them, "
        "each at 0.8 times the rate of the one above it."
    )
    return Advice("lpft", {}, "", (said,))


def _without(case: Case) -> Advice:
    """What to do instead of borrowing."""
    well = "better" if case.helped == "hurt" else "as good"
    said = f"Take the floor {case.floor}, which borrows nothing: it is {well} here, smaller and faster."
    if case.trainable and case.amount.verdict == "large":
        said += " With far more labels, a small network from scratch may do better still: compare --method compact."
    return Advice("probe", {}, case.floor, (said,))


@dataclass(frozen=True, slots=True)
class Price:
    """What the recommended fit costs; estimates from what was measured here.

    embedding, learning: seconds on this machine, None where it was not measured.  bytes: of the delta, about
    low, value, high: of the score that may be expected.  says: where the figures come from
    """

    embedding: float | None
    learning: float | None
    bytes: int
    value: float
    low: float
    high: float
    says: str

    def facts(self) -> dict:
        """JSON."""
        return asdict(self)


def price(
    plan: Plan,
    count: int,
    train: int,
    width: int,
    each: float | None,
    head: float,
    sizes: np.ndarray | None,
    now: tuple[float, float, float],
    percent: bool,
) -> Price:
    """Of fitting by a plan.

    count, train: examples in all, and to learn from.  width: of the scores
    each:  seconds that one example takes through the whole network.  head: that the probe took to fit
    sizes: parameters by part, as `untrained.Opened` has them.  now: (value, low, high) of the probe
    percent: whether the score is a share
    """
    card, method, at = plan.backbone, plan.method, plan.cut.at
    whole = max(1, len(card.blocks))
    if not trains(method):
        took = None if each is None else each * count
        says = "Seconds of the head and its score were measured here."
        return Price(took, head, 4 * (card.width + 1) * width, *now, says)
    facts: dict[str, Any] = asdict(method)
    above = int(sizes[0 if at == 0 else at + 1 :].sum()) if sizes is not None else card.parameters
    steps = facts["steps"] or 0
    views = facts.get("views", 0) if card.preprocess.kind == "image" else 0
    below, rest = at / whole, (whole - at) / whole
    embedding = None if each is None else each * below * (count + views * train)
    learning = None if each is None else each * rest * BACK * steps * facts["batch"]
    size = 4 * (above + (card.width + 1) * width)
    words = card.preprocess.kind in ("text", "pieces")
    mean, spread = USUAL if not words else PAIRS if name_of(method) == "contrast" else TEXTS
    says = (
        f"Seconds are an estimate: {steps:,} steps of {facts['batch']}, each {BACK:.0f} times a forward pass through "
        f"{rest:.0%} of the blocks, timed here. The score is the probe's, moved by what such training moved scores by "
        f"on other data: {100 * mean:.0f} ± {100 * spread:.0f} points."
    )
    if name_of(method) == "compact":
        size, says = 4 * 400_000, "About 0.4 million weights. What it scores was not measured: compare it."
    return Price(embedding, learning, size, *_moved(now, mean, spread, percent), says)


def _moved(now: tuple[float, float, float], mean: float, spread: float, percent: bool) -> tuple[float, float, float]:
    """A score with its interval after a gain that is known by mean and standard deviation, in shares of its scale."""
    scale = 1.0 if percent else abs(now[0])
    value = now[0] + mean * scale
    low, high = (math.hypot(now[0] - end, Z * spread * scale) for end in now[1:])
    if not percent:
        return value, value - low, value + high
    return min(value, 1.0), max(value - low, 0.0), min(value + high, 1.0)


def settings_for(advice: Advice, card: Backbone) -> dict[str, str]:
    """The advice's settings with words turned into numbers: half of the blocks."""
    said = dict(advice.settings)
    if said.get("blocks") == "half":
        said["blocks"] = str(-(-len(card.blocks) // 2))
    return said
