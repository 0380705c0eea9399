"""Examples -> features. Opens the network only for what the cache lacks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.backbone import Backbone, Cut, Preprocess
from headstart.core.errors import Unreadable
from headstart.core.plugins import member
from headstart.core.result import Receipt, SetAside
from headstart.core.run import Run
from headstart.core.task import Example
from headstart.data.contents import content, stream
from headstart.data.split import check_aside, too_many
from headstart.features import preprocessing_check
from headstart.features.cache import maintenance, store
from headstart.features.cache.segments import Entry
from headstart.features.prefetch import ahead
from headstart.features.runner import Running, start

SHARD = 128  # inputs prepared at a time: bounds memory (128 photos at 224 px are 19 MB of pixels)
EXAMINED = 64 << 20  # bytes of rows read against their checksums before they are used: 0.1 s at most
SAVE_SECONDS = 20.0  # work lost at most to a kill, in seconds of embedding


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What left the cut for some examples.

    x:        rows of the readable ones, as Features has them
    index:    (m,) int64, which of the examples they are
    reasons:  position -> why it could not be read
    beyond:   (n,) float32, share of each input beyond one window
    previews: m JPEG thumbnails, b"" for texts
    hits, misses: distinct inputs found on the shelf, and computed
    receipt:  of the network that made them; None where none was opened or there is none
    fresh:    the receipt is of this run
    stale:    rows on the shelf that were no longer what was written, and were made again
    """

    x: Any
    index: np.ndarray
    reasons: dict[int, str]
    beyond: np.ndarray
    digests: tuple[str, ...]
    shelf: store.Shelf | None
    hits: int
    misses: int
    receipt: Receipt | None
    fresh: bool
    stale: int = 0

    def previews(self, positions: Sequence[int]) -> list[bytes]:
        """Thumbnails of the readable examples at these positions, those of x; b"" where there are none."""
        some = [self.digests[self.index[i]] for i in positions]
        return self.shelf.previews(some) if self.shelf else [b""] * len(some)


def embed(examples: Sequence[Example], backbone: Backbone, cut: Cut, root: Path, run: Run | None = None) -> Rows:
    """One row an example at the cut, from the cache where it is there. Unreadable ones have a reason instead.

    Raises Stopped when too many cannot be read, CacheError when the cache folder cannot be written, and what opening
    the network raises.
    """
    digests = tuple(e.digest for e in examples)
    if backbone.family == "vector":
        return _direct(examples, digests, backbone, cut)
    shelf = store.Shelf(root, backbone, cut, dtype_of(backbone.preprocess, cut))
    stale = shelf.examine(EXAMINED)
    distinct = len(set(digests))
    missing = shelf.missing(digests)
    receipt = None
    if missing:
        todo = [examples[i] for i in missing]
        ready = ahead(_looked(todo, backbone.preprocess))  # decoding goes on while the network is opened
        running = start(backbone, cut, len(todo), root)
        _fill(shelf, ready, backbone, cut, running, (len(todo), distinct - len(todo), len(examples)), run)
        receipt = replace(running.receipt(), agreement=_agreement(backbone, cut, running, root))
        shelf.seal(receipt)
        shelf.settle()
        maintenance.evict(root, store.limit(), keep=(shelf.key,))
    stored = shelf.receipts()
    reasons = shelf.reasons(digests)
    check_aside([SetAside(examples[i].id, reason) for i, reason in sorted(reasons.items())], len(examples))
    index = np.array([i for i in range(len(digests)) if i not in reasons], dtype=np.int64)
    readable = [digests[i] for i in index]
    beyond = np.zeros(len(digests), np.float32)
    beyond[index] = shelf.beyond(readable)
    shown = receipt or (stored[-1] if stored else None)
    misses = len(missing)
    x = shelf.rows(readable)
    return Rows(x, index, reasons, beyond, digests, shelf, distinct - misses, misses, shown, receipt is not None, stale)


def _direct(examples: Sequence[Example], digests: tuple[str, ...], backbone: Backbone, cut: Cut) -> Rows:
    """Vectors need no network and no shelf."""
    spec = backbone.preprocess
    ready = member("preprocess", spec.kind).prepare([content(e) for e in examples], spec)
    reasons = {i: str(r) for i, r in enumerate(ready) if isinstance(r, Unreadable)}
    index = np.array([i for i in range(len(ready)) if i not in reasons], dtype=np.int64)
    units = [r[0] for r in ready if not isinstance(r, Unreadable)]
    x = np.stack(units) if units else np.zeros((0, backbone.width), np.float32)
    return Rows(x, index, reasons, np.zeros(len(ready), np.float32), digests, None, 0, 0, None, fresh=False)


def _agreement(backbone: Backbone, cut: Cut, running: Running, root: Path) -> float | None:
    """How like our rows of reference inputs are to those by the library's own code; None where that is not asked."""
    spec = backbone.preprocess
    if not cut.top or spec.kind not in ("image", "text"):
        return None
    theirs = preprocessing_check.expected(backbone, root)
    if theirs is None:
        return None
    if cut.precision != "float32":  # how inputs are prepared is asked, not how the network rounds
        cut = replace(cut, precision="float32")
        running = start(backbone, cut, 1, root)
    ready = member("preprocess", spec.kind).prepare(list(preprocessing_check.inputs(spec.kind)), spec)
    return preprocessing_check.agreement(np.stack([row for row, _ in crossing(ready, spec, cut, running)]), theirs)


def _fill(
    shelf: store.Shelf,
    shards: Iterator[list],
    backbone: Backbone,
    cut: Cut,
    running: Running,
    counts: tuple[int, int, int],
    run: Run | None,
) -> None:
    """Puts rows on the shelf, saving as it goes, so that a kill loses seconds and not the hour.

    shards: see `_looked`.  counts: of inputs to do, of those on the shelf, and of all examples
    """
    spec = backbone.preprocess
    todo, cached, total = counts
    say = run.emit if run else lambda event, facts: None
    say("opening", {"backbone": backbone.name, "todo": todo, "cached": cached, "engine": running.engine})
    entries: list[Entry] = []
    began = saved = time.perf_counter()
    done = bad = 0
    try:
        for shard in shards:
            made = _entries(shard, spec, cut, running)
            entries += made
            done, bad = done + len(made), bad + sum(bool(e.reason) for e in made)
            now = time.perf_counter()
            rate = done / (now - began)
            say("progress", {"stage": "extract", "done": done, "total": todo, "rate": round(rate, 1)})
            if now - saved > SAVE_SECONDS:
                shelf.append(entries)
                entries, saved = [], time.perf_counter()
            if too_many(bad, total):
                break
    finally:
        if entries:
            shelf.append(entries)


def _looked(todo: list[Example], spec: Preprocess) -> Iterator[list[tuple[Example, Any, bytes]]]:
    """Shards of (example, its units or why it cannot be read, thumbnail)."""
    prepare, contents = member("preprocess", spec.kind), stream(todo)
    while shard := list(islice(contents, SHARD)):
        looked = iter(prepare.look([c for _, c in shard if not isinstance(c, Unreadable)], spec))
        yield [(e, *((c, b"") if isinstance(c, Unreadable) else next(looked))) for e, c in shard]


def _entries(shard: list[tuple[Example, Any, bytes]], spec: Preprocess, cut: Cut, running: Running) -> list[Entry]:
    """What the shelf keeps of each input of one shard."""
    prepare = member("preprocess", spec.kind)
    crossed = iter(crossing([some for _, some, _ in shard if not isinstance(some, Unreadable)], spec, cut, running))
    entries = []
    for example, some, preview in shard:
        if isinstance(some, Unreadable):
            entries.append(Entry(example.digest, None, 0.0, b"", str(some)))
        else:
            row, windows = next(crossed)
            entries.append(Entry(example.digest, row, prepare.beyond(some), preview, "", windows))
    return entries


def dtype_of(spec: Preprocess, cut: Cut) -> str:
    """How rows are kept at a cut: whole numbers at 0, half precision below the top, which halves what is read."""
    if cut.at == 0:
        return "int32" if spec.kind == "text" else "uint8"
    return "float32" if cut.top else "float16"


def crossing(
    inputs: list[list[np.ndarray]], spec: Preprocess, cut: Cut, running: Running
) -> list[tuple[np.ndarray, tuple[int, ...]]]:
    """Of each input's units what leaves the cut, and the windows' lengths where that is tokens.

    At the top one row an input; below it everything, which for an image is one unit's.
    """
    units = [unit for some in inputs for unit in some]
    rows = iter(running.rows(units)) if units else iter(())
    weigh, dtype = member("preprocess", spec.kind).weigh, dtype_of(spec, cut)
    made: list[tuple[np.ndarray, tuple[int, ...]]] = []
    for some in inputs:
        mine = [next(rows) for _ in some]
        if cut.top:
            made.append((average(mine, [weigh(u) for u in some], unit_length(spec)), ()))
        elif spec.kind == "text":
            made.append((np.concatenate(mine).astype(dtype), tuple(len(row) for row in mine)))
        else:
            made.append((mine[0].astype(dtype), ()))
    return made


def unit_length(spec: Preprocess) -> bool:
    """Whether the weights' own card says that embeddings have length 1."""
    return bool(dict(spec.settings).get("normalize"))


def average(rows: list[np.ndarray], weights: list[float], normalize: bool) -> np.ndarray:
    """The windows' rows as one, weighted by their length; of length 1 again where the card says so."""
    if len(rows) == 1:
        return rows[0]
    row = np.average(np.stack(rows), axis=0, weights=weights)
    return (row / max(float(np.linalg.norm(row)), 1e-12) if normalize else row).astype(np.float32)
