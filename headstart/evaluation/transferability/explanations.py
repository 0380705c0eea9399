"""What a plan found, in sentences: the verdict, and each reason with its figure and its doubt."""

from __future__ import annotations

import math

from headstart.core.messages import chance
from headstart.evaluation.transferability.domain_similarity import RIVALS, Likeness
from headstart.evaluation.transferability.measurements import Probed
from headstart.evaluation.transferability.recommendation import FLAT, GAIN, LABELS, Case

NOUNS = {"image": "photos", "text": "texts"}


def reasons(case: Case, likeness: Likeness | None, transfer: dict, probe: Probed) -> list[str]:
    """Why the data stand where they stand, a sentence each."""
    return [*_similar(case, likeness), *_many(case, probe), *_borrowed(transfer), _score(probe)]


def verdict(facts: dict) -> str:
    """One sentence of claim, its doubt in brackets, then the advice, as a page shows it."""
    noun = NOUNS.get(facts["task"]["kind"], "examples")
    likeness, data = facts["likeness"], facts["data"]
    alike = f"{'Similar to' if facts['similarity'] == 'similar' else 'Different from'} what the backbone has seen"
    if likeness is None:
        alike = "How similar these data are is not known"
    many = "with labels enough" if facts["amount"] == "large" else "and more labels would help"
    near = [word for word, held in (("similarity", likeness), ("amount", data)) if held and held["near"]]
    doubt = f"near the border in {' and in '.join(near)}" if near else "clear of both borders"
    expected = facts["price"]
    if facts["task"]["objective"] == "number":
        score = f"{facts['probe']['metric']} of the probe {facts['probe']['value']:.3g}"
    else:
        score = f"{_p(expected['low'])} to {_p(expected['high'])} may be expected"
    do = f"Use {facts['method']}"
    if facts["skip"]:
        well = "better" if facts["transfer"]["against"]["stats"]["verdict"] == "worse" else "as well"
        do = f"Skip transfer learning: the probe on {facts['transfer']['floor']} does {well}"
        do += f", and try {facts['method']}" if facts["method"] != "probe" else ""
    helped = {
        "helped": "borrowing helped",
        "hurt": "borrowing hurts",
        "cannot tell": "whether borrowing helps is unsure",
    }
    said = f"; {helped[facts['transfer']['verdict']]}" if facts["transfer"]["against"] else ""
    return f"{alike}, {many} ({doubt}, {facts['task']['looked_at']:,} {noun} looked at{said}): {do}; {score}."


def otherwise(case: Case) -> str:
    """What to do where borrowing hurts, gains nothing, or cannot be shown to help; a phrase."""
    told = [f"take what borrows nothing: --backbone {case.floor}"] if case.skip else []
    if case.kind == "image" and case.similarity == "different":
        told.append(
            "if these pictures were drawn from numbers (sound, tables, signals), give the numbers themselves, or train "
            "a small network of their own: --method compact"
        )
    if not case.skip:
        told.append("label more test examples, or compare: headstart compare DATA --methods probe,compact,scratch")
    return "; ".join(told)


def _similar(case: Case, likeness: Likeness | None) -> list[str]:
    if likeness is None:
        why = "no BatchNorm statistics, classifier or tokenizer of a pretraining to compare with"
        return [f"How similar the data are was not measured: the backbone carries {why}. It counts as different."]
    told = []
    for m in likeness.measures:
        side = m.scores()[0]
        how = "similar" if side >= 0 else "different"
        told.append(
            f"{_named(m.name)} is {m.value:.2f} (95 % interval {m.low:.2f} to {m.high:.2f}; {how} "
            f"{'above' if (m.better == 'higher') == (side >= 0) else 'below'} {m.border:g}): {m.says}."
        )
    if likeness.near:
        told.append(f"That is near the border: the call {likeness.verdict!r} may be wrong.")
    return told


def _named(name: str) -> str:
    known = {"certainty": "Certainty", "norms": "Distance from the kept norms", "pieces": "Pieces a word"}
    return known.get(name, "Share of errors left")


def _many(case: Case, probe: Probed) -> list[str]:
    told = []
    if case.amount.labels is not None:
        side = "fewer than" if case.amount.labels < LABELS else "no fewer than"
        told.append(f"The median class has {case.amount.labels:,.0f} labels, {side} {LABELS}.")
    if probe.curve is None:
        return [*told, "There are too few labels for a learning curve."]
    gain, low, high = (100 * g for g in probe.curve.gain)
    what = "points" if case.objective != "number" else "hundredths of the variance"
    last, least, most = (100 * g for g in probe.curve.last)
    side = "less than" if gain < 100 * GAIN else "more than"
    flat = "; the curve is flat" if probe.curve.gain[0] <= FLAT else ""
    told.append(
        f"Twice the labels would gain the probe about {gain:.1f} {what} ({low:.1f} to {high:.1f}), {side} "
        f"{100 * GAIN:.0f}{flat}; the last doubling gained {last:.1f} ({least:.1f} to {most:.1f})."
    )
    if case.amount.near:
        told.append(f"That is near the border: the call {case.amount.verdict!r} may be wrong.")
    return told


def _borrowed(transfer: dict) -> list[str]:
    if not transfer["against"]:
        return [transfer["why"]]
    told = []
    for name, pair in transfer["against"].items():
        word = {"better": "better than", "worse": "worse than", "cannot tell": "not surely different from"}
        scale = 100 if "squared" not in pair["measure"] else 1
        unit = " points" if scale == 100 else f" in {pair['measure']}"
        told.append(
            f"A probe on the backbone is {word[pair['verdict']]} one on {RIVALS[name]}: "
            f"{_signed(scale * pair['difference'])}{unit} ({_signed(scale * pair['low'])} to "
            f"{_signed(scale * pair['high'])}, "
            f"{chance(pair['p'])}, {pair['n']:,} examples)."
        )
    return told


def _score(probe: Probed) -> str:
    if probe.metric in ("mae", "rmse", "r2") or not math.isfinite(probe.value):
        return f"The plain probe has a {probe.metric} of {probe.value:.3g} ({probe.low:.3g} to {probe.high:.3g})."
    return (
        f"The plain probe has {probe.metric.replace('_', ' ')} {_p(probe.value)} ({_p(probe.low)} to {_p(probe.high)})."
    )


def _p(share: float) -> str:
    # Never "100" for what is not quite all; the sign stays on the figure's line.
    return "100\u00a0%" if share >= 1 else f"{min(100 * share, 99.9):.1f}\u00a0%"


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")
