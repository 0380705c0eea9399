"""Texts as WordPiece token ids, in numpy and plain Python, for static vectors. One path for training and serving."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from headstart.backbones import hub, wordpiece
from headstart.core.backbone import Preprocess
from headstart.core.errors import Unreadable

SERVES = ("text",)
CHARACTERS = 16  # looked at, per token that can be read: a token of running text is 1 to 6 long in any language


def look(raws: Sequence[bytes | str], settings: Preprocess) -> list[tuple[list[np.ndarray] | Unreadable, bytes]]:
    """Each text's one unit, (t,) int32 token ids, or why there is none; and no preview."""
    return [(units, b"") for units in prepare(raws, settings)]


def prepare(raws: Sequence[bytes | str], settings: Preprocess) -> list[list[np.ndarray] | Unreadable]:
    """Each text's one unit, (t,) int32 token ids, the first `most` of them, or why there is none.

    Raises ArtifactError when no backbone of this process brought the vocabulary.
    """
    pieces = _pieces(str(settings["vocabulary"]))
    most = int(str(settings["most"]))
    return [_one(raw, pieces, most) for raw in raws]


def batch(units: list[np.ndarray], settings: Preprocess) -> dict[str, np.ndarray]:
    """{"tokens": all ids one after the other, "owner": whose each is}, int32"""
    return {
        "tokens": np.concatenate(units),
        "owner": np.repeat(np.arange(len(units), dtype=np.int32), [len(u) for u in units]),
    }


def weigh(unit: np.ndarray) -> float:
    """1: a text is one unit here, however long."""
    return 1.0


def beyond(units: list[np.ndarray]) -> float:
    """0: what lies beyond `most` tokens is not looked at."""
    return 0.0


def _one(raw: bytes | str, pieces: wordpiece.WordPiece, most: int) -> list[np.ndarray] | Unreadable:
    if isinstance(raw, bytes):
        try:
            raw = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return Unreadable(f"is not UTF-8 text (byte {error.start})")
    ids = pieces.encode(raw.strip()[: most * CHARACTERS], most)
    if not len(ids):
        return Unreadable("the text is empty" if not raw.strip() else "no token is left of the text")
    return [ids]


@lru_cache(maxsize=4)
def _pieces(vocabulary: str) -> wordpiece.WordPiece:
    """The vocabulary of that digest at work."""
    return wordpiece.of(hub.asset(vocabulary).read_text(encoding="utf-8"))
