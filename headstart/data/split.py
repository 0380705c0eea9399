"""Which examples train, which choose, which judge: a stratified split, or folds, that keeps groups together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from headstart.core.digest import of_bytes
from headstart.core.errors import SourceError
from headstart.core.messages import join_quoted
from headstart.core.task import Example
from headstart.data.connected_components import connected_components

HOLDOUT_SHARE = 0.15  # of the test part, and of the validation part
MIN_PER_CLASS = 20  # examples a class; with fewer, 15 % are 3 at most, and a held-out part says nothing
MAX_FOLDS = 5
MAX_ATTEMPTS = 50  # orders tried where groups hold several labels


def draw_split(
    examples: Sequence[Example], strata: Sequence, seed: int, parts: Sequence[str] = ("test", "val")
) -> dict[str, np.ndarray]:
    """Splits off `parts`, HOLDOUT_SHARE of every stratum each; the rest is "train". Sorted int64 positions.

    Groups and equal bytes stay together. Deterministic in the seed.
    Raises SourceError when some stratum would have no training example.
    """
    large = {s for s, n in Counter(strata).items() if n >= MIN_PER_CLASS}

    def count_missing(parts_of: dict) -> int:
        untrained = sum("train" not in parts_of[s] for s in parts_of)
        return untrained * len(parts_of) + sum(parts[0] not in parts_of[s] for s in large)

    def cut_pool(pool: list[_Unit], shift: int) -> list[str]:
        return _cut([len(unit.rows) for unit in pool], parts)

    names = np.array(_assign(_units(examples, strata), seed, cut_pool, count_missing))
    untrained = set(strata) - {s for s, name in zip(strata, names.tolist(), strict=True) if name == "train"}
    if untrained:
        raise _no_split(untrained)
    if parts[0] not in names:
        raise SourceError(
            f"No {parts[0]} part can be drawn from {len(examples):,} examples that are equal or of one group. "
            "Use smaller groups, or give a test part with --test."
        )
    return {part: np.flatnonzero(names == part).astype(np.int64) for part in ("train", *parts)}


def assign_folds(examples: Sequence[Example], strata: Sequence, seed: int, *, classes: bool) -> np.ndarray:
    """(n,) int64 fold of each example: MAX_FOLDS folds, or as many as the rarest class has examples (or groups).

    classes: whether every stratum must be seen in training, whichever fold is held out.
    Raises SourceError naming the strata that have only one.
    """
    units = _units(examples, strata)
    counts = Counter(s for u in units for s in u.strata) if classes else Counter(units=len(units))
    singletons = sorted(str(s) for s, n in counts.items() if n < 2)
    if singletons:
        sizes = Counter(str(s) for s in strata)
        which = f"{len(singletons):,} of {len(counts):,} classes have" if len(singletons) > 1 else "One class has"
        kind = "examples" if sizes[singletons[0]] < 2 else "examples that are not equal or of one group"
        raise SourceError(
            f"{which} fewer than 2 {kind}: {join_quoted(singletons)}. "
            "Two are the least: one to learn from, one to judge by. Add more, or leave them out."
        )
    k = min(MAX_FOLDS, min(counts.values()))

    def deal_pool(pool: list[_Unit], shift: int) -> list[int]:
        return [(i * k // len(pool) + shift) % k for i in range(len(pool))]

    def count_missing(folds_of: dict) -> int:
        return sum(len(folds) < 2 for folds in folds_of.values()) if classes else 0

    assigned = _assign(units, seed, deal_pool, count_missing)
    folds_of: dict[Hashable, set] = defaultdict(set)
    for stratum, fold in zip(strata, assigned, strict=True):
        folds_of[stratum].add(fold)
    in_one_fold = {s for s, folds in folds_of.items() if len(folds) < 2}
    if (classes and in_one_fold) or len(set(assigned)) < 2:
        raise _no_split(in_one_fold)
    return np.unique(assigned, return_inverse=True)[1].astype(np.int64)


def needs_cross_validation(examples: Sequence[Example], strata: Sequence, *, classes: bool) -> bool:
    """Whether a held-out part would be too small: fewer than MIN_PER_CLASS of some class, or fewer than 3 groups."""
    if not classes:
        return len(examples) < 5 * MIN_PER_CLASS
    if min(Counter(strata).values()) < MIN_PER_CLASS:
        return True
    groups = {(s, e.group or e.digest or e.id) for e, s in zip(examples, strata, strict=True)}
    return min(Counter(s for s, _ in groups).values()) < 3


def count_byte_duplicates(examples: Sequence[Example]) -> int:
    """How many examples have the bytes of an earlier one."""
    return len(examples) - len({e.digest or e.id for e in examples})


@dataclass(frozen=True, slots=True)
class _Unit:
    """Examples that must stay together: one group, or equal bytes. strata: those of its examples"""

    name: str
    rows: list[int]
    strata: frozenset


def _units(examples: Sequence[Example], strata: Sequence[Hashable]) -> list[_Unit]:
    first: dict[tuple[str, str], int] = {}
    edges = [
        (first.setdefault((kind, key), i), i)
        for i, example in enumerate(examples)
        for kind, key in (("group", example.group), ("bytes", example.digest))
        if key
    ]
    members: dict[int, list[int]] = defaultdict(list)
    for i, component in enumerate(connected_components(len(examples), edges).tolist()):
        members[component].append(i)
    keys = [e.group or e.digest or e.id for e in examples]
    alone = {stratum: frozenset((stratum,)) for stratum in set(strata)}  # of most units, which hold one example
    return [
        _Unit(keys[rows[0]], rows, alone[strata[rows[0]]])
        if len(rows) == 1
        else _Unit(min(keys[i] for i in rows), rows, frozenset(strata[i] for i in rows))
        for rows in members.values()
    ]


def _assign(
    units: list[_Unit], seed: int, deal: Callable[[list[_Unit], int], list], count_missing: Callable[[dict], int]
) -> list:
    """A part or fold for every example, whole units together: `deal` assigns each pool, the units of one stratum.

    Units of several strata are a pool of their own, dealt anew until `count_missing` (stratum -> its parts) is 0.
    """
    pools: dict[Hashable, list[_Unit]] = {s: [] for s in sorted({s for u in units for s in u.strata})}
    for unit in _shuffle([u for u in units if len(u.strata) == 1], seed, 0):
        pools[next(iter(unit.strata))].append(unit)
    pure = [pair for shift, pool in enumerate(pools.values()) for pair in zip(pool, deal(pool, shift), strict=True)]
    mixed = [u for u in units if len(u.strata) > 1]
    best: tuple[int, list] | None = None
    for attempt in range(MAX_ATTEMPTS if mixed else 1):
        order = _shuffle(mixed, seed, attempt)
        dealt = [*pure, *zip(order, deal(order, len(pools)), strict=True)]
        parts_of: dict[Hashable, set] = defaultdict(set)
        for unit, part in dealt:
            for stratum in unit.strata:
                parts_of[stratum].add(part)
        missing = count_missing(parts_of)
        if best is None or missing < best[0]:
            best = missing, dealt
        if not missing:
            break
    assigned: list = [None] * sum(len(u.rows) for u in units)
    for unit, part in best[1] if best else ():
        for row in unit.rows:
            assigned[row] = part
    return assigned


def _shuffle(units: list[_Unit], seed: int, attempt: int) -> list[_Unit]:
    """In the order of a digest of seed and name: where two units stand never depends on a third."""
    salt = f"{seed}/{attempt}" if attempt else f"{seed}"
    keys = [of_bytes(f"{salt}/{unit.name}".encode()) for unit in units]
    return [units[i] for i in sorted(range(len(units)), key=keys.__getitem__)]


def _cut(sizes: list[int], parts: Sequence[str]) -> list[str]:
    """The part of each unit of a pool, in order; a unit belongs where its middle falls."""
    total = sum(sizes)
    borders = [int(HOLDOUT_SHARE * (i + 1) * total + 0.5) for i in range(len(parts))]
    middles = np.cumsum(sizes) - np.array(sizes) / 2
    names = [*parts, "train"]
    cut = [names[i] for i in np.searchsorted(borders, middles, side="right")]
    if total >= MIN_PER_CLASS and len(sizes) > len(parts):
        for part in parts:
            if part not in cut:
                # Large groups can leap over a part: the smallest that is not the last of its own part fills it.
                counts = Counter(cut)
                cut[min((i for i in range(len(cut)) if counts[cut[i]] > 1), key=lambda i: sizes[i])] = part
    return cut


def _no_split(strata: set) -> SourceError:
    return SourceError(
        f"No split leaves {join_quoted(sorted(map(str, strata)))} a training example on the other side: its groups are "
        "too few or too large. Use smaller groups, or give a test part with --test."
    )
