"""Texts -> the token ids that a text encoder was trained on. One code path for training and serving.

Long texts are split into consecutive windows, each as long as the encoder reads; the caller averages their embeddings.
Nothing past `windows` windows is read (64 of 256 tokens are about 12,000 English words).
A prompt that the weights ask for stands before the text, so in its first window.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headstart.backbones import hub
from headstart.backbones.tokenizer_file import FIX, library_errors, open_tokenizer
from headstart.core.backbone import Preprocess
from headstart.core.errors import ArtifactError, Unreadable

if TYPE_CHECKING:
    from tokenizers import Tokenizer


SERVES = ("text",)
# A token of running text is 1 to 6 characters long in any language; this bounds the work on texts that fill memory.
MAX_CHARACTERS_PER_TOKEN = 16


def look(raws: Sequence[bytes | str], settings: Preprocess) -> list[tuple[list[np.ndarray] | Unreadable, bytes]]:
    """Each text's windows, 1-D int32 token ids with special tokens, or why there are none; and no thumbnail."""
    return [(units, b"") for units in prepare(raws, settings)]


def prepare(raws: Sequence[bytes | str], settings: Preprocess) -> list[list[np.ndarray] | Unreadable]:
    """Each text's windows, 1-D int32 token ids with special tokens, or why there are none."""
    tokenizer, before, after = _tokenizer(settings, settings.files)
    return [_encode_windows(raw, settings, tokenizer, before, after) for raw in raws]


def batch(units: list[np.ndarray], settings: Preprocess) -> dict[str, np.ndarray]:
    """{"input_ids", "attention_mask"}: (b, t) int64, padded at the end to the longest."""
    longest = max(len(u) for u in units)
    ids = np.full((len(units), longest), int(str(settings["pad"])), np.int64)
    mask = np.zeros((len(units), longest), np.int64)
    for row, unit in enumerate(units):
        ids[row, : len(unit)] = unit
        mask[row, : len(unit)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def weigh(unit: np.ndarray) -> float:
    """Number of tokens: the mean of windows with these weights is the mean over all tokens."""
    return float(len(unit))


def beyond(units: list[np.ndarray]) -> float:
    """Share of a text's tokens beyond one window, which plain truncation would cut off; 0 for one window."""
    return 1.0 - len(units[0]) / sum(len(u) for u in units)


def _encode_windows(
    raw: bytes | str, settings: Preprocess, tokenizer: Tokenizer, before: list[int], after: list[int]
) -> list[np.ndarray] | Unreadable:
    text = _decode(raw)
    if isinstance(text, Unreadable):
        return text
    room = int(str(settings["max_length"])) - len(before) - len(after)
    max_windows = int(str(settings["windows"]))
    text = str(settings["prompt"]) + text.strip()[: max_windows * room * MAX_CHARACTERS_PER_TOKEN]
    # One by one: the library's own threads complain about every later fork, and tokens are not what takes time here.
    try:
        with library_errors():
            ids = tokenizer.encode(text.lower() if settings["lower"] else text, add_special_tokens=False).ids
    except ValueError as error:
        return Unreadable(f"cannot be split into tokens ({error})")
    if not ids:
        return Unreadable("no token is left of the text")
    bounds = _window_bounds(len(ids), room)[:max_windows]
    return [np.array([*before, *ids[a:b], *after], np.int32) for a, b in bounds]


def _window_bounds(n: int, room: int) -> list[tuple[int, int]]:
    """(start, stop) of windows of at most `room` tokens: the first is full, the others share the remaining evenly."""
    first = min(n, room)
    count = -(-(n - first) // room)
    edges = [0, *(first + (n - first) * i // count for i in range(count + 1))] if count else [0, n]
    return list(pairwise(edges))


def _decode(raw: bytes | str) -> str | Unreadable:
    if isinstance(raw, bytes):
        try:
            raw = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return Unreadable(f"is not UTF-8 text (byte {error.start})")
    if not raw.strip():
        return Unreadable("the text is empty")
    try:
        raw.encode("utf-8")
    except UnicodeEncodeError:
        # Surrogates, as careless JSON has them: pairs are joined, single ones replaced.
        return raw.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return raw


def special(settings: Preprocess) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a text. Raises as `prepare` does."""
    return _tokenizer(settings, settings.files)[1:]


@lru_cache(maxsize=4)
def _tokenizer(settings: Preprocess, files: tuple[Path, ...]) -> tuple[Tokenizer, list[int], list[int]]:
    """The tokenizer, and the special tokens that it puts before and after a text.

    files: of the settings, which are compared without them
    Raises ArtifactError where none of the backbone's files is the tokenizer, or it cannot be used.
    """
    path = hub.asset_file(settings, "tokenizer")
    tokenizer = open_tokenizer(path)
    try:
        with library_errors():
            bare, full = (tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
    except ValueError as error:
        raise ArtifactError(f"{path} cannot split a text ({error}). {FIX}") from error
    start = next((i for i in range(len(full)) if full[i : i + len(bare)] == bare), None)
    if start is None:
        raise ArtifactError(f"{path} does not put its special tokens around a text; such a tokenizer cannot be used.")
    if len(full) - len(bare) >= int(str(settings["max_length"])):
        raise ArtifactError(f"{path} leaves no room for a text between its special tokens. {FIX}")
    return tokenizer, full[:start], full[start + len(bare) :]
