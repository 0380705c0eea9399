"""Wrong preprocessing: mean, channel order, crop, tokenizer, case or pooling unlike those of the pretraining."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Extraction
from headstart.core.result import Finding
from headstart.features.preprocessing_check import MIN_COSINE

watches = Extraction


def look(value: Extraction) -> Iterator[Finding]:
    """Stops where our embeddings of reference inputs differ from those by the library's own code; warns where the user
    overrode what the checkpoint's files say."""
    receipt, card = value.receipt, value.plan.backbone
    if receipt is None or receipt.agreement is None or receipt.agreement >= MIN_COSINE:
        return
    stated = card.local.partition("?")[2]
    message = (
        f"What {card.name} makes of reference inputs is not what its library makes of them: their rows have a cosine "
        f"of {receipt.agreement:.3f}, where equal preparation gives 1.000."
    )
    evidence = {"cosine": receipt.agreement, "stated": stated, "preprocess": dict(card.preprocess.settings)}
    if stated:
        message += f" The name states {stated}, and the weights' own files say otherwise."
        fix = f"leave it out: --backbone '{card.name.partition('?')[0]}'"
        yield Finding("preprocess", "warn", message, fix, evidence)
    else:
        fix = "clear what was made: `headstart cache clear`; if it comes again, report it with this message"
        yield Finding("preprocess", "stop", message, fix, evidence)
