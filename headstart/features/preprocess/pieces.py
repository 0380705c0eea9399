"""Texts -> WordPiece token ids, in plain Python, for static embeddings. One code path for training and serving."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from headstart.backbones import hub, wordpiece
from headstart.core.backbone import Preprocess
from headstart.core.errors import ArtifactError, Unreadable
from headstart.features import one_unit

SERVES = ("text",)
batch, weigh, beyond = one_unit.batch_ids, one_unit.weigh, one_unit.beyond
MAX_CHARACTERS_PER_TOKEN = 16  # bounds the work on long texts: a token of running text is 1 to 6 long in any language


def look(raws: Sequence[bytes | str], settings: Preprocess) -> list[tuple[list[np.ndarray] | Unreadable, bytes]]:
    """Each text's one unit, (t,) int32 token ids, or why there is none; and no thumbnail."""
    return [(units, b"") for units in prepare(raws, settings)]


def prepare(raws: Sequence[bytes | str], settings: Preprocess) -> list[list[np.ndarray] | Unreadable]:
    """Each text's one unit, (t,) int32 token ids, the first `most` of them, or why there is none.

    Raises ArtifactError where none of the backbone's files is the vocabulary.
    """
    tokenizer = _tokenizer(settings, settings.files)
    most = int(str(settings["most"]))
    return [_encode(raw, tokenizer, most) for raw in raws]


def _encode(raw: bytes | str, tokenizer: wordpiece.WordPiece, most: int) -> list[np.ndarray] | Unreadable:
    if isinstance(raw, bytes):
        try:
            raw = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return Unreadable(f"is not UTF-8 text (byte {error.start})")
    ids = tokenizer.encode(raw.strip()[: most * MAX_CHARACTERS_PER_TOKEN], most)
    if not len(ids):
        return Unreadable("the text is empty" if not raw.strip() else "no token is left of the text")
    return [ids]


@lru_cache(maxsize=4)
def _tokenizer(settings: Preprocess, files: tuple[Path, ...]) -> wordpiece.WordPiece:
    """The WordPiece tokenizer. files: of the settings, which are compared without them

    Raises ArtifactError where the vocabulary is no text, or does not say what an unknown word is.
    """
    file = hub.asset_file(settings, "vocabulary")
    try:
        tokenizer = wordpiece.from_vocabulary(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{file} is not UTF-8 text (byte {error.start}). Restore it from a copy.") from error
    if wordpiece.UNKNOWN_TOKEN not in tokenizer.vocabulary:
        raise ArtifactError(f"{file} lacks {wordpiece.UNKNOWN_TOKEN}, so unknown words have no token. Restore it.")
    return tokenizer
