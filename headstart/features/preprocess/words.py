"""Texts -> hashed words, word bigrams and character n-grams: no vocabulary, no library."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
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
MAX_FEATURES = 8_000_000  # of one text; those words of English have 2 million. A word may be as long as a file


def look(raws: Sequence[str], settings: Preprocess) -> list[tuple[list[np.ndarray] | Unreadable, bytes]]:
    """Each text's one unit, and no thumbnail."""
    return [(unit, b"") for unit in prepare(raws, settings)]


def prepare(raws: Sequence[str], settings: Preprocess) -> list[list[np.ndarray] | Unreadable]:
    """Each text's one unit, int32 hashes of its words and n-grams, or why there is none."""
    return [_hash_text(text) for text in raws]


def _hash_text(text: str) -> list[np.ndarray] | Unreadable:
    words = [found.group() for found in islice(WORD.finditer(text.lower()), MAX_WORDS)]
    if not words:
        return Unreadable("the text is empty" if not text.strip() else "the text holds no words")
    # crc32 is the same everywhere and always; Python's own hash is not.
    hashes = (crc32(f.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF for f in islice(_features(words), MAX_FEATURES))
    return [np.fromiter(hashes, np.int32)]


def _features(words: list[str]) -> Iterator[str]:
    """Words, pairs of them, and runs of characters."""
    yield from words
    yield from (f"{a} {b}" for a, b in pairwise(words))
    for bounded in (f"<{word}>" for word in words):
        yield from (bounded[i : i + n] for n in CHARACTER_NGRAMS for i in range(len(bounded) - n + 1))
