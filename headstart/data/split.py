"""Which examples train, which choose, which judge."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart.core.digest import of_bytes
from headstart.core.errors import SourceError, Stopped
from headstart.core.messages import quoted
from headstart.core.plugins import name_of
from headstart.core.result import SetAside
from headstart.core.task import Example, Task

SHARE = 0.15  # of the test part, and of the validation part
FEW = 20  # examples a class; with fewer, 15 % are 3 at most, and a held-out part says nothing
FOLDS = 5
BAD_SHARE = 0.05  # set aside; with more, the figures would be about other data than the user's
ATTEMPTS = 50  # orders tried where groups hold several labels


@dataclass(frozen=True, slots=True)
class _Unit:
    """Examples that must stay together: one group, or equal bytes. strata: those of its examples"""

    name: str
    rows: list[int]
    strata: frozenset


def _units(examples: Sequence[Example], strata: Sequence[Hashable]) -> list[_Unit]:
    parent = list(range(len(examples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, example in enumerate(examples):
        for key in (("group", example.group), ("bytes", example.digest)):
            if key[1]:
                j = first.setdefault(key, i)
                if j != i:
                    a, b = root(i), root(j)
                    parent[max(a, b)] = min(a, b)
    together: dict[int, list[int]] = defaultdict(list)
    for i in range(len(examples)):
        together[root(i)].append(i)
    return [
        _Unit(
            min(examples[i].group or examples[i].digest or examples[i].id for i in rows),
            rows,
            frozenset(strata[i] for i in rows),
        )
        for rows in together.values()
    ]


def twins(examples: Sequence[Example]) -> int:
    """How many examples have the bytes of an earlier one."""
    return len(examples) - len({e.digest or e.id for e in examples})


def _ordered(units: list[_Unit], seed: int, attempt: int) -> list[_Unit]:
    """In the order of a digest of seed and name: where two units stand never depends on a third."""
    salt = f"{seed}/{attempt}" if attempt else f"{seed}"
    keys = [of_bytes(f"{salt}/{unit.name}".encode()) for unit in units]
    return [units[i] for i in sorted(range(len(units)), key=keys.__getitem__)]


def _place(
    units: list[_Unit], seed: int, place: Callable[[list[_Unit], int], list], lacks: Callable[[dict], int]
) -> list:
    """A place for every example, whole units together: `place` deals each pool, the ordered units of one stratum.

    Units of several strata are a pool of their own, dealt anew until `lacks` (stratum -> its places) is 0.
    """
    pools: dict[Hashable, list[_Unit]] = {s: [] for s in sorted({s for u in units for s in u.strata})}
    for unit in _ordered([u for u in units if len(u.strata) == 1], seed, 0):
        pools[next(iter(unit.strata))].append(unit)
    pure = [pair for shift, pool in enumerate(pools.values()) for pair in zip(pool, place(pool, shift), strict=True)]
    mixed = [u for u in units if len(u.strata) > 1]
    best: tuple[int, list] | None = None
    for attempt in range(ATTEMPTS if mixed else 1):
        order = _ordered(mixed, seed, attempt)
        dealt = [*pure, *zip(order, place(order, len(pools)), strict=True)]
        seen: dict[Hashable, set] = defaultdict(set)
        for unit, where in dealt:
            for stratum in unit.strata:
                seen[stratum].add(where)
        lacking = lacks(seen)
        if best is None or lacking < best[0]:
            best = lacking, dealt
        if not lacking:
            break
    places: list = [None] * sum(len(u.rows) for u in units)
    for unit, where in best[1] if best else ():
        for row in unit.rows:
            places[row] = where
    return places


def draw(
    examples: Sequence[Example], strata: Sequence, seed: int, parts: Sequence[str] = ("test", "val")
) -> dict[str, np.ndarray]:
    """Splits off `parts`, SHARE of every stratum each; the rest is "train". Sorted int64 positions.

    Groups and equal bytes stay together. Deterministic in the seed.
    Raises SourceError when some stratum would have no training example.
    """
    many = {s for s, n in Counter(strata).items() if n >= FEW}

    def lacks(seen: dict) -> int:
        untrained, unjudged = (
            sum(part not in seen[s] for s in some) for part, some in (("train", seen), (parts[0], many))
        )
        return untrained * len(seen) + unjudged

    names = np.array(
        _place(_units(examples, strata), seed, lambda pool, _: _cut([len(u.rows) for u in pool], parts), lacks)
    )
    lost = set(strata) - {s for s, name in zip(strata, names.tolist(), strict=True) if name == "train"}
    if lost:
        raise _entangled(lost)
    return {part: np.flatnonzero(names == part).astype(np.int64) for part in ("train", *parts)}


def _entangled(lost: set) -> SourceError:
    return SourceError(
        f"No split leaves {quoted(sorted(map(str, lost)))} a training example on the other side: its groups are too "
        "few or too large. Use smaller groups, or give a test part with --test."
    )


def _cut(sizes: list[int], parts: Sequence[str]) -> list[str]:
    """The part of each unit of a pool, in order; a unit belongs where its middle falls."""
    total = sum(sizes)
    borders = [int(SHARE * (i + 1) * total + 0.5) for i in range(len(parts))]
    middles = np.cumsum(sizes) - np.array(sizes) / 2
    names = [*parts, "train"]
    cut = [names[i] for i in np.searchsorted(borders, middles, side="right")]
    if total >= FEW and len(sizes) > len(parts):
        for part in parts:
            if part not in cut:
                # Large groups can leap over a part: the smallest that is not the last of its own part fills it.
                counts = Counter(cut)
                cut[min((i for i in range(len(cut)) if counts[cut[i]] > 1), key=lambda i: sizes[i])] = part
    return cut


def folds(examples: Sequence[Example], strata: Sequence, seed: int, *, classes: bool) -> np.ndarray:
    """(n,) int64: FOLDS folds, or as many as the rarest class has examples (or groups).

    classes: whether every stratum must be seen in training, whichever fold is held out.
    Raises SourceError naming the strata that have only one.
    """
    units = _units(examples, strata)
    counts = Counter(s for u in units for s in u.strata) if classes else Counter(units=len(units))
    alone = sorted(str(s) for s, n in counts.items() if n < 2)
    if alone:
        rows = Counter(str(s) for s in strata)
        many = f"{len(alone):,} of {len(counts):,} classes have" if len(alone) > 1 else "One class has"
        what = "examples" if rows[alone[0]] < 2 else "examples that are not equal or of one group"
        raise SourceError(
            f"{many} fewer than 2 {what}: {quoted(alone)}. "
            "Two are the least: one to learn from, one to judge by. Add more, or leave them out."
        )
    k = min(FOLDS, min(counts.values()))

    def lacks(seen: dict) -> int:
        return sum(len(places) < 2 for places in seen.values()) if classes else 0

    dealt = _place(units, seed, lambda pool, shift: [(i * k // len(pool) + shift) % k for i in range(len(pool))], lacks)
    held: dict[Hashable, set] = defaultdict(set)
    for stratum, place in zip(strata, dealt, strict=True):
        held[stratum].add(place)
    lost = {s for s, places in held.items() if len(places) < 2}
    if (classes and lost) or len(set(dealt)) < 2:
        raise _entangled(lost)
    return np.unique(dealt, return_inverse=True)[1].astype(np.int64)


def is_few(examples: Sequence[Example], strata: Sequence, *, classes: bool) -> bool:
    """Whether a held-out part would be too small: fewer than FEW of some class, or fewer than 3 groups of it."""
    if not classes:
        return len(examples) < 5 * FEW
    if min(Counter(strata).values()) < FEW:
        return True
    apart = {(s, e.group or e.digest or e.id) for e, s in zip(examples, strata, strict=True)}
    return min(Counter(s for s, _ in apart).values()) < 3


def too_many(bad: int, total: int) -> bool:
    """Whether so many of `total` examples cannot be used that a run must stop."""
    return bad > 1 and bad > BAD_SHARE * total


def check_aside(aside: Sequence[SetAside], total: int) -> None:
    """Raises Stopped, with the first names and reasons, when too many of `total` were set aside."""
    if too_many(len(aside), total):
        first = "\n".join(f"  {a.id}: {a.reason}" for a in aside[:10])
        rest = f"\n  … and {len(aside) - 10:,} more" if len(aside) > 10 else ""
        raise Stopped(
            f"{len(aside):,} of {total:,} examples cannot be used ({len(aside) / total:.1%}; at most {BAD_SHARE:.0%} "
            f"are set aside and the rest fitted):\n{first}{rest}\n"
            "Mend or delete them, then fit again: what was read already is kept."
        )


def fewer(task: Task, count: int, seed: int) -> Task:
    """The task with at most `count` labelled examples of each class to learn and to choose from; the test part stays.

    Fewer of a class never means others: those of a smaller count are among those of a larger.
    Raises SourceError where labels are no classes, or where so few examples are there that they are judged by folds.
    """
    if name_of(task.objective) != "classes":
        raise SourceError("--shots counts labels of a class, and these labels are no classes. Leave it out.")
    if task.folds is not None:
        raise SourceError(f"A class has fewer than {FEW} examples, so all of them are needed. Leave out --shots.")
    pool = np.concatenate([task.parts["train"], task.parts["val"]])
    order = sorted(pool.tolist(), key=lambda i: of_bytes(f"{seed}/{task.examples[i].id}".encode()))
    taken: dict[str, list[int]] = defaultdict(list)
    for i in order:
        taken[str(task.examples[i].label)].append(i)
    learn = sorted(i for some in taken.values() for i in some[:count])
    keep = np.array([*learn, *task.parts["test"].tolist()], np.int64)
    n = len(learn)
    parts = {"train": np.arange(n), "val": np.arange(0), "test": np.arange(n, len(keep))}
    note = f"Of each class at most {count} examples are learned from, {n} of {len(pool):,} in all (--shots {count})."
    examples = tuple(task.examples[i] for i in keep)
    return replace(
        task, examples=examples, parts={k: v.astype(np.int64) for k, v in parts.items()}, notes=(*task.notes, note)
    )


def without(task: Task, aside: Sequence[SetAside]) -> Task:
    """The task less the examples named in `aside`, which join those set aside before.

    Raises Stopped when they are too many, SourceError when training or test, or a class in training, becomes empty.
    """
    gone = {a.id for a in aside}
    keep = np.array([e.id not in gone for e in task.examples], dtype=bool)
    every = (*task.aside, *aside)
    check_aside(every, len(task.examples) + len(task.aside))
    position = np.cumsum(keep) - 1
    parts = {name: position[rows[keep[rows]]].astype(np.int64) for name, rows in task.parts.items()}
    examples = tuple(e for e, kept in zip(task.examples, keep, strict=True) if kept)
    rest = replace(
        task, examples=examples, parts=parts, folds=None if task.folds is None else task.folds[keep], aside=every
    )
    _check_left(task, rest, aside)
    return rest


def _check_left(before: Task, after: Task, aside: Sequence[SetAside]) -> None:
    first = f"{aside[0].id}: {aside[0].reason}" if aside else ""
    for name in ("train", "test"):
        if len(before.parts[name]) and not len(after.parts[name]):
            raise SourceError(f"No example of the {name} part can be read (first: {first}).")
    if name_of(before.objective) != "classes":
        return
    least = 1 if after.folds is None else 2
    left: dict[str, set[int]] = defaultdict(set)
    for row in after.parts["train"]:
        left[str(after.examples[row].label)].add(int(row if after.folds is None else after.folds[row]))
    lost = sorted(
        {str(e.label) for e in before.part("train")} - {label for label, some in left.items() if len(some) >= least}
    )
    if lost:
        raise SourceError(
            f"Too few examples of {quoted(lost)} can be read (first: {first}). Mend them, or leave that class out."
        )
