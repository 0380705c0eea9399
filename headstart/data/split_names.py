"""What people call the parts of their data, and which part each name means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from headstart.core.errors import SourceError
from headstart.core.messages import join_quoted

PART_WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "devel", "development"),
    "test": ("test", "testing"),
    "held": ("eval", "evaluation", "holdout", "hold-out", "hold_out", "heldout", "held-out", "held_out"),
}
PART_OF_WORD = {word: part for part, words in PART_WORDS.items() for word in words}


def part_of(name: str) -> str:
    """ "train", "val", "test", "held" (out, for whatever is missing) or "" for a name that means no part."""
    return PART_OF_WORD.get(name.strip().lower(), "")


def assign_parts(names: Iterable[str]) -> dict[str, str]:
    """Owner's names of parts -> "train", "val", "test". A sole held-out part, whatever its name, is the test part.

    Raises SourceError when there is no training part, two names mean one part, or one means none.
    """
    parts = {name: part_of(name) for name in names}
    counts = Counter(parts.values())
    held_out = [name for name, part in parts.items() if part != "train"]
    if counts["train"] != 1 or max(counts.values()) > 1 or len(held_out) > 2 or counts[""]:
        raise SourceError(
            f"The parts are named {join_quoted(parts)}. One training part (train, training), at most one for "
            "validation (val, valid, validation, dev) and one for test (test, testing) are expected."
        )
    if len(held_out) == 1:
        parts[held_out[0]] = "test"
    for name in held_out:
        if parts[name] == "held":
            parts[name] = "test" if "val" in parts.values() else "val"
    return parts
