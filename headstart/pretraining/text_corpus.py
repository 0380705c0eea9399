"""An unlabelled text corpus: a tokenizer of its own, its token ids in one file, and batches of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Preprocess
from headstart.core.errors import SourceError, Unreadable
from headstart.core.files import make_folder, read_checked_json, write_atomic, write_checked_json
from headstart.core.plugins import member
from headstart.core.run import Emit
from headstart.core.task import Example
from headstart.data import contents
from headstart.pretraining import tokenizer_training
from headstart.pretraining.contracts import Corpus
from headstart.training.tuning.loop import epoch_batch

PROGRESS_EVERY = 512  # texts tokenized between two events of progress
ALL_WINDOWS = 1_000_000  # of one text; to learn from, all of it is read
BUCKET_BATCHES = 8  # batches that are sorted by length together


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedTexts:
    """Token ids of windows, special tokens included.

    tokens: (t,) int32, a memory map.  starts: (m + 1,) int64 where each window begins
    owners: (m,) int64 position, among the distinct texts in their order, of the text that each is from
    """

    tokens: np.ndarray
    starts: np.ndarray
    owners: np.ndarray


def train_tokenizer(examples: Sequence[Example], kind: str, size: int, folder: Path) -> Path:
    """tokenizer.json trained on the texts, or the one that an unfinished run on the same texts left.

    kind: "wordpiece" or "bytepairs".  size: of the vocabulary, at most
    """
    tokenizer_training.check_vocabulary_size(size)
    make_folder(folder)
    file, index_file = folder / "tokenizer.json", folder / "vocabulary.json"
    key = digest.of_value({"kind": kind, "size": size, "digests": [e.digest for e in _distinct(examples)]})
    index = read_checked_json(index_file)
    if index is None or index["key"] != key or not file.is_file() or index["file"] != digest.of_files([file]):
        train = {"wordpiece": tokenizer_training.train_wordpiece, "bytepairs": tokenizer_training.train_byte_bpe}[kind]
        tokenizer = train(lambda: _readable_texts(examples), size)
        write_atomic(file, tokenizer.to_str(pretty=True).encode())
        write_checked_json(index_file, {"key": key, "file": digest.of_files([file])})
    return file


def text_preprocess(tokenizer: Path, max_length: int) -> Preprocess:
    """How texts are preprocessed for a tokenizer trained here, whose padding is 0, as the family transformers does."""
    settings = {
        "lower": False,  # the tokenizer does that itself
        "max_length": max_length,
        "normalize": False,
        "pad": 0,
        "pooling": "mean",
        "prompt": "",
        "tokenizer": digest.of_files([tokenizer]),
        "windows": member("backbones", "transformers").MAX_WINDOWS,
    }
    return Preprocess("text", tuple(sorted(settings.items())), (tokenizer,))


def tokenize_texts(
    examples: Sequence[Example], spec: Preprocess, max_length: int, folder: Path, emit: Emit, windows: int = ALL_WINDOWS
) -> TokenizedTexts:
    """The token ids of all texts in windows, as `fit` will read them, in one file; equal texts count once.

    spec: of the student.  max_length: tokens of a window.  windows: of each text, at most
    Raises SourceError when no text has a token.
    """
    distinct = _distinct(examples)
    settings: dict[str, Any] = {**dict(spec.settings), "max_length": max_length, "windows": windows}
    spec = replace(spec, settings=tuple(sorted(settings.items())))
    key = digest.of_value({"spec": spec.settings, "digests": [e.digest for e in distinct]})
    index_file, file = folder / "tokens.json", folder / "tokens.bin"
    index = read_checked_json(index_file)
    if index is None or index["key"] != key or not file.is_file() or index["file"] != digest.of_files([file]):
        index = {"key": key, "starts": [0], "owners": [], "aside": []}
        write_atomic(file, _tokenized(distinct, spec, index, emit))
        index["file"] = digest.of_files([file])
        write_checked_json(index_file, index)
    aside = index["aside"]
    if aside:
        message = f"{len(aside):,} texts are set aside (first: {aside[0]})."
        emit("finding", {"guard": "aside", "level": "note", "message": message, "fix": ""})
    if len(index["starts"]) == 1:
        raise SourceError(f"Not one of {len(distinct):,} texts can be learned from (first: {aside[0]}).")
    starts, owners = (np.array(index[name], np.int64) for name in ("starts", "owners"))
    return TokenizedTexts(np.memmap(file, np.int32, "r"), starts, owners)


def _tokenized(distinct: list[Example], spec: Preprocess, index: dict[str, Any], emit: Emit) -> Iterator[bytes]:
    """The ids of each window; the index is told where it begins, of which text it is, and what was set aside."""
    prepare = member("preprocess", spec.kind).prepare
    starts, done, began = index["starts"], 0, time.perf_counter()
    examples = iter(contents.iter_contents(distinct))
    while chunk := list(islice(examples, PROGRESS_EVERY)):
        for position, (example, content) in enumerate(chunk, done):
            windows = content if isinstance(content, Unreadable) else prepare([content], spec)[0]
            if isinstance(windows, Unreadable):
                index["aside"].append(f"{example.id}: {windows}")
                continue
            yield b"".join(ids.astype("<i4").tobytes() for ids in windows)
            for ids in windows:
                starts.append(starts[-1] + len(ids))
                index["owners"].append(position)
        done += len(chunk)
        rate = round(done / (time.perf_counter() - began), 1)
        emit("progress", {"stage": "tokens", "done": done, "total": len(distinct), "rate": rate})


def pad_batch(corpus: Corpus, windows: np.ndarray, pad: int) -> dict[str, np.ndarray]:
    """{"input_ids", "attention_mask"}: (b, t) int64 of those windows, padded at the end to the longest."""
    assert corpus.tokens is not None
    assert corpus.starts is not None
    starts, lengths = corpus.starts[windows], np.diff(corpus.starts)[windows]
    positions = np.arange(lengths.max())
    mask = positions < lengths[:, None]
    ids = corpus.tokens[np.where(mask, starts[:, None] + positions, 0)]
    return {"input_ids": np.where(mask, ids, pad).astype(np.int64), "attention_mask": mask.astype(np.int64)}


def length_bucket(corpus: Corpus, batch_size: int, index: int) -> np.ndarray:
    """(b,) windows for step `index`, of about one length so that little is padding; none twice in an epoch.

    BUCKET_BATCHES batches are drawn together, sorted by length, and taken in a random order.
    """
    assert corpus.starts is not None
    n = len(corpus)
    batches = min(BUCKET_BATCHES, max(1, n // batch_size))
    bucket, within = divmod(index, batches)
    windows, _ = epoch_batch(n, min(n, batch_size * batches), bucket, corpus.seed)
    windows = windows[np.argsort(np.diff(corpus.starts)[windows], kind="stable")]
    order = np.random.default_rng([corpus.seed, bucket, BUCKET_BATCHES]).permutation(batches)
    return np.array_split(windows, batches)[order[within]]


def _distinct(examples: Sequence[Example]) -> list[Example]:
    return list({e.digest: e for e in examples}.values())


def _readable_texts(examples: Sequence[Example]) -> Iterator[str]:
    """The distinct texts that can be read; the others are set aside later, when they are tokenized."""
    for _, content in contents.iter_contents(_distinct(examples)):
        if isinstance(content, str):
            yield content
        elif isinstance(content, bytes):
            yield content.decode("utf-8-sig", "ignore")
