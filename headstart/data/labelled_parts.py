"""The examples of the parts once it is known what their labels mean: who has no tag, and who a label nobody learns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from headstart.core.errors import SourceError
from headstart.core.input_contract import InputContract
from headstart.core.messages import join_quoted
from headstart.core.result import SetAside
from headstart.core.task import Objective
from headstart.data.contents import Parts, Reading
from headstart.data.infer_objective import LabelReading
from headstart.data.label_values import NO_LABEL
from headstart.data.objectives import tags
from headstart.data.split_names import assign_parts, part_of


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


def drop_unknown_labels(parts: Parts, objective: Objective) -> tuple[Parts, list[SetAside], list[str]]:
    """The parts less the held-out examples whose label no training example has."""
    known = set(objective.facts().get("names", ()))
    if not known:
        return parts, [], []
    learnable: Parts = {}
    aside: list[SetAside] = []
    counts: Counter[str] = Counter()  # of examples by their unknown label
    for part, examples in parts.items():
        learnable[part] = []
        for example in examples:
            unknown = [name for name in _label_names(example.label, objective) if name not in known]
            if unknown:
                counts[unknown[0]] += 1
                aside.append(SetAside(example.id, f"{unknown[0]!r} has no training example"))
            else:
                learnable[part].append(example)
        if examples and not learnable[part]:
            raise SourceError(
                f"No label of the {part} part is in the training part: {join_quoted(counts)} there, "
                f"{join_quoted(sorted(known))} here."
            )
    note = "{} held-out examples of {!r} are set aside: it has no training example."
    return learnable, aside, [note.format(n, name) for name, n in counts.items()][:10]


def _label_names(label: object, objective: Objective) -> Sequence[str]:
    return tags.tag_names(label) if objective.link == "sigmoid" else objective.strata([label])
