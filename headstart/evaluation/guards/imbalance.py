"""Class imbalance, under which accuracy flatters a model that ignores the rare classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from headstart.core.observations import Extraction
from headstart.core.plugins import name_of
from headstart.core.result import Finding

watches = Extraction
MIN_RATIO = 5  # of the commonest class to the rarest; below it, class weights changed balanced accuracy by < 1 point


def look(value: Extraction) -> Iterator[Finding]:
    """Recommends weights, unless they were asked for."""
    settings = value.plan.facts()["settings"]
    if name_of(value.task.objective) != "classes" or settings.get("class_weight") == "balanced":
        return
    counts = Counter(str(e.label) for e in value.task.part("train"))
    if len(counts) < 2:
        return
    (common, most), (rare, least) = counts.most_common()[0], counts.most_common()[-1]
    if most >= MIN_RATIO * least:
        message = f"{common!r} has {most} training examples, {rare!r} only {least}: judge by balanced accuracy."
        option = "--set class_weight=balanced"
        ask = option if "class_weight" in settings else f"--method logistic {option}"
        fix = f"add {ask}, or label more of the rare classes"
        yield Finding("imbalance", "warn", message, fix, dict(counts))
