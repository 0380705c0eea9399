"""Examples that differ and that the backbone sees alike: words it does not know, drawings in the alpha channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from headstart.core.observations import Extraction
from headstart.core.result import Finding

watches = Extraction
MAX_EXAMPLES = 5000  # looked at
STEP = 1e-5  # of the largest number of an embedding: nearer ones are equal
MIN_SHARE = 0.3  # of the examples, that are one to the backbone: a warning
WHY = {
    "text": "Its vocabulary may not hold these characters (another script, emoji).",
    "image": "They may be of one colour, or drawn in the alpha channel, which is laid over white.",
}
FIX = {
    "text": "borrow a backbone for this language, such as a multilingual one",
    "image": "look at the previews; save drawings over a ground that shows them",
}


def look(value: Extraction) -> Iterator[Finding]:
    """Stops where all are alike; warns where many are, with one of them."""
    train = value.parts["train"]
    if not value.plan.cut.top or value.task.kind not in WHY or len(train) < 4:
        return
    rows = np.asarray(train.x[:MAX_EXAMPLES], np.float32)
    digests = {e.id: e.digest for e in value.task.examples}
    distinct = {digests[name]: n for n, name in enumerate(train.ids[: len(rows)])}  # equal bytes are no news
    if len(distinct) < 4:
        return
    kept = list(distinct.values())
    size = float(np.abs(rows[kept]).max()) or 1.0
    seen = Counter(np.round(row / (STEP * size)).astype(np.int64).tobytes() for row in rows[kept])
    alike = seen.most_common(1)[0][1]
    if alike < MIN_SHARE * len(kept):
        return
    name, kind, n = value.plan.backbone.name, value.task.kind, len(kept)
    evidence = {"alike": alike, "n": n}
    if alike == n:
        message = f"{name} sees all {n:,} {kind}s alike, though they differ: nothing can be learned. {WHY[kind]}"
        yield Finding("alike", "stop", message, FIX[kind], evidence)
    else:
        message = f"{name} sees {alike:,} of {n:,} {kind}s alike, though they differ. {WHY[kind]}"
        yield Finding("alike", "warn", message, FIX[kind], evidence)
