"""The floor backbone was used: no network was borrowed at all."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Judged
from headstart.core.result import Finding

watches = Judged


def look(value: Judged) -> Iterator[Finding]:
    """Says plainly that hand-made statistics were used, and how to borrow a real network."""
    if value.plan.backbone.family == "stats":
        message = "No pretrained network was used: the floor backbone 'stats' only measures hand-made statistics."
        example = (
            "timm:mobilenetv3_large_100"
            if value.task.kind == "image"
            else "transformers:sentence-transformers/all-MiniLM-L6-v2"
        )
        yield Finding("floor", "warn", message, f"borrow one with --backbone, for example --backbone {example}")
