"""Texts -> hashed words, word bigrams and character n-grams: no vocabulary, no library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np

from headstart.core.backbone import Preprocess
from headstart.core.errors import Unreadable
from headstart.features import one_unit

SERVES = ("text",)
batch, weigh, beyond = one_unit.batch_ids, one_unit.weigh, one_unit.beyond
WORD = re.compile(r"\w+|[^\w\s]")
CHARACTER_NGRAMS = (3, 4)
MAX_WORDS = 200_000  # of one text; a book has about 100,000


def look(raws: Sequence[str], settings: Preprocess) -> list[tuple[list[np.ndarray] | Unreadable, bytes]]:
    """Each text's one unit, and no thumbnail."""
    return [(unit, b"") for unit in prepare(raws, settings)]


def prepare(raws: Sequence[str], settings: Preprocess) -> list[list[np.ndarray] | Unreadable]:
    """Each text's one unit, int32 hashes of its words and n-grams, or why there is none."""
    return [_hash_text(text) for text in raws]


def _hash_text(text: str) -> list[np.ndarray] | Unreadable:
    words = WORD.findall(text.lower())[:MAX_WORDS]
    if not words:
        return Unreadable("the text is empty" if not text.strip() else "the text holds no words")
    features = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    for word in words:
        bounded = f"<{word}>"
        features += [bounded[i : i + n] for n in CHARACTER_NGRAMS for i in range(len(bounded) - n + 1)]
    # crc32 is the same everywhere and always; Python's own hash is not.
    hashes = [crc32(feature.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF for feature in features]
    return [np.array(hashes, np.int32)]
