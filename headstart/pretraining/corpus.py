"""Reads unlabelled data from its sources, and builds the corpus that a pretext learns from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.backbone import Preprocess
from headstart.core.errors import SourceError
from headstart.core.files import make_folder
from headstart.core.options import DataOptions
from headstart.core.run import Emit
from headstart.core.settings import own_value
from headstart.core.task import Example
from headstart.data.contents import Reading
from headstart.data.read import read_source
from headstart.data.split_names import part_of
from headstart.pretraining.contracts import Corpus, UnlabelledData
from headstart.pretraining.image_corpus import decode_images
from headstart.pretraining.pretrain_plan import PretrainPlan

DECODE_MARGIN = 1.2  # images are kept this much larger than the student's input, so that crops have something to show


def read_unlabelled(
    sources: Sequence[object], serves: Sequence[str], input: str | None = None, label: str | None = None
) -> UnlabelledData:
    """What the sources hold for a pretext that serves these kinds; of sources with parts, the training part.

    input, label: columns of tables; a label is read only for pairs, which are images with a caption as their label
    Raises SourceError when a source holds another kind, or nothing.
    """
    if label and "pair" not in serves:
        raise SourceError(f"--label {label} has no effect: this is learned without labels. Leave it out.")
    examples: list[Example] = []
    counts: dict[str, int] = {}
    notes: list[str] = []
    kinds: set[str] = set()
    for source in sources:
        pairs = "pair" in serves
        read = _read_pairs(source, input, label) if pairs else read_source(source, DataOptions(label="", input=input))
        if read.kind not in serves:
            raise SourceError(f"{source} holds {read.kind}s; this is learned from {' or '.join(serves)}s.")
        kinds.add(read.kind)
        held_out = [part for part in read.examples if part_of(part) not in ("train", "")]
        train = [e for part, members in read.examples.items() if part not in held_out for e in members]
        name = os.path.basename(os.path.normpath(str(source))) if isinstance(source, str | Path) else "arrays"
        examples += train
        counts[name] = counts.get(name, 0) + len(train)
        if held_out:
            notes.append(f"{name}: the parts {', '.join(held_out)} are left for judging.")
        notes.append(f"{name}: {len(train):,} {read.kind}s, {len(read.aside):,} set aside.")
    if not examples:
        raise SourceError("There is nothing to learn from in these sources.")
    if len(kinds) > 1:
        raise SourceError(f"The sources hold {' and '.join(sorted(kinds))}s. One kind is expected.")
    return UnlabelledData(kinds.pop(), tuple(examples), counts, tuple(notes))


def _read_pairs(source: object, input: str | None, label: str | None) -> Reading:
    """Images whose labels are captions. Raises SourceError where they are not."""
    read = read_source(source, DataOptions(label=label, input=input))
    if read.kind != "image":
        raise SourceError(
            f"{source} holds {read.kind}s; pairs of a picture and its caption are expected: a table with a column of "
            "each, named by --input and --label."
        )
    for example in (e for members in read.examples.values() for e in members):
        if not isinstance(example.label, str):
            raise SourceError(
                f"{example.id} has {example.label!r} for a caption; text is expected. Name its column with --label."
            )
    return replace(read, kind="pair")


def build_corpus(
    data: UnlabelledData, folder: Path, plan: PretrainPlan, pretext: Any, spec: Preprocess, emit: Emit
) -> Corpus:
    """The examples as their pretext reads them: decoded images, token ids, or both. spec: the student's."""
    make_folder(folder)
    corpus = Corpus(folder=folder, seed=plan.seed, steps=plan.steps)
    edge = int(DECODE_MARGIN * plan.side)
    if data.kind == "pair":
        return _build_pairs(data, edge, pretext, corpus, emit)
    if data.kind == "image":
        return replace(corpus, images=decode_images(data.examples, folder, edge, emit))
    from headstart.pretraining.text_corpus import tokenize_texts  # with torch, which images need not

    length = min(own_value(pretext, "max_length"), int(str(spec["max_length"])))
    texts = tokenize_texts(data.examples, spec, length, folder, emit)
    return replace(corpus, tokens=texts.tokens, starts=texts.starts)


def _build_pairs(data: UnlabelledData, edge: int, pretext: Any, corpus: Corpus, emit: Emit) -> Corpus:
    """Decoded images, the captions' token ids, and which belong together; equal pairs count once."""
    from headstart.pretraining.text_corpus import text_preprocess, tokenize_texts, train_tokenizer

    folder, length = corpus.folder, own_value(pretext, "max_length")
    captions = [Example(e.id, str(e.label), digest.of_bytes(str(e.label).encode()), None) for e in data.examples]
    tokenizer = train_tokenizer(captions, "wordpiece", own_value(pretext, "vocabulary_size"), folder)
    texts = tokenize_texts(captions, text_preprocess(tokenizer, length), length, folder, emit, windows=1)
    images = decode_images(data.examples, folder, edge, emit)
    image_index = {name: i for i, name in enumerate(images.digests)}
    distinct = list(dict.fromkeys(c.digest for c in captions))
    window_index = {distinct[owner]: i for i, owner in enumerate(texts.owners.tolist())}
    pairs = dict.fromkeys(
        (image_index.get(e.digest, -1), window_index.get(c.digest, -1))
        for e, c in zip(data.examples, captions, strict=True)
    )
    readable = np.array([pair for pair in pairs if min(pair) >= 0], np.int64).reshape(-1, 2)
    return replace(corpus, images=images, tokens=texts.tokens, starts=texts.starts, pairs=readable)
