"""The network is fed what it was not trained on: a wrong mean, channel order, crop, tokenizer, case or pooling."""

from __future__ import annotations

from collections.abc import Iterator

from headstart.core.observations import Embedded
from headstart.core.result import Finding
from headstart.features.preprocessing_check import LEAST

watches = Embedded


def look(value: Embedded) -> Iterator[Finding]:
    """Stops where our rows of reference inputs are not those that the library's own code gives; warns where the user
    stated what the weights' own files say otherwise."""
    receipt, card = value.receipt, value.plan.backbone
    if receipt is None or receipt.agreement is None or receipt.agreement >= LEAST:
        return
    stated = card.local.partition("?")[2]
    message = (
        f"What {card.name} makes of reference inputs is not what its library makes of them: their rows have a cosine "
        f"of {receipt.agreement:.3f}, where equal preparation gives 1.000."
    )
    evidence = {"cosine": receipt.agreement, "stated": stated, "preprocess": dict(card.preprocess.settings)}
    if stated:
        message += f" The name states {stated}, and the weights' own files say otherwise."
        yield Finding(
            "preprocess", "warn", message, f"leave it out: --backbone '{card.name.partition('?')[0]}'", evidence
        )
    else:
        fix = "clear what was made: `headstart cache clear`; if it comes again, report it with this message"
        yield Finding("preprocess", "stop", message, fix, evidence)
