"""What a backbone can be taught by without labels: the contract of pretexts/, and what its members are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from headstart.core.backbone import Preprocess
from headstart.pretraining.image_corpus import Pictures

if TYPE_CHECKING:
    from torch import nn
from typing import TYPE_CHECKING

from headstart.core.task import Example


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """The network that learns.

    body:  a batch, {"pixels": (b, 3, h, w) float32} or {"input_ids", "attention_mask"}, -> rows (b, width)
    model: the library's own network, whose weights are kept at the end; body reads it
    spec:  how inputs are prepared, which becomes part of its card
    """

    body: nn.Module
    model: nn.Module
    width: int
    spec: Preprocess


@dataclass(frozen=True, slots=True, eq=False)
class Teaching:
    """What one teacher says of every view. Rows in the order of views: all of view 1, then all of view 2 …

    rows:  (views * n, d) float32, a map.  head: its classifier, (k, d) and (k,) float32, None where it has none
    """

    name: str
    rows: np.ndarray
    head: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """What is learned from: pictures, or token ids of texts one after the other.

    tokens: (t,) int32, a map.  starts: (m + 1,) int64 where each text begins.  pairs: (picture, text) of each example
    folder: where a pretext may keep files.  seed: views and batches are drawn from it.  steps: of the whole run
    """

    pictures: Pictures | None = None
    tokens: np.ndarray | None = None
    starts: np.ndarray | None = None
    pairs: np.ndarray | None = None
    teachers: tuple[Teaching, ...] = ()
    folder: Path = Path()
    seed: int = 0
    steps: int = 1

    def __len__(self) -> int:
        if self.pairs is not None:
            return len(self.pairs)
        return (
            len(self.pictures) if self.pictures is not None else len(self.starts) - 1 if self.starts is not None else 0
        )


class Pretext(Protocol):
    """A frozen dataclass `Settings` of at most 8 fields in its module, with `batch` among them; the module has SERVES,
    the kinds of data, and TEACHERS: "backbones", "models", or "" where it needs none.

    One for texts also has STUDENT, what learns where none is named, and BOTH_WAYS, whether that may see later tokens;
    its Settings have `length` and `vocabulary`.
    Whatever the learner holds beside the student (projections, heads) is thrown away at the end.
    """

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """A module that holds the student; called with a batch of tensors it gives the loss, a scalar."""
        ...

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """The batch of step `index`: a function of that number, the corpus and its seed alone. Called by threads."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Making:
    """A student and what its card will say.

    form: of the backbone folder, "timm" or "transformers".  architecture, arguments: for the library that builds it
    """

    student: Student
    form: str
    architecture: str
    arguments: dict
    start: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Examples of one kind. counts: by the source's own name.  notes: plain sentences"""

    kind: str
    examples: tuple[Example, ...]
    counts: dict[str, int]
    notes: tuple[str, ...]
