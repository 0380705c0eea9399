"""Examples -> features at a cut. Opens the network only for what the cache lacks."""

from __future__ import annotations

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
from headstart.data.contents import iter_contents, read_content
from headstart.data.subset import check_unusable_share, too_many_unusable
from headstart.features import preprocessing_check
from headstart.features.cache import maintenance, store
from headstart.features.cache.segments import CacheEntry
from headstart.features.cache.writer import ShelfWriter
from headstart.features.image_decoding import load_decoders
from headstart.features.prefetch import prefetch
from headstart.features.runner import Extractor, start_engine

SHARD = 128  # inputs prepared at a time: bounds memory (128 photos at 224 px are 19 MB of pixels)
Prepared = list[tuple[Example, Any, bytes]]  # example, its units or why it cannot be read, JPEG thumbnail


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The features of some examples at a cut.

    x:        rows of the readable ones, as Features has them
    index:    (m,) int64, which of the examples they are
    reasons:  position -> why it could not be read
    beyond:   (n,) float32, share of each input that truncation to one window would cut off
    hits, misses: distinct inputs found in the cache, and computed
    receipt:  of the network that made them; None where none was opened or there is none
    fresh:    the receipt is of this run
    stale:    cached rows that were damaged, and were computed again
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

    def thumbnails(self, positions: Sequence[int]) -> list[bytes]:
        """JPEG thumbnails of the readable examples at these positions of x; b"" where there are none."""
        digests = [self.digests[self.index[i]] for i in positions]
        return self.shelf.thumbnails(digests) if self.shelf else [b""] * len(digests)


def embed(examples: Sequence[Example], backbone: Backbone, cut: Cut, root: Path, run: Run | None = None) -> Rows:
    """One row an example at the cut, from the cache where it is there. Unreadable ones have a reason instead.

    Raises Stopped when too many cannot be read, CacheError when the cache folder cannot be written, and what opening
    the network raises.
    """
    digests = tuple(e.digest for e in examples)
    if backbone.family == "vector":
        return _read_vectors(examples, digests, backbone)
    shelf = store.Shelf(root, backbone, cut, storage_dtype(backbone.preprocess, cut))
    distinct = len(set(digests))
    missing = shelf.missing(digests)
    stale = shelf.damaged
    hits, misses = distinct - len(missing), len(missing)
    receipt = None
    if missing:
        uncached = [examples[i] for i in missing]
        if backbone.preprocess.kind == "image":
            load_decoders()
        shards = prefetch(_prepared_shards(uncached, backbone.preprocess))  # decodes while the network is opened
        extractor = start_engine(backbone, cut, misses, root)
        emit = run.emit if run else lambda event, facts: None
        emit("opening", {"backbone": backbone.name, "todo": misses, "cached": hits, "engine": extractor.engine})
        unreadable = 0
        with ShelfWriter(shelf, "extract", misses, emit) as writer:
            for shard in shards:
                entries = _extract_shard(shard, backbone.preprocess, cut, extractor)
                writer.add(entries)
                unreadable += sum(bool(e.reason) for e in entries)
                if too_many_unusable(unreadable, len(examples)):
                    break
        receipt = replace(extractor.receipt(), agreement=_preprocessing_agreement(backbone, cut, extractor, root))
        shelf.save_receipt(receipt)
        shelf.compact()
        maintenance.evict(root, store.size_limit(), keep=(shelf.key,))
    stored = shelf.receipts()
    reasons = shelf.reasons(digests)
    check_unusable_share([SetAside(examples[i].id, reason) for i, reason in sorted(reasons.items())], len(examples))
    index = np.array([i for i in range(len(digests)) if i not in reasons], dtype=np.int64)
    readable = [digests[i] for i in index]
    beyond = np.zeros(len(digests), np.float32)
    beyond[index] = shelf.beyond(readable)
    latest = receipt or (stored[-1] if stored else None)
    x = shelf.rows(readable)
    return Rows(x, index, reasons, beyond, digests, shelf, hits, misses, latest, receipt is not None, stale)


def storage_dtype(spec: Preprocess, cut: Cut) -> str:
    """The dtype in which rows are kept at a cut: integers at 0, float16 below the top, which halves what is read."""
    if cut.at == 0:
        return "int32" if spec.kind == "text" else "uint8"
    return "float32" if cut.top else "float16"


def features_at_cut(
    inputs: list[list[np.ndarray]], spec: Preprocess, cut: Cut, extractor: Extractor
) -> list[tuple[np.ndarray, tuple[int, ...]]]:
    """The features of each input, given as its prepared units, and its windows' lengths where they are per token.

    At the top one row an input, the average over its windows; below it everything, which for an image is one unit's.
    """
    units = [unit for input_units in inputs for unit in input_units]
    rows = iter(extractor.rows(units)) if units else iter(())
    weigh, dtype = member("preprocess", spec.kind).weigh, storage_dtype(spec, cut)
    features: list[tuple[np.ndarray, tuple[int, ...]]] = []
    for input_units in inputs:
        windows = [next(rows) for _ in input_units]
        if cut.top:
            weights = [weigh(unit) for unit in input_units]
            features.append((average_windows(windows, weights, has_unit_length(spec)), ()))
        elif spec.kind == "text":
            features.append((np.concatenate(windows).astype(dtype), tuple(len(row) for row in windows)))
        else:
            features.append((windows[0].astype(dtype), ()))
    return features


def has_unit_length(spec: Preprocess) -> bool:
    """Whether the weights' own card says that embeddings have length 1."""
    return bool(dict(spec.settings).get("normalize"))


def average_windows(rows: list[np.ndarray], weights: list[float], normalize: bool) -> np.ndarray:
    """The windows' embeddings as one, weighted by their length; of length 1 again where the card says so."""
    if len(rows) == 1:
        return rows[0]
    row = np.average(np.stack(rows), axis=0, weights=weights)
    return (row / max(float(np.linalg.norm(row)), 1e-12) if normalize else row).astype(np.float32)


def _read_vectors(examples: Sequence[Example], digests: tuple[str, ...], backbone: Backbone) -> Rows:
    """Vectors computed elsewhere: they need no network and no cache."""
    spec = backbone.preprocess
    prepared = member("preprocess", spec.kind).prepare([read_content(e) for e in examples], spec)
    reasons = {i: str(r) for i, r in enumerate(prepared) if isinstance(r, Unreadable)}
    index = np.array([i for i in range(len(prepared)) if i not in reasons], dtype=np.int64)
    units = [r[0] for r in prepared if not isinstance(r, Unreadable)]
    x = np.stack(units) if units else np.zeros((0, backbone.width), np.float32)
    return Rows(x, index, reasons, np.zeros(len(prepared), np.float32), digests, None, 0, 0, None, fresh=False)


def _prepared_shards(examples: list[Example], spec: Preprocess) -> Iterator[Prepared]:
    """The examples, SHARD at a time."""
    preprocess, contents = member("preprocess", spec.kind), iter_contents(examples)
    while shard := list(islice(contents, SHARD)):
        prepared = iter(preprocess.look([c for _, c in shard if not isinstance(c, Unreadable)], spec))
        yield [(e, *((c, b"") if isinstance(c, Unreadable) else next(prepared))) for e, c in shard]


def _extract_shard(shard: Prepared, spec: Preprocess, cut: Cut, extractor: Extractor) -> list[CacheEntry]:
    """A cache entry for each input of one shard."""
    preprocess = member("preprocess", spec.kind)
    readable = [units for _, units, _ in shard if not isinstance(units, Unreadable)]
    features = iter(features_at_cut(readable, spec, cut, extractor))
    entries = []
    for example, units, thumbnail in shard:
        if isinstance(units, Unreadable):
            entries.append(CacheEntry(example.digest, None, 0.0, b"", str(units)))
        else:
            row, windows = next(features)
            entries.append(CacheEntry(example.digest, row, preprocess.beyond(units), thumbnail, "", windows))
    return entries


def _preprocessing_agreement(backbone: Backbone, cut: Cut, extractor: Extractor, root: Path) -> float | None:
    """Smallest cosine of our embeddings of the reference inputs to the library's; None where that is not measured."""
    spec = backbone.preprocess
    if not cut.top or spec.kind not in ("image", "text"):
        return None
    expected = preprocessing_check.library_embeddings(backbone, root)
    if expected is None:
        return None
    if cut.precision != "float32":  # preprocessing is judged here, not the network's rounding
        cut = replace(cut, precision="float32")
        extractor = start_engine(backbone, cut, 1, root)
    prepared = member("preprocess", spec.kind).prepare(list(preprocessing_check.reference_inputs(spec.kind)), spec)
    ours = np.stack([row for row, _ in features_at_cut(prepared, spec, cut, extractor)])
    return preprocessing_check.min_cosine(ours, expected)
