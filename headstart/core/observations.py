"""What a guard is: it looks at one kind of value between two stages and says what it found.

One silent bug each, one file each in guards/, with `watches` (the type it looks at) and
`look(value) -> Iterator[Finding]`. A finding of level "stop" ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from headstart.core.features import Features
from headstart.core.plan import Plan
from headstart.core.result import Metric, Receipt
from headstart.core.task import Objective, Task


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What extraction gave, for the guards that look at features.

    beyond:  (n,) float32, share of each example's text beyond one window
    receipt: None where no network is below the cut
    stale:   rows of the cache that were no longer what was written, and were made again
    """

    task: Task
    plan: Plan
    parts: dict[str, Features]
    beyond: np.ndarray
    receipt: Receipt | None
    stale: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Surveyed:
    """What the frozen backbone sees in the data, whatever is trained, for the guards that look at the data through it.

    parts:    of the task, (n, d) float32 at the top of the backbone
    previews: positions in task.examples -> JPEG thumbnails, b"" where there are none, as of texts
    glances:  of task.examples, of each photo without any network; None where they are no photos
    """

    task: Task
    plan: Plan
    parts: dict[str, Features]
    previews: Callable[[Sequence[int]], list[bytes]]
    glances: Glances | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Referenced:
    """Examples of a task that a reference holds too, such as what a backbone was trained on.

    reference: as it was named, with n examples
    found:     (id in the task, id in the reference, likeness), 1 for equal bytes; each of the task's once
    """

    task: Task
    reference: str
    n: int
    found: tuple[tuple[str, str, float], ...]


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


@dataclass(frozen=True, slots=True, eq=False)
class Glances:
    """Of n photos. Those that have no thumbnail are all zeros.

    prints: (n,) uint64 fingerprints.  colour: (n, 3) float32 mean red, green and blue, 0 to 255
    size:   (n, 2) int32 width and height as stored.  bytes: (n,) int64 of the file
    """

    prints: np.ndarray
    colour: np.ndarray
    size: np.ndarray
    bytes: np.ndarray
