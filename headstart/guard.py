"""What a guard is: it looks at one kind of value between two stages and says what it found.

One silent bug each, one file each in guards/, with `watches` (the type it looks at) and
`look(value) -> Iterator[Finding]`. A finding of level "stop" ends the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from headstart.errors import Stopped
from headstart.features import Features
from headstart.find import members
from headstart.plan import Plan
from headstart.result import Finding, Metric, Receipt
from headstart.task import Objective, Task


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What extraction gave, for the guards that look at features.

    beyond:  (n,) float32, share of each example's text beyond one window
    receipt: None where no network is below the cut
    """

    task: Task
    plan: Plan
    parts: dict[str, Features]
    beyond: np.ndarray
    receipt: Receipt | None


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What training gave, for the guards that look at how it went. notes: of what was fitted"""

    task: Task
    plan: Plan
    notes: dict


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What measuring gave, for the guards that look at results; the headline metric is first."""

    task: Task
    plan: Plan
    objective: Objective
    metrics: tuple[Metric, ...]
    baselines: dict[str, float | None]
    details: dict


def look(value: object) -> Iterator[Finding]:
    """What every guard for this type of value finds, by name of guard."""
    for guard in members("guards"):
        if isinstance(value, guard.watches):
            yield from guard.look(value)


def halt(findings: list[Finding]) -> None:
    """Raises Stopped with every "stop" finding and its fix, if there is one."""
    stops = [f for f in findings if f.level == "stop"]
    if stops:
        raise Stopped("\n".join(f"[{f.guard}] {f.message}" + (f"\n  fix: {f.fix}" if f.fix else "") for f in stops))
