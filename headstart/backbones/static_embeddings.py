"""Static token embeddings, averaged, in numpy alone: the text backbone without a network.

A folder holds model.safetensors and vocab.txt. Two parts make an embedding: the weighted mean of the vectors of a
text's tokens (SIF, Arora et al. 2017; model2vec, van Dongen and Tulkens 2024), and, since a mean ignores word order,
the outputs of a convolution of width three over the tokens (Kim 2014) with position embeddings: their mean over the
text, and over its first four tokens, where questions show their kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import itemgetter
from pathlib import Path

import numpy as np

from headstart.backbones.weights_file import load_arrays
from headstart.core.errors import ArtifactError
from headstart.core.files import make_folder, write_atomic

WEIGHTS_FILE, VOCABULARY_FILE = "model.safetensors", "vocab.txt"
OPENING_TOKENS = 4  # the first of a text, over which the convolution is averaged separately


@dataclass(frozen=True, slots=True, eq=False)
class StaticEmbeddings:
    """The backbone's parameters: v tokens, d numbers a vector, c channels of the convolution, which may be none.

    vocabulary: one token a line, as vocab.txt has it
    vectors: (v, d) int8.  scales: (v,) float16, of each row.  weights: (v,) float16, of each token in the mean
    before, here, after: (k, c) float16, the kernel, on the first k numbers of the vectors of a token and its neighbours
    places:  (p, c) float16, position embeddings of the first p - 1 tokens of a text; the last row is of all later ones
    out:     (2 c, d) float16, from the convolution's two means to the vector.  bias: (d,) float16
    centre, spread: (2 c,) float32: (means - centre) * spread are the last 2 c numbers of the embedding
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
        """Length of an embedding."""
        return self.vectors.shape[1] + self.out.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class _TokenTables:
    """The contribution of each token, computed once, float32.

    vector: (v, d), weighted.  before, here, after: (v + 1, c); the last row is the padding at a text's ends
    """

    vector: np.ndarray
    before: np.ndarray
    here: np.ndarray
    after: np.ndarray


def load(folder: Path) -> StaticEmbeddings:
    """The folder's static embeddings. Raises ArtifactError where it holds none, or where the files do not fit."""
    names = {f.name for f in fields(StaticEmbeddings)} - {"vocabulary"}
    try:
        arrays = load_arrays(folder / WEIGHTS_FILE)
        vocabulary = (folder / VOCABULARY_FILE).read_text(encoding="utf-8")
    except (ArtifactError, OSError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{folder} holds no static vectors ({error}). Expected: {WEIGHTS_FILE}, {VOCABULARY_FILE}."
        ) from error
    if strange := sorted(names ^ arrays.keys()):
        raise ArtifactError(f"{folder / WEIGHTS_FILE} holds no static vectors: {strange[0]!r} is missing or unknown.")
    tokens = vocabulary.removesuffix("\n").count("\n") + 1
    if tokens != len(arrays["vectors"]):
        raise ArtifactError(
            f"{folder / VOCABULARY_FILE} names {tokens} tokens where {WEIGHTS_FILE} has {len(arrays['vectors'])} "
            "vectors: the files are of two backbones. Make it again, or restore the folder from a copy."
        )
    if problem := _shape_problem(arrays):
        raise ArtifactError(f"{folder / WEIGHTS_FILE} holds no static vectors: {problem}.")
    return StaticEmbeddings(vocabulary, **arrays)


def _shape_problem(arrays: dict[str, np.ndarray]) -> str:
    """Which array is not as `StaticEmbeddings` says, or holds NaN; "" where all are."""
    if arrays["vectors"].ndim != 2 or arrays["here"].ndim != 2:
        return "its vectors are no table"
    (v, d), (k, c) = arrays["vectors"].shape, arrays["here"].shape
    expected: dict[str, tuple[tuple[int, ...], str]] = {
        "vectors": ((v, d), "int8"),
        **dict.fromkeys(("scales", "weights"), ((v,), "float16")),
        **dict.fromkeys(("before", "here", "after"), ((k, c), "float16")),
        "places": ((len(arrays["places"]) if arrays["places"].ndim else 0, c), "float16"),
        "out": ((2 * c, d), "float16"),
        "bias": ((d,), "float16"),
        **dict.fromkeys(("centre", "spread"), ((2 * c,), "float32")),
    }
    for name, (shape, dtype) in expected.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != dtype:
            return f"{name} is {array.dtype} {array.shape}, not {dtype} {shape}"
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"{name} holds NaN or infinity"
    return "" if v and d and k <= d else "it is empty, or its kernel is wider than its vectors"


def save(static: StaticEmbeddings, folder: Path) -> None:
    """Writes what `load` reads."""
    from safetensors.numpy import save as as_bytes

    make_folder(folder)
    arrays = {name: np.ascontiguousarray(array) for name, array in named_arrays(static).items()}
    write_atomic(folder / WEIGHTS_FILE, as_bytes(arrays))
    write_atomic(folder / VOCABULARY_FILE, static.vocabulary)


def named_arrays(static: StaticEmbeddings) -> dict[str, np.ndarray]:
    """All its arrays by name."""
    return {f.name: getattr(static, f.name) for f in fields(StaticEmbeddings) if f.name != "vocabulary"}


def parts(static: StaticEmbeddings) -> tuple[Callable, list[Callable], Callable]:
    """(stem, blocks, pool) as plain functions: batch -> (tokens, owners) -> embeddings, and the identity."""
    return itemgetter("tokens", "owner"), [_Embed(static)], _identity


class _Embed:
    """(tokens, owners) -> embeddings. tensors: the pretrained arrays by name, for the receipt"""

    def __init__(self, static: StaticEmbeddings):
        self.tensors = named_arrays(static)
        self._static, self._tables = static, _token_tables(static)

    def __call__(self, x) -> np.ndarray:
        return _embed(self._static, self._tables, x)


def quantize_rows(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(v, d) float32 -> (v, d) int8 and (v,) float16 scales: the largest number of a row becomes +-127."""
    scales = np.maximum(np.abs(vectors).max(1) / 127, 1e-6).astype(np.float16)
    rounded = np.rint(vectors / scales.astype(np.float32)[:, None])
    return np.clip(rounded, -127, 127).astype(np.int8), scales


def _token_tables(static: StaticEmbeddings) -> _TokenTables:
    vectors = static.vectors * static.scales.astype(np.float32)[:, None]
    inputs = vectors[:, : len(static.here)]
    padding = np.zeros((1, static.here.shape[1]), np.float32)
    kernel = (static.before, static.here, static.after)
    products = [np.concatenate([inputs @ k.astype(np.float32), padding]) for k in kernel]
    return _TokenTables(vectors * static.weights.astype(np.float32)[:, None], *products)


def _identity(x: np.ndarray) -> np.ndarray:
    return x


def _embed(static: StaticEmbeddings, tables: _TokenTables, x: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Flat tokens (t,) and the text of each (t,), in order -> (b, d + 2 c) float32 of length 1."""
    tokens, owner = x
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    counts = np.diff(starts, append=len(tokens))[:, None]
    vectors = np.add.reduceat(tables.vector[tokens], starts, axis=0) / np.float32(counts)
    vectors = vectors + static.bias.astype(np.float32)
    if not len(static.out):
        return _normalize(vectors)
    position = np.arange(len(tokens)) - starts[owner]
    channels = _convolve(static, tables, tokens, starts, position)
    early = position < OPENING_TOKENS
    opening = np.add.reduceat(channels[early], np.flatnonzero(position[early] == 0), axis=0)
    total = np.add.reduceat(channels, starts, axis=0)
    opening /= np.float32(np.minimum(counts, OPENING_TOKENS))
    means = np.concatenate([total / np.float32(counts), opening], axis=1)
    vectors = _normalize(vectors + means @ static.out.astype(np.float32))
    return _normalize(np.concatenate([vectors, (means - static.centre) * static.spread], axis=1))


def _convolve(
    static: StaticEmbeddings, tables: _TokenTables, tokens: np.ndarray, starts: np.ndarray, position: np.ndarray
) -> np.ndarray:
    """(t, c) float32: the convolution at each token, after ReLU. position: (t,) of a token in its text, from 0"""
    ends = np.append(starts[1:], len(tokens)) - 1
    before, after = np.roll(tokens, 1), np.roll(tokens, -1)
    before[starts] = after[ends] = len(static.vectors)
    channels = tables.here[tokens]
    channels += tables.before[before]
    channels += tables.after[after]
    channels += static.places.astype(np.float32)[np.minimum(position, len(static.places) - 1)]
    return np.maximum(channels, 0, out=channels)


def _normalize(x: np.ndarray) -> np.ndarray:
    return (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)).astype(np.float32)
