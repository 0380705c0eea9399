"""The floor backbone was used: hand-made features, no pretrained network."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Evaluation
from headstart.core.result import Finding

watches = Evaluation


def look(value: Evaluation) -> Iterator[Finding]:
    """Warns with a pretrained backbone to try."""
    if value.plan.backbone.family == "stats":
        message = "No pretrained network was used: the floor backbone 'stats' only measures hand-made statistics."
        of_text = "transformers:sentence-transformers/all-MiniLM-L6-v2"
        example = "timm:mobilenetv3_large_100" if value.task.kind == "image" else of_text
        yield Finding("floor", "warn", message, f"borrow one with --backbone, for example --backbone {example}")
