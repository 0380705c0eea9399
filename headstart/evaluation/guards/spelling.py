"""Classes or tags that are one in several spellings: each is learned from a part, and half of the answers are wrong."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from headstart.core.messages import join_plain
from headstart.core.plugins import name_of
from headstart.core.result import Finding
from headstart.core.task import Task
from headstart.data.label_spelling import groups_alike, likely_slips, shown
from headstart.data.labelled_parts import label_names

watches = Task
MAX_SHOWN = 24
MAX_TOLD = 3  # groups in the message


def look(value: Task) -> Iterator[Finding]:
    """Warns of names that differ in spelling only; notes rare ones that are a letter away from a frequent one."""
    if name_of(value.objective) not in ("classes", "tags"):
        return
    counts, n = count_names(value), len(value.examples)
    alike = groups_alike(counts)
    if alike:
        split = sum(sum(some) - max(some) for group in alike if (some := [counts[name] for name in group]))
        told = "; ".join(" = ".join(f"{shown(name)} ({counts[name]:,})" for name in g[:6]) for g in alike[:MAX_TOLD])
        noun = "classes" if name_of(value.objective) == "classes" else "tags"
        message = (
            f"{sum(map(len, alike)):,} {noun} look like {len(alike):,} in several spellings: "
            f"{told}{' …' if len(alike) > MAX_TOLD else ''}. Each is learned apart from the others, and an answer in "
            f"another spelling counts as wrong: {split:,} of {n:,} examples ({split / n:.1%}) are in the rarer ones."
        )
        fix = "add --merge alike, or write a cleaned list: headstart check DATA --fix FOLDER"
        if len(counts) - sum(len(group) - 1 for group in alike) < 2:
            fix = "correct the labels: merged, they would be one class only"
        evidence = {"groups": [{name: counts[name] for name in group} for group in alike[:50]], "share": split / n}
        yield Finding("spelling", "warn", message, fix, {"examples": _one_of_each(value, alike), **evidence})
    near = likely_slips(counts, alike)
    if near:
        told = join_plain((f"{shown(a)} ({counts[a]:,}) and {shown(b)} ({counts[b]:,})" for a, b in near), MAX_TOLD)
        message = f"A rare class is one letter away from a frequent one, perhaps by a slip: {told}."
        groups = ";".join(f"{_typed(b)},{_typed(a)}" for a, b in near[:MAX_TOLD] if ";" not in a + b)
        fix = f"if it is one, add --merge {shlex.quote(groups)}" if groups else "if it is one, correct it"
        shown_examples = _one_of_each(value, [[b, a] for a, b in near])
        yield Finding("spelling", "note", message, fix, {"examples": shown_examples, "slips": dict(near[:50])})


def count_names(task: Task) -> Counter[str]:
    """How many examples each class or tag has, in all parts."""
    return Counter(name for example in task.examples for name in label_names(example.label))


def one_spelling(task: Task) -> Mapping[str, str]:
    """The rarer spellings of each class or tag -> the commonest; none where fewer than two classes would be left."""
    counts = count_names(task) if name_of(task.objective) in ("classes", "tags") else Counter()
    alike = groups_alike(counts)
    if len(counts) - sum(len(group) - 1 for group in alike) < 2:
        return {}
    return {name: group[0] for group in alike for name in group[1:]}


def slips(task: Task) -> list[tuple[str, str]]:
    """(rare name, frequent name) of classes or tags a letter apart."""
    counts = count_names(task) if name_of(task.objective) in ("classes", "tags") else Counter()
    return likely_slips(counts, groups_alike(counts))


def _typed(name: str) -> str:
    """A name as --merge takes it."""
    plain = shown(name)[1:-1]
    return f'"{plain}"' if "," in plain else plain


def _one_of_each(task: Task, groups: Sequence[Sequence[str]]) -> list[dict]:
    """For the page: an example of a group's commonest name beside one of each other."""
    wanted = {name for group in groups[:MAX_SHOWN] for name in group}
    first: dict[str, str] = {}
    for example in task.examples:
        for name in wanted.intersection(label_names(example.label)):
            first.setdefault(name, example.id)
    pairs = [(group[0], name) for group in groups for name in group[1:] if name in first and group[0] in first]
    return [{"id": first[b], "with": first[a], "text": f"{shown(b)}, and {shown(a)}"} for a, b in pairs[:MAX_SHOWN]]
