"""Negative transfer: a probe on the backbone is no better than on hand-made features or random weights."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.messages import format_p_value
from headstart.core.result import Finding
from headstart.evaluation.transferability.domain_similarity import BASELINE_NAMES, TransferComparison

watches = TransferComparison


def look(value: TransferComparison) -> Iterator[Finding]:
    """Warns where transfer hurts or gains nothing; notes where no gain can be shown."""
    if value.verdict in ("helped", "") and not value.skip:
        return
    comparisons = [
        f"{BASELINE_NAMES[name]}: {_format_difference(pair)} ({format_p_value(pair['p'])}, {pair['n']:,} examples)"
        for name, pair in value.against.items()
        if pair["verdict"] != "better"
    ]
    summary = "; ".join(comparisons)
    if value.verdict == "hurt":
        message, level = f"Borrowing from {value.backbone} hurts. Its probe against {summary}.", "warn"
    elif value.skip:
        message, level = f"Borrowing from {value.backbone} gains nothing. Its probe against {summary}.", "warn"
    else:
        message, level = f"Whether borrowing from {value.backbone} helps cannot be told: {summary}.", "note"
    evidence = {"verdict": value.verdict, "against": value.against, "similarity": value.similarity}
    yield Finding("negative", level, message, value.instead, evidence)  # type: ignore[arg-type]


def _format_difference(pair: dict) -> str:
    if "squared" in pair["measure"]:
        return f"{pair['difference']:+.3g} in {pair['measure']}".replace("-", "−")
    return f"{100 * pair['difference']:+.1f} points".replace("-", "−")
