"""Unlabelled data for making a backbone: what is in the sources, and as what it is kept for training."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core import digest
from headstart.core.errors import SourceError
from headstart.core.task import Example
from headstart.data.contents import Reading
from headstart.data.read import reading
from headstart.data.split_names import part_of
from headstart.pretraining.contracts import Corpus
from headstart.pretraining.image_corpus import gather

if TYPE_CHECKING:
    from headstart.pretraining.contracts import Making
from headstart.pretraining.contracts import Found

ROOM = 1.2  # pictures are kept this much larger than the student sees them, so that crops have something to show


def found(
    sources: Sequence[object], serves: Sequence[str], input: str | None = None, label: str | None = None
) -> Found:
    """What the sources hold for a pretext that serves these kinds; of sources with parts, the training part.

    input, label: columns of tables; a label is wanted only of pairs, which are pictures with a caption as their label
    Raises SourceError when a source holds another kind, or nothing.
    """
    examples: list[Example] = []
    counts: dict[str, int] = {}
    if label and "pair" not in serves:
        raise SourceError(f"--label {label} has no effect: this is learned without labels. Leave it out.")
    notes: list[str] = []
    kinds: set[str] = set()
    for source in sources:
        seen = _pairs(source, input, label) if "pair" in serves else reading(source, label="", input=input)
        if seen.kind not in serves:
            raise SourceError(f"{source} holds {seen.kind}s; this is learned from {' or '.join(serves)}s.")
        kinds.add(seen.kind)
        parts = {name: some for name, some in seen.examples.items() if part_of(name) in ("train", "")}
        left = [name for name in seen.examples if name not in parts]
        some = [e for each in parts.values() for e in each]
        name = os.path.basename(os.path.normpath(str(source))) if isinstance(source, str | Path) else "arrays"
        examples += some
        counts[name] = counts.get(name, 0) + len(some)
        if left:
            notes.append(f"{name}: the parts {', '.join(left)} are left for judging.")
        notes.append(f"{name}: {len(some):,} {seen.kind}s, {len(seen.aside):,} set aside.")
    if not examples:
        raise SourceError("There is nothing to learn from in these sources.")
    if len(kinds) > 1:
        raise SourceError(f"The sources hold {' and '.join(sorted(kinds))}s. One kind is expected.")
    return Found(kinds.pop(), tuple(examples), counts, tuple(notes))


def _pairs(source: object, input: str | None, label: str | None) -> Reading:
    """Pictures whose labels are captions. Raises SourceError where they are not."""
    seen = reading(source, label=label, input=input)
    if seen.kind != "image":
        raise SourceError(
            f"{source} holds {seen.kind}s; pairs of a picture and its caption are expected: a table with a column of "
            "each, named by --input and --label."
        )
    odd = next((e for some in seen.examples.values() for e in some if not isinstance(e.label, str)), None)
    if odd is not None:
        raise SourceError(f"{odd.id} has {odd.label!r} for a caption; text is expected. Name its column with --label.")
    return replace(seen, kind="pair")


def corpus_of(
    data: Found,
    folder: Path,
    plan: dict,
    pretext: Any,
    making: Making,
    say: Callable[[str, dict], None],
) -> Corpus:
    """The examples as their pretext reads them: decoded pictures, or token ids."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(folder=folder, seed=plan["seed"], steps=plan["steps"])
    if data.kind == "image":
        return replace(corpus, pictures=gather(data.examples, folder, int(ROOM * plan["side"]), say))
    from headstart.pretraining.text_corpus import tokens_of

    if data.kind == "pair":
        return _paired(data, folder, plan, pretext, corpus, say)
    spec = making.student.spec
    found = tokens_of(data.examples, spec, min(pretext.length, int(str(spec["max_length"]))), folder, say)
    return replace(corpus, tokens=found.tokens, starts=found.starts)


def _paired(data: Found, folder: Path, plan: dict, pretext: Any, corpus: Corpus, say: Callable[[str, dict], None]):
    """Decoded pictures, the captions' token ids, and which belong together."""
    from headstart.pretraining.text_corpus import prepared, tokenizer_of, tokens_of

    captions = [Example(e.id, str(e.label), digest.of_bytes(str(e.label).encode()), None) for e in data.examples]
    tokenizer = tokenizer_of(captions, "wordpiece", pretext.vocabulary, folder)
    texts = tokens_of(captions, prepared(tokenizer, pretext.length), pretext.length, folder, say, windows=1)
    pictures = gather(data.examples, folder, int(ROOM * plan["side"]), say)
    at = {name: i for i, name in enumerate(pictures.digests)}
    distinct = list(dict.fromkeys(c.digest for c in captions))
    row = {distinct[owner]: i for i, owner in enumerate(texts.owners.tolist())}
    pairs = {(at.get(e.digest, -1), row.get(c.digest, -1)): None for e, c in zip(data.examples, captions, strict=True)}
    whole = np.array([pair for pair in pairs if min(pair) >= 0], np.int64).reshape(-1, 2)
    return replace(corpus, pictures=pictures, tokens=texts.tokens, starts=texts.starts, pairs=whole)
