"""Something below the cut moved: a forgotten freeze, or a BatchNorm left in train mode."""

from collections.abc import Iterator

from headstart.guard import Embedded
from headstart.result import Finding

watches = Embedded


def look(value: Embedded) -> Iterator[Finding]:
    """Stops when any tensor below the cut differs from what it was before the features were taken."""
    receipt = value.receipt
    if receipt is not None and (receipt.moved or receipt.digest_before != receipt.digest_after):
        first = ", ".join(receipt.moved[:3])
        message = (
            f"{len(receipt.moved)} of {receipt.tensors} frozen tensors changed while features were taken: {first}."
        )
        fix = "put the frozen network into eval mode; clear what it made with `headstart cache clear`"
        yield Finding("drift", "stop", message, fix, {"moved": list(receipt.moved[:50])})
