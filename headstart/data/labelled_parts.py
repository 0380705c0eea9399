"""The examples of the parts once it is known what their labels mean: names that are one, and labels nobody learns."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from headstart.core.errors import SourceError
from headstart.core.input_contract import InputContract
from headstart.core.messages import did_you_mean, join_plain, join_quoted
from headstart.core.result import SetAside
from headstart.core.task import Example, Objective
from headstart.data.contents import Parts, Reading
from headstart.data.infer_objective import LabelReading
from headstart.data.label_spelling import composed, groups_alike, known_alike, shown
from headstart.data.label_values import NO_LABEL
from headstart.data.objectives import tags
from headstart.data.objectives.classes import class_name
from headstart.data.split_names import assign_parts, part_of

MANY = 0.1  # of the inputs stand in several rows: then that is how the data are laid out


def completed_contract(main: Reading, meaning: LabelReading) -> InputContract:
    """The contract with what became of the labels."""
    contract = main.contract or InputContract(kind=main.kind)
    written = {name: getattr(meaning.numbers, name) for name in ("decimal", "thousands", "unit") if meaning.numbers}
    return replace(contract, label=main.column, label_type=meaning.module.__name__.rpartition(".")[2], **written)


def with_untagged(parts: Parts, main: Reading, aside: list[SetAside]) -> tuple[Parts, list[SetAside], list[str]]:
    """The parts with the examples whose cell of tags is empty, which have none; not where empty lists say so."""
    if any(e.label == () for examples in main.examples.values() for e in examples):
        return parts, aside, []
    assigned = {"": "train"} if set(main.examples) <= {""} else assign_parts(main.examples)
    more = {e.id for examples in main.unlabelled.values() for e in examples}
    parts = dict(parts)
    for name, examples in main.unlabelled.items():
        part = assigned.get(name, "train" if part_of(name) == "train" else "")
        if part in parts:
            parts[part] = [*parts[part], *(replace(e, label=()) for e in examples)]
            continue
        more -= {e.id for e in examples}
    kept = [a for a in aside if a.id not in more or a.reason != NO_LABEL]
    return parts, kept, [f"{len(aside) - len(kept):,} examples have no tag: their cell is empty."]


def with_composed_labels(parts: Parts) -> tuple[Parts, list[str]]:
    """The parts with labels and groups in Unicode's form NFC: what is equal to Unicode is one; and a note on labels."""
    if not all(e.group.isascii() for part in parts.values() for e in part):
        parts = {name: [replace(e, group=composed(e.group)) for e in part] for name, part in parts.items()}
    written: Counter[str] = Counter(
        n for part in parts.values() for e in part for n in _words(e.label) if not n.isascii()
    )
    changed = {name: composed(name) for name in written if composed(name) != name}
    if not changed:
        return parts, []
    both = {new: (written[new], written[old]) for old, new in changed.items() if new in written}
    notes = [
        f"{new!r} is written in two forms of Unicode, {n:,} and {m:,} times: they are one."
        for new, (n, m) in list(both.items())[:5]
    ]
    if len(changed) > len(both):
        notes.append(f"{len(changed) - len(both):,} labels were written in Unicode's form NFD; here they are NFC.")
    return relabelled(parts, changed), notes


def with_merged_labels(parts: Parts, merge: str | None, objective: str) -> tuple[Parts, list[str]]:
    """The parts with classes or tags joined, each under the name that is commonest in training; and notes.

    merge: as of DataOptions.  objective: its name
    Raises SourceError for a name that no example has, or where labels are numbers.
    """
    if merge is None:
        return parts, []
    if objective not in ("classes", "tags"):
        raise SourceError("--merge joins classes or tags, and these labels are numbers. Leave it out.")
    counts: Counter[str] = Counter(n for e in parts.get("train", ()) for n in label_names(e.label))
    counts.update(dict.fromkeys((n for part in parts.values() for e in part for n in label_names(e.label)), 0))
    joined: dict[str, str] = {}
    notes = []
    for names in _groups(merge, counts):
        first, *others = dict.fromkeys(joined.get(n, n) for n in names)
        joined = {old: first if new in others else new for old, new in joined.items()} | dict.fromkeys(others, first)
        told = join_plain((f"{shown(n)} ({counts[n]:,})" for n in others), 10)
        notes.append(f"Merged into {shown(first)} ({counts[first]:,} to learn from): {told}.")
    if not notes:
        notes = ["--merge alike: no two names differ in spelling only."]
    more = [f"{len(notes) - 10:,} further groups were merged."] if len(notes) > 10 else []
    return relabelled(parts, joined), notes[:10] + more


def relabelled(parts: Parts, new_names: Mapping[str, str]) -> Parts:
    """The parts with other names of classes or tags."""
    if not new_names:
        return parts
    change = renaming(new_names)
    return {
        part: [e if (new := change(e.label)) is e.label else replace(e, label=new) for e in examples]
        for part, examples in parts.items()
    }


def renaming(new_names: Mapping[str, str]) -> Callable[[object], object]:
    """Gives a label, or a list of tags, with other names; the very same one where none of its names changes."""

    def change(label: object) -> object:
        names = label_names(label)
        if not any(n in new_names for n in names):
            return label
        new = dict.fromkeys(new_names.get(n, n) for n in names)
        return tuple(new) if isinstance(label, tuple | list) else next(iter(new))

    return change


def label_names(label: object) -> tuple[str, ...]:
    """The names in a label: of its class, or of its tags."""
    return tags.tag_names(label) if isinstance(label, tuple | list) else (class_name(label),)


def _words(label: object) -> tuple[str, ...]:
    return (label,) if isinstance(label, str) else tags.tag_names(label) if isinstance(label, tuple | list) else ()


def _groups(merge: str, counts: Mapping[str, int]) -> Iterable[list[str]]:
    """The groups of names in "Dog,dog;Cat,CAT", each name as it stands in the data; of "alike" those that look it."""
    typed = {shown(name)[1:-1]: name for name in counts}
    for text in filter(str.strip, merge.split(";")):
        if text.strip().lower() == "alike":
            yield from groups_alike(counts)
            continue
        names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True)) if name.strip()]
        if len(set(names)) < 2:
            raise SourceError(
                f'--merge {text.strip()!r} names one class. Two are the least, as in --merge "Dog,dog"; several groups '
                "have ; between them, and alike merges all that differ in spelling only."
            )
        group = [n if n in counts else typed.get(n, composed(n)) for n in names]
        for name in group:
            if name not in counts:
                hint = did_you_mean(name, counts) or f" There are: {join_quoted(sorted(counts), 10)}."
                raise SourceError(f"--merge: no example has the label {name!r}.{hint}")
        yield sorted(group, key=lambda n: (-counts[n], n))


def with_joined_tags(parts: Parts) -> tuple[Parts, list[str]]:
    """The parts with one example for all rows of one input, which has the tags of each, as where a row is a tag."""
    joined: Parts = {}
    count = 0
    for part, examples in parts.items():
        rows: dict[str, list[Example]] = {}
        for example in examples:
            rows.setdefault(example.digest, []).append(example)
        several = {d for d, same in rows.items() if len({tags.tag_names(e.label) for e in same}) == len(same) > 1}
        if len(several) < MANY * len(rows):
            joined[part] = examples
            continue
        count += sum(len(rows[d]) - 1 for d in several)
        kept: list[Example] = []
        for mark, same in rows.items():
            union = tuple(dict.fromkeys(tag for e in same for tag in tags.tag_names(e.label)))
            kept += [replace(same[0], label=union)] if mark in several else same
        joined[part] = kept
    notes = [f"{count:,} rows have the input of another row and other tags: they were joined to one example."]
    return joined, notes if count else []


def check_one_label_each(parts: Parts, column: str) -> None:
    """Raises SourceError where many inputs stand in several rows, with another label in each."""
    labels: dict[str, set[str]] = {}
    rows: Counter[str] = Counter()
    for examples in parts.values():
        for example in examples:
            if example.digest:
                rows[example.digest] += 1
                labels.setdefault(example.digest, set()).add(str(example.label))
    several = sum(len(found) == rows[mark] > 1 for mark, found in labels.items())
    if several >= max(3, MANY * len(labels)):
        raise SourceError(
            f"{several:,} of {len(labels):,} inputs stand in several rows, with another value of {column!r} in each. "
            "Say --task tags where an input has all of its labels, --task classes where only one is right."
        )


def drop_unknown_labels(parts: Parts, objective: Objective) -> tuple[Parts, list[SetAside], list[str]]:
    """The parts less the held-out examples whose label no training example has."""
    known = set(objective.facts().get("names", ()))
    if not known:
        return parts, [], []
    names = {n for part in parts.values() for e in part for n in _label_names(e.label, objective)} - known
    alike = known_alike(sorted(names), sorted(known))
    learnable: Parts = {}
    aside: list[SetAside] = []
    counts: Counter[str] = Counter()  # of examples by their unknown label
    for part, examples in parts.items():
        learnable[part] = []
        for example in examples:
            unknown = [name for name in _label_names(example.label, objective) if name in names] if names else []
            if unknown:
                counts[unknown[0]] += 1
                aside.append(SetAside(example.id, _why_unknown(unknown[0], alike)))
            else:
                learnable[part].append(example)
        if examples and not learnable[part]:
            some, other = next(iter(alike.items()), ("", ""))
            told = f" {shown(some)} and {shown(other)} differ in spelling only: add --merge alike." if other else ""
            raise SourceError(
                f"No label of the {part} part is in the training part: {join_plain(map(shown, counts))} there, "
                f"{join_plain(map(shown, sorted(known)))} here.{told}"
            )
    few = list(counts.items())[:10]
    return learnable, aside, [f"{n:,} held-out examples are set aside: {_why_unknown(name, alike)}." for name, n in few]


def _why_unknown(name: str, alike: Mapping[str, str]) -> str:
    lacks = f"{shown(name)} has no training example"
    if name not in alike:
        return lacks
    return f"{lacks}, {shown(alike[name])} has, which differs in spelling only: add --merge alike"


def _label_names(label: object, objective: Objective) -> Sequence[str]:
    return tags.tag_names(label) if objective.link == "sigmoid" else objective.strata([label])
