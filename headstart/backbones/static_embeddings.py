"""Vectors of tokens, averaged, at work in numpy alone: the text backbone that needs no network.

A folder holds model.safetensors and vocab.txt. Two parts make a row: the weighted mean of the vectors of a text's
tokens (SIF, Arora et al. 2017; model2vec, van Dongen and Tulkens 2024), and, since a mean forgets order, what a layer
of width three sees at each token and its neighbours (a convolution over words, Kim 2014), which also knows how near to
the beginning it stands: the mean of it over the text, and over its first four tokens, where questions show their kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from headstart.core.errors import ArtifactError

WEIGHTS, VOCABULARY = "model.safetensors", "vocab.txt"
OPENING = 4  # tokens, the first of a text, over which the layer is averaged by themselves


@dataclass(frozen=True, slots=True, eq=False)
class Static:
    """All that there is to it; v tokens, d numbers a vector, c of the layer's, which may be none.

    vocabulary: one token a line, as vocab.txt has it
    vectors: (v, d) int8.  scales: (v,) float16, one step of each row.  weights: (v,) float16, what a token counts
    before, here, after: (k, c) float16, from the first k numbers of the vectors of a token and of its neighbours
    places:  (p, c) float16, added at the first p - 1 tokens of a text, the last row at all later ones
    out:     (2 c, d) float16, from the layer's two means to the vector.  bias: (d,) float16
    centre, spread: (2 c,) float32: the layer's means minus centre, times spread, end the row
    """

    vocabulary: str
    vectors: np.ndarray
    scales: np.ndarray
    weights: np.ndarray
    before: np.ndarray
    here: np.ndarray
    after: np.ndarray
    places: np.ndarray
    out: np.ndarray
    bias: np.ndarray
    centre: np.ndarray
    spread: np.ndarray

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return self.vectors.shape[1] + self.out.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """What each token brings, float32, so that nothing is multiplied for a token of a text.

    own: (v, d), weighted.  before, here, after: (v + 1, c); the last row is of what lies beyond a text's ends
    """

    own: np.ndarray
    before: np.ndarray
    here: np.ndarray
    after: np.ndarray


def load(folder: Path) -> Static:
    """The folder's static vectors. Raises ArtifactError where it holds none, or where the files do not fit."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    names = {f.name for f in fields(Static)} - {"vocabulary"}
    try:
        arrays = load_file(folder / WEIGHTS)
        vocabulary = (folder / VOCABULARY).read_text(encoding="utf-8")
    except (OSError, SafetensorError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{folder} holds no static vectors ({error}). Expected: {WEIGHTS}, {VOCABULARY}."
        ) from error
    if strange := sorted(names ^ arrays.keys()):
        raise ArtifactError(f"{folder / WEIGHTS} holds no static vectors: {strange[0]!r} is missing or unknown.")
    tokens = vocabulary.removesuffix("\n").count("\n") + 1
    if tokens != len(arrays["vectors"]):
        raise ArtifactError(
            f"{folder / VOCABULARY} names {tokens} tokens where {WEIGHTS} has {len(arrays['vectors'])} vectors: the "
            "files are of two backbones. Make it again, or restore the folder from a copy."
        )
    return Static(vocabulary, **arrays)


def save(static: Static, folder: Path) -> None:
    """Writes what `load` reads."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    arrays = arrays_of(static)
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / WEIGHTS)
    (folder / VOCABULARY).write_text(static.vocabulary, encoding="utf-8", newline="\n")


def arrays_of(static: Static) -> dict[str, np.ndarray]:
    """All its numbers, by name."""
    return {f.name: getattr(static, f.name) for f in fields(Static) if f.name != "vocabulary"}


def parts(static: Static) -> tuple[Callable, list[Callable], Callable]:
    """Plain functions: from a batch to tokens and their owners, those to rows, and nothing more."""
    return _tokens, [_Sums(static)], _same


class _Sums:
    """Tokens and their owners -> rows. tensors: what was borrowed, by name, for the receipt"""

    def __init__(self, static: Static):
        self.tensors = arrays_of(static)
        self._rows = partial(_rows, static, _tables(static))

    def __call__(self, x) -> np.ndarray:
        return self._rows(x)


def quantised(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(v, d) float32 -> (v, d) int8 and (v,) float16, one step of each row: its largest number becomes +-127."""
    scales = np.maximum(np.abs(vectors).max(1) / 127, 1e-6).astype(np.float16)
    steps = np.rint(vectors / scales.astype(np.float32)[:, None])
    return np.clip(steps, -127, 127).astype(np.int8), scales


def _tables(static: Static) -> _Tables:
    vectors = static.vectors * static.scales.astype(np.float32)[:, None]
    some = vectors[:, : len(static.here)]
    nothing = np.zeros((1, static.here.shape[1]), np.float32)
    maps = (static.before, static.here, static.after)
    seen = [np.concatenate([some @ m.astype(np.float32), nothing]) for m in maps]
    return _Tables(vectors * static.weights.astype(np.float32)[:, None], *seen)


def _tokens(batch: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return batch["tokens"], batch["owner"]


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _rows(static: Static, tables: _Tables, x: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Flat tokens (t,) and whose they are (t,), in order -> (b, d + 2 c) float32 of length 1."""
    tokens, owner = x
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    many = np.diff(starts, append=len(tokens))[:, None]
    found = np.add.reduceat(tables.own[tokens], starts, axis=0) / np.float32(many) + static.bias.astype(np.float32)
    if not len(static.out):
        return _unit(found)
    place = np.arange(len(tokens)) - starts[owner]
    seen = _layer(static, tables, tokens, starts, place)
    early = place < OPENING
    opening = np.add.reduceat(seen[early], np.flatnonzero(place[early] == 0), axis=0)
    whole = np.add.reduceat(seen, starts, axis=0)
    seen = np.concatenate([whole / np.float32(many), opening / np.float32(np.minimum(many, OPENING))], axis=1)
    found = _unit(found + seen @ static.out.astype(np.float32))
    return _unit(np.concatenate([found, (seen - static.centre) * static.spread], axis=1))


def _layer(static: Static, tables: _Tables, tokens: np.ndarray, starts: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(t, c) float32: what the layer sees at each token. place: (t,) of a token in its text, from 0"""
    ends = np.append(starts[1:], len(tokens)) - 1
    before, after = np.roll(tokens, 1), np.roll(tokens, -1)
    before[starts] = after[ends] = len(static.vectors)
    seen = tables.here[tokens]
    seen += tables.before[before]
    seen += tables.after[after]
    seen += static.places.astype(np.float32)[np.minimum(place, len(static.places) - 1)]
    return np.maximum(seen, 0, out=seen)


def _unit(x: np.ndarray) -> np.ndarray:
    return (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)).astype(np.float32)
