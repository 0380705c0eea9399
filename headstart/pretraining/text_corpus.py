"""Texts to learn from without labels: a tokenizer of their own, their token ids in one file, and batches of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones import hub
from headstart.core import digest
from headstart.core.backbone import Preprocess
from headstart.core.errors import SourceError, Unreadable
from headstart.core.files import read_json, write_whole
from headstart.core.plugins import member
from headstart.core.task import Example
from headstart.data import contents
from headstart.pretraining import tokenizer_training
from headstart.pretraining.contracts import Corpus
from headstart.training.tuning.loop import turn

Say = Callable[[str, dict], None]
SHARD = 512  # texts tokenized between two words of progress
ENDLESS = 1_000_000  # windows of one text; to learn from, all of it is read
ALIKE = 8  # batches that are sorted by length together


@dataclass(frozen=True, slots=True, eq=False)
class Writings:
    """Token ids of windows, special tokens included.

    tokens: (t,) int32, a map.  starts: (m + 1,) int64 where each window begins
    owners: (m,) int64 position, among the distinct texts in their order, of the text that each is from
    """

    tokens: np.ndarray
    starts: np.ndarray
    owners: np.ndarray


def tokenizer_of(examples: Sequence[Example], kind: str, size: int, folder: Path) -> Path:
    """tokenizer.json learned from the texts, or the one that an unfinished run of the same texts left."""
    tokenizer_training.check_size(size)
    folder.mkdir(parents=True, exist_ok=True)
    file, table = folder / "tokenizer.json", folder / "vocabulary.json"
    key = digest.of_value({"kind": kind, "size": size, "digests": [e.digest for e in _once(examples)]})
    kept = read_json(table)
    if kept is None or kept["key"] != key or not file.is_file() or kept["file"] != digest.of_files([file]):
        learn = {"wordpiece": tokenizer_training.wordpiece, "bytepairs": tokenizer_training.bytepairs}[kind]
        tokenizer_training.write(learn(lambda: _texts(examples), size), file)
        write_whole(table, {"key": key, "file": digest.of_files([file])})
    return file


def tokens_of(
    examples: Sequence[Example], spec: Preprocess, length: int, folder: Path, say: Say, windows: int = ENDLESS
) -> Writings:
    """The token ids of all texts in windows, as `fit` will read them, in one file; equal texts count once.

    spec: of the student.  length: tokens of a window, at most.  windows: of each text, at most
    Raises SourceError when no text has a token.
    """
    once = _once(examples)
    settings: dict[str, Any] = {**dict(spec.settings), "max_length": length, "windows": windows}
    spec = Preprocess(spec.kind, tuple(sorted(settings.items())))
    key = digest.of_value({"spec": spec.settings, "digests": [e.digest for e in once]})
    table, file = folder / "tokens.json", folder / "tokens.bin"
    kept = read_json(table)
    if kept is None or kept["key"] != key or not file.is_file() or file.stat().st_size != 4 * kept["starts"][-1]:
        kept = {"key": key, **_tokenize(once, spec, file, say)}
        write_whole(table, kept)
    if kept["aside"]:
        told = f"{len(kept['aside']):,} texts are set aside (first: {kept['aside'][0]})."
        say("finding", {"guard": "aside", "level": "note", "message": told, "fix": ""})
    if len(kept["starts"]) == 1:
        raise SourceError(f"Not one of {len(once):,} texts can be learned from (first: {kept['aside'][0]}).")
    starts, owners = (np.array(kept[name], np.int64) for name in ("starts", "owners"))
    return Writings(np.memmap(file, np.int32, "r"), starts, owners)


def _tokenize(once: list[Example], spec: Preprocess, file: Path, say: Say) -> dict:
    """Writes the ids; gives JSON: where windows begin, of which text each is, and what was set aside."""
    prepare = member("preprocess", spec.kind).prepare
    starts, owners, aside, done = [0], [], [], 0
    temporary, began = file.with_name(f".{file.name}.tmp"), time.perf_counter()
    items = iter(contents.stream(once))
    with open(temporary, "wb") as out:
        while some := list(islice(items, SHARD)):
            for position, (example, content) in enumerate(some, done):
                units = content if isinstance(content, Unreadable) else prepare([content], spec)[0]
                if isinstance(units, Unreadable):
                    aside.append(f"{example.id}: {units}")
                    continue
                for unit in units:
                    out.write(unit.astype("<i4").tobytes())
                    starts.append(starts[-1] + len(unit))
                    owners.append(position)
            done += len(some)
            rate = round(done / (time.perf_counter() - began), 1)
            say("progress", {"stage": "tokens", "done": done, "total": len(once), "rate": rate})
    temporary.replace(file)
    return {"starts": starts, "owners": owners, "aside": aside}


def padded(corpus: Corpus, chosen: np.ndarray, pad: int) -> dict[str, np.ndarray]:
    """{"input_ids", "attention_mask"}: (b, t) int64 of those windows, padded at the end to the longest."""
    assert corpus.tokens is not None
    assert corpus.starts is not None
    begin, lengths = corpus.starts[chosen], np.diff(corpus.starts)[chosen]
    places = np.arange(lengths.max())
    mask = places < lengths[:, None]
    ids = corpus.tokens[np.where(mask, begin[:, None] + places, 0)]
    return {"input_ids": np.where(mask, ids, pad).astype(np.int64), "attention_mask": mask.astype(np.int64)}


def alike(corpus: Corpus, batch: int, index: int) -> np.ndarray:
    """(b,) windows for step `index`, of about one length so that little is padding; none twice in a pass.

    ALIKE batches are drawn together, sorted by length, and taken in a random order.
    """
    assert corpus.starts is not None
    n = len(corpus)
    pieces = min(ALIKE, max(1, n // batch))
    group, at = divmod(index, pieces)
    chosen, _ = turn(n, min(n, batch * pieces), group, corpus.seed)
    chosen = chosen[np.argsort(np.diff(corpus.starts)[chosen], kind="stable")]
    order = np.random.default_rng([corpus.seed, group, ALIKE]).permutation(pieces)
    return np.array_split(chosen, pieces)[order[at]]


def _once(examples: Sequence[Example]) -> list[Example]:
    return list({e.digest: e for e in examples}.values())


def _texts(examples: Sequence[Example]) -> Iterator[str]:
    """What can be read of them; the rest is set aside later, when it is tokenized."""
    for _, content in contents.stream(_once(examples)):
        if isinstance(content, str):
            yield content
        elif isinstance(content, bytes):
            yield content.decode("utf-8-sig", "ignore")


def prepared(tokenizer: Path, length: int) -> Preprocess:
    """How texts are prepared for a tokenizer trained here, whose padding is 0, as backbones/transformers.py says it."""
    settings = {
        "lower": False,  # the tokenizer does that itself
        "max_length": length,
        "normalize": False,
        "pad": 0,
        "pooling": "mean",
        "prompt": "",
        "tokenizer": hub.register(tokenizer),
        "windows": member("backbones", "transformers").WINDOWS,
    }
    return Preprocess("text", tuple(sorted(settings.items())))
