"""Sentences about a plan: its verdict, and each reason with its value and interval."""

from __future__ import annotations

import math

from headstart.core.messages import format_p_value
from headstart.evaluation.transferability.domain_similarity import BASELINE_NAMES, SimilarityEstimate
from headstart.evaluation.transferability.measurements import ProbeResult
from headstart.evaluation.transferability.recommendation import FLAT_GAIN, MIN_GAIN, MIN_LABELS_PER_CLASS, TaskProfile

EXAMPLE_NOUNS = {"image": "photos", "text": "texts"}
MEASURE_LABELS = {"certainty": "Certainty", "norms": "Distance from the kept norms", "pieces": "Pieces a word"}
GAINS = {"helped": "borrowing helped", "hurt": "borrowing hurts", "cannot tell": "whether borrowing helps is unsure"}


def reasons(profile: TaskProfile, likeness: SimilarityEstimate | None, transfer: dict, probe: ProbeResult) -> list[str]:
    """A sentence for each measurement that the recommendation rests on."""
    sentences = _similarity_reasons(profile, likeness) + _label_reasons(profile, probe)
    return [*sentences, *_transfer_reasons(transfer), _probe_reason(probe)]


def verdict(facts: dict) -> str:
    """One sentence, as the page shows it: the claim, its uncertainty in brackets, then the advice."""
    nouns = EXAMPLE_NOUNS.get(facts["task"]["kind"], "examples")
    likeness, data = facts["likeness"], facts["data"]
    similarity = f"{'Similar to' if facts['similarity'] == 'similar' else 'Different from'} what the backbone has seen"
    if likeness is None:
        similarity = "How similar these data are is not known"
    labels = "with labels enough" if facts["amount"] == "large" else "and more labels would help"
    near = [word for word, held in (("similarity", likeness), ("amount", data)) if held and held["near"]]
    doubt = f"near the border in {' and in '.join(near)}" if near else "clear of both borders"
    cost = facts["price"]
    if facts["task"]["objective"] == "number":
        score = f"{facts['probe']['metric']} of the probe {facts['probe']['value']:.3g}"
    else:
        score = f"{_format_percent(cost['low'])} to {_format_percent(cost['high'])} may be expected"
    advice = f"Use {facts['method']}"
    if facts["skip"]:
        comparison = "better" if facts["transfer"]["against"]["stats"]["verdict"] == "worse" else "as well"
        advice = f"Skip transfer learning: the probe on {facts['transfer']['floor']} does {comparison}"
        advice += f", and try {facts['method']}" if facts["method"] != "probe" else ""
    transfer_note = f"; {GAINS[facts['transfer']['verdict']]}" if facts["transfer"]["against"] else ""
    evidence = f"{doubt}, {facts['task']['looked_at']:,} {nouns} looked at{transfer_note}"
    return f"{similarity}, {labels} ({evidence}): {advice}; {score}."


def alternative_to_transfer(profile: TaskProfile) -> str:
    """A phrase: what to do where transfer hurts, gains nothing, or cannot be shown to help."""
    alternatives = [f"take what borrows nothing: --backbone {profile.floor}"] if profile.skip else []
    if profile.kind == "image" and profile.similarity == "different":
        alternatives.append(
            "if these pictures were drawn from numbers (sound, tables, signals), give the numbers themselves, or train "
            "a small network of their own: --method compact"
        )
    if not profile.skip:
        command = "headstart compare DATA --methods probe,compact,scratch"
        alternatives.append(f"label more test examples, or compare: {command}")
    return "; ".join(alternatives)


def _similarity_reasons(profile: TaskProfile, likeness: SimilarityEstimate | None) -> list[str]:
    if likeness is None:
        missing = "no BatchNorm statistics, classifier or tokenizer of a pretraining to compare with"
        return [f"How similar the data are was not measured: the backbone carries {missing}. It counts as different."]
    sentences = []
    for measure in likeness.measures:
        margin = measure.margin()[0]
        call = "similar" if margin >= 0 else "different"
        side = "above" if (measure.better == "higher") == (margin >= 0) else "below"
        interval = f"95 % interval {measure.low:.2f} to {measure.high:.2f}; {call} {side} {measure.border:g}"
        label = MEASURE_LABELS.get(measure.name, "Share of errors left")
        sentences.append(f"{label} is {measure.value:.2f} ({interval}): {measure.says}.")
    if likeness.near:
        sentences.append(f"That is near the border: the call {likeness.verdict!r} may be wrong.")
    return sentences


def _label_reasons(profile: TaskProfile, probe: ProbeResult) -> list[str]:
    sentences = []
    labels = profile.amount.labels
    if labels is not None:
        comparison = "fewer than" if labels < MIN_LABELS_PER_CLASS else "no fewer than"
        sentences.append(f"The median class has {labels:,.0f} labels, {comparison} {MIN_LABELS_PER_CLASS}.")
    if probe.curve is None:
        return [*sentences, "There are too few labels for a learning curve."]
    gain, low, high = (100 * g for g in probe.curve.gain)
    unit = "points" if profile.objective != "number" else "hundredths of the variance"
    last, least, most = (100 * g for g in probe.curve.last)
    comparison = "less than" if gain < 100 * MIN_GAIN else "more than"
    flat = "; the curve is flat" if probe.curve.gain[0] <= FLAT_GAIN else ""
    sentences.append(
        f"Twice the labels would gain the probe about {gain:.1f} {unit} ({low:.1f} to {high:.1f}), {comparison} "
        f"{100 * MIN_GAIN:.0f}{flat}; the last doubling gained {last:.1f} ({least:.1f} to {most:.1f})."
    )
    if profile.amount.near:
        sentences.append(f"That is near the border: the call {profile.amount.verdict!r} may be wrong.")
    return sentences


def _transfer_reasons(transfer: dict) -> list[str]:
    if not transfer["against"]:
        return [transfer["why"]]
    words = {"better": "better than", "worse": "worse than", "cannot tell": "not surely different from"}
    sentences = []
    for name, pair in transfer["against"].items():
        scale = 100 if "squared" not in pair["measure"] else 1
        unit = " points" if scale == 100 else f" in {pair['measure']}"
        difference, low, high = (_format_signed(scale * pair[key]) for key in ("difference", "low", "high"))
        sentences.append(
            f"A probe on the backbone is {words[pair['verdict']]} one on {BASELINE_NAMES[name]}: {difference}{unit} "
            f"({low} to {high}, {format_p_value(pair['p'])}, {pair['n']:,} examples)."
        )
    return sentences


def _probe_reason(probe: ProbeResult) -> str:
    if probe.metric in ("mae", "rmse", "r2") or not math.isfinite(probe.value):
        return f"The plain probe has a {probe.metric} of {probe.value:.3g} ({probe.low:.3g} to {probe.high:.3g})."
    value, low, high = (_format_percent(v) for v in (probe.value, probe.low, probe.high))
    return f"The plain probe has {probe.metric.replace('_', ' ')} {value} ({low} to {high})."


def _format_percent(share: float) -> str:
    # Never "100" for less than all; a no-break space keeps the sign on the number's line.
    return "100\u00a0%" if share >= 1 else f"{min(100 * share, 99.9):.1f}\u00a0%"


def _format_signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")
