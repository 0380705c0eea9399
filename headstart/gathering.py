"""Unlabelled data for making a backbone: what is in the sources, and as what it is kept for training."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.errors import SourceError
from headstart.parts import part_of
from headstart.pictures import gather
from headstart.pretext import Corpus
from headstart.read import reading
from headstart.task import Example

if TYPE_CHECKING:
    from headstart.students import Making

ROOM = 1.2  # pictures are kept this much larger than the student sees them, so that crops have something to show


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Examples of one kind. counts: by the source's own name.  notes: plain sentences"""

    kind: str
    examples: tuple[Example, ...]
    counts: dict[str, int]
    notes: tuple[str, ...]


def found(sources: Sequence[object], serves: Sequence[str]) -> Found:
    """What the sources hold for a pretext that serves these kinds; of sources with parts, the training part.

    Raises SourceError when a source holds another kind, or nothing.
    """
    examples: list[Example] = []
    counts: dict[str, int] = {}
    notes: list[str] = []
    kinds: set[str] = set()
    for source in sources:
        seen = reading(source, label="")
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
    from headstart.writings import tokens_of

    spec = making.student.spec
    found = tokens_of(data.examples, spec, min(pretext.length, int(str(spec["max_length"]))), folder, say)
    return replace(corpus, tokens=found.tokens, starts=found.starts)
