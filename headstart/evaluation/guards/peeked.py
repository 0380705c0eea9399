"""The test part has judged so many models that the best of them is partly lucky."""

from __future__ import annotations

import math
from collections.abc import Iterator

from headstart.core.observations import Judged
from headstart.core.result import Finding

watches = Judged
MANY = 20  # models; those of one `compare` are fewer


def look(value: Judged) -> Iterator[Finding]:
    """Notes by how much the best of as many equal models is flattered.

    At most by the expected largest of k normal errors, sqrt(2 ln k) standard errors: models that err alike less.
    """
    count = int((value.details.get("judged") or {}).get("models", 0))
    if count < MANY:
        return
    head = value.metrics[0]
    error = (head.high - head.low) / (2 * 1.96)
    flattered = error * math.sqrt(2 * math.log(count))
    message = (
        f"These {head.n:,} test examples have judged {count} different models on this machine. If you keep the best, "
        f"its {head.name} may be flattered by up to {flattered:.3f}."
    )
    fix = "choose by the validation part or by cross-validation, and judge the one you keep on new examples (--test)"
    yield Finding("peeked", "note", message, fix, {"models": count, "flattered": flattered})
