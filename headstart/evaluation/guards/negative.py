"""Negative transfer: what is borrowed does no better than hand-made statistics, or worse than random weights."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.messages import chance
from headstart.core.result import Finding
from headstart.evaluation.transferability.domain_similarity import RIVALS, Compared

watches = Compared


def look(value: Compared) -> Iterator[Finding]:
    """Warns where borrowing hurts, or where doing without is as good; notes where it cannot be told to help."""
    if value.verdict in ("helped", "") and not value.skip:
        return
    told = [
        f"{RIVALS[name]}: {_apart(pair)} ({chance(pair['p'])}, {pair['n']:,} examples)"
        for name, pair in value.against.items()
        if pair["verdict"] != "better"
    ]
    said = "; ".join(told)
    if value.verdict == "hurt":
        message, level = f"Borrowing from {value.backbone} hurts. Its probe against {said}.", "warn"
    elif value.skip:
        message, level = f"Borrowing from {value.backbone} gains nothing. Its probe against {said}.", "warn"
    else:
        message, level = f"Whether borrowing from {value.backbone} helps cannot be told: {said}.", "note"
    evidence = {"verdict": value.verdict, "against": value.against, "similarity": value.similarity}
    yield Finding("negative", level, message, value.instead, evidence)  # type: ignore[arg-type]


def _apart(pair: dict) -> str:
    if "squared" in pair["measure"]:
        return f"{pair['difference']:+.3g} in {pair['measure']}".replace("-", "−")
    return f"{100 * pair['difference']:+.1f} points".replace("-", "−")
