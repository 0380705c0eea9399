"""What a user may ask of `distill` and `pretrain`, and the plan of a run, built once from that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from headstart.core.options import option
from headstart.core.schema import anything, boolean, either, items, number, one_of, record, table, text, whole
from headstart.core.settings import current_name

OPTIONAL = {"statistics": False, "data": ""}  # left out of the JSON at these values, as earlier versions did


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillOptions:
    """Who teaches, and what is learned from them."""

    teachers: Sequence[str] = option((), "Backbones that teach, or folders of fitted models for logits.", flag=False)
    pretext: str = option("features", "features: the teachers' embeddings. logits: a fitted model's answers.")
    rate: float = option(2e-3, "Learning rate at its height.")
    statistics: bool = option(False, "Give the floor's hand-made numbers of a photo too.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretextOptions:
    """By which pretext a network learns without labels and without teachers."""

    pretext: str = option("", "simclr or contrastive (photos), masked or nexttoken (texts).", flag=False)
    rate: float = option(1e-3, "Learning rate at its height.")
    label: str | None = option(None, "contrastive: the column with the captions.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentOptions:
    """What learns, from which column, and for how long."""

    student: str = option(
        "auto",
        "What learns: an architecture, or FAMILY:NAME of a backbone to go on from; distill, on texts: static.",
    )
    settings: Mapping[str, str] | None = option(
        None, "A setting of the pretext, as KEY=VALUE; may be repeated.", flag="--set"
    )
    steps: int = option(4000, "Optimizer steps.", minimum=1)
    side: int = option(128, "Pixels of the student's input, a multiple of 32.")
    seed: int = option(0, "Weights, views and batches are drawn from it.")
    input: str | None = option(None, "The column of tables with the texts, images or paths.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Where the run lies and how it is watched."""

    into: str | Path | None = option(None, "The run's folder. An unfinished run in it goes on where it stood.")
    probe: object = option(None, "Labelled data on which a linear probe is scored ten times on the way.")
    restart: bool = option(False, "Forget an unfinished run in the folder.")
    root: Path | None = option(None, "The cache folder; the user's where none is named.", flag=False)
    echo: Callable[[dict], None] | None = option(None, "Called with every event of the journal.", flag=False)


@dataclass(frozen=True, slots=True)
class PretrainPlan:
    """What makes a run the run that it is; as JSON it stands in its checkpoint and on the backbone's card.

    pretext:  a member of pretexts/.  settings: its settings, as text
    student:  an architecture, "FAMILY:NAME" of a backbone to go on from, "static", or "auto"
    steps:    of the optimizer.  rate: peak learning rate.  side: pixels of the student's input
    teachers: names of backbones, or folders of fitted models.  input, label: columns of tables
    statistics: whether the backbone gives the floor's hand-made image statistics too
    data:     digest of the corpus, "" before it is read
    """

    pretext: str
    student: str
    steps: int
    rate: float
    side: int
    seed: int
    settings: Mapping[str, str] = field(default_factory=dict)
    teachers: tuple[str, ...] = ()
    input: str | None = None
    label: str | None = None
    statistics: bool = False
    data: str = ""

    def facts(self) -> dict:
        """As JSON."""
        facts = {f.name: getattr(self, f.name) for f in fields(self)}
        facts |= {"settings": dict(self.settings), "teachers": list(self.teachers)}
        return {name: value for name, value in facts.items() if name not in OPTIONAL or value != OPTIONAL[name]}

    def differences(self, stored: PretrainPlan) -> list[str]:
        """In words, where an unfinished run's plan says other than this one; the data are compared apart."""
        then = stored.facts()
        return [
            f"{name}: {then.get(name)!r} then, {value!r} now"
            for name, value in self.facts().items()
            if name != "data" and then.get(name) != value
        ]


TEXT = text(10_000)
OPTIONAL_TEXT = either(one_of(None), TEXT)
RULE = record(  # of facts()
    {
        "pretext": TEXT,
        "student": TEXT,
        "steps": whole(1, 1 << 40),
        "rate": number(0.0, 1e6),
        "side": whole(1, 1 << 20),
        "seed": whole(0, 1 << 80),
        "settings": table(anything, 1000),
        "teachers": items(TEXT, 1000),
    },
    {"input": OPTIONAL_TEXT, "label": OPTIONAL_TEXT, "statistics": boolean, "data": TEXT},
    others=True,
)


def make_plan(options: DistillOptions | PretextOptions, student: StudentOptions) -> PretrainPlan:
    """The plan of what was asked for."""
    chosen = {f.name: getattr(group, f.name) for group in (options, student) for f in fields(group)}
    settings, teachers = dict(student.settings or {}), tuple(chosen.get("teachers", ()))
    return PretrainPlan(**{**chosen, "settings": settings, "teachers": teachers})


def restore(facts: Mapping, of_pretext: type) -> PretrainPlan:
    """The plan that `facts()` wrote, by this version or an earlier one with former names of settings.

    of_pretext: the Settings class of its pretext
    """
    known = {f.name for f in fields(PretrainPlan)}
    settings = {current_name(of_pretext, name): value for name, value in facts["settings"].items()}
    stored = {name: value for name, value in facts.items() if name in known}
    return PretrainPlan(**{**stored, "settings": settings, "teachers": tuple(facts["teachers"])})
