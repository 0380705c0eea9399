"""The values between two stages of a run that guards look at.

A guard watches for one silent bug, one file each in guards/, with `watches` (the type it looks at) and
`look(value) -> Iterator[Finding]`. A finding of level "stop" ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from headstart.core.features import Features
from headstart.core.plan import Plan
from headstart.core.result import Metric, Receipt
from headstart.core.task import Objective, Task


@dataclass(frozen=True, slots=True, eq=False)
class Extraction:
    """A task and its features at the plan's cut.

    beyond:  (n,) float32, share of each example's text beyond one window
    receipt: None where no network is below the cut
    stale:   cached rows that were no longer what was written, and were computed again
    """

    task: Task
    plan: Plan
    parts: dict[str, Features]
    beyond: np.ndarray
    receipt: Receipt | None
    stale: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class PictureDepth:
    """How many bits pictures have, from a sample of those that are learned from.

    looked: (label, whether it has more than 8 bits a channel) of each
    range:  (black, white) of those that have, in their own numbers; None where there are none
    used:   their numbers, without the outermost pixels and pictures.  found: with these
    whole:  whether they are whole numbers
    """

    looked: tuple[tuple[object, bool], ...]
    range: tuple[float, float] | None = None
    used: tuple[float, float] = (0.0, 0.0)
    found: tuple[float, float] = (0.0, 0.0)
    whole: bool = True

    @property
    def deep(self) -> int:
        """How many have more than 8 bits."""
        return sum(deep for _, deep in self.looked)


@dataclass(frozen=True, slots=True, eq=False)
class ImageStats:
    """Of n photos, without any network. Those that have no thumbnail are all zeros.

    prints: (n,) uint64 difference hashes.  colour: (n, 3) float32 mean red, green and blue, 0 to 255
    size:   (n, 2) int32 width and height as stored.  bytes: (n,) int64 of the file
    copies: (m, 2) int64 positions of copies of one another, however mirrored, turned, cropped or recoloured; of several
        photos of equal bytes only the first is looked at.  likeness: (m,) float32 of each pair, at most 1
    """

    prints: np.ndarray
    colour: np.ndarray
    size: np.ndarray
    bytes: np.ndarray
    copies: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    likeness: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class DataSurvey:
    """A task and its embeddings by the frozen backbone, whatever is trained.

    parts:       of the task, (n, d) float32 at the top of the backbone
    thumbnails:  positions in task.examples -> JPEG thumbnails, b"" where there are none, as of texts
    image_stats: of task.examples; None where they are no photos
    """

    task: Task
    plan: Plan
    parts: dict[str, Features]
    thumbnails: Callable[[Sequence[int]], list[bytes]]
    image_stats: ImageStats | None = None

    @property
    def previews(self) -> Callable[[Sequence[int]], list[bytes]]:
        """Former name of `thumbnails`, for guards of other packages."""
        return self.thumbnails

    @property
    def glances(self) -> ImageStats | None:
        """Former name of `image_stats`, for guards of other packages."""
        return self.image_stats


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceOverlap:
    """Examples of a task that a reference data set holds too, such as what a backbone was trained on.

    reference: as it was named, with n examples
    matches:   (id in the task, id in the reference, similarity), 1 for equal bytes; each of the task's once
    """

    task: Task
    reference: str
    n: int
    matches: tuple[tuple[str, str, float], ...]

    @property
    def found(self) -> tuple[tuple[str, str, float], ...]:
        """Former name of `matches`, for guards of other packages."""
        return self.matches


@dataclass(frozen=True, slots=True, eq=False)
class TrainingOutcome:
    """How the training of a plan went. notes: those of the Fitted"""

    task: Task
    plan: Plan
    notes: dict


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The metrics of a plan on the test part, headline first, with those of simple baselines."""

    task: Task
    plan: Plan
    objective: Objective
    metrics: tuple[Metric, ...]
    baselines: dict[str, float | None]
    details: dict
