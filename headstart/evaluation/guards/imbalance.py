"""One class drowns the others, so that accuracy flatters a model that ignores the rare one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from headstart.core.observations import Embedded
from headstart.core.plugins import name_of
from headstart.core.result import Finding

watches = Embedded
RATIO = 5  # a commonest class this many times the rarest; below it, weights changed balanced accuracy by < 1 point


def look(value: Embedded) -> Iterator[Finding]:
    """Recommends weights, unless they were asked for."""
    settings = value.plan.facts()["settings"]
    if name_of(value.task.objective) != "classes" or settings.get("weights") == "balanced":
        return
    counts = Counter(str(e.label) for e in value.task.part("train"))
    if len(counts) < 2:
        return
    (common, most), (rare, least) = counts.most_common()[0], counts.most_common()[-1]
    if most >= RATIO * least:
        message = f"{common!r} has {most} training examples, {rare!r} only {least}: judge by balanced accuracy."
        ask = "--set weights=balanced" if "weights" in settings else "--method logistic --set weights=balanced"
        fix = f"add {ask}, or label more of the rare classes"
        yield Finding("imbalance", "warn", message, fix, dict(counts))
