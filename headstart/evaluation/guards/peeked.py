"""Test-set reuse: among many models evaluated on one test set, the best is partly lucky."""

from __future__ import annotations

import math
from collections.abc import Iterator

from headstart.core.observations import Evaluation
from headstart.core.result import Finding

watches = Evaluation
MIN_MODELS = 20  # models; those of one `compare` are fewer


def look(value: Evaluation) -> Iterator[Finding]:
    """Notes the selection bias of the best of as many equal models, and where the count of them was lost.

    At most the expected maximum of k normal errors, sqrt(2 ln k) standard errors; less where errors are correlated.
    """
    judged = value.details.get("judged") or {}
    count, lost = int(judged.get("models", 0)), judged.get("lost", "")
    if lost:
        message = f"How many models these test examples have judged on this machine is not known: {lost}."
        yield Finding("peeked", "note", message, "look at the disk: headstart cache verify", {"models": count})
    if count < MIN_MODELS:
        return
    headline = value.metrics[0]
    standard_error = (headline.high - headline.low) / (2 * 1.96)
    bias = standard_error * math.sqrt(2 * math.log(count))
    message = (
        f"These {headline.n:,} test examples have judged {count} different models on this machine. If you keep the "
        f"best, its {headline.name} may be flattered by up to {bias:.3f}."
    )
    fix = "choose by the validation part or by cross-validation, and judge the one you keep on new examples (--test)"
    yield Finding("peeked", "note", message, fix, {"models": count, "flattered": bias})
