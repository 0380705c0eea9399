"""The contract of pretexts/, by whose losses a backbone learns without labels, and the values its members are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from headstart.core.backbone import Preprocess
from headstart.core.task import Example
from headstart.pretraining.image_corpus import ImageCorpus

if TYPE_CHECKING:
    from torch import nn


class Pretext(Protocol):
    """A frozen dataclass `Settings` of at most 8 fields in its module, with `batch_size` among them; the module has
    SERVES, the kinds of data, and TEACHERS: "backbones", "models" (fitted ones), or "" where it needs none.

    One for texts also has STUDENT, the architecture where none is named, and BOTH_WAYS, whether attention may be
    bidirectional; its Settings have `max_length` and `vocabulary_size`.
    One with teachers has the field `views` and a method `policy_of()`, the augmentation policy of the stored views.
    Whatever the learner holds beside the student (projection heads, classifiers) is dropped at the end.
    """

    def learner(self, student: Student, corpus: Corpus) -> nn.Module:
        """A module that holds the student; its forward pass gives the loss of a batch of tensors, a scalar."""
        ...

    def draw(self, student: Student, corpus: Corpus, index: int) -> dict[str, np.ndarray]:
        """The batch of step `index`: a function of that number, the corpus and its seed alone. Called by threads."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """The network that learns, and what the card of its backbone folder will say.

    body:  a batch, {"pixels": (b, 3, h, w) float32} or {"input_ids", "attention_mask"}, -> embeddings (b, width)
    model: the library's own network, whose weights are kept at the end; body runs it
    spec:  how inputs are preprocessed
    format: of the backbone folder, "timm" or "transformers".  architecture, arguments: for timm's create_model
    """

    body: nn.Module
    model: nn.Module
    width: int
    spec: Preprocess
    format: str = "timm"
    architecture: str = ""
    arguments: dict = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class TeacherTargets:
    """What one teacher gives for every stored view. Rows in the order of views: all of view 1, then all of view 2 …

    rows: (views * n, d) float32, embeddings or a fitted model's logits; a memory map
    classifier: the teacher's own, (k, d) and (k,) float32, None where it has none
    """

    name: str
    rows: np.ndarray
    classifier: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Former name of `classifier`, for pretexts of other packages."""
        return self.classifier


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """The unlabelled corpus as a pretext reads it: decoded images, or token ids of texts one after the other.

    tokens: (t,) int32, a memory map.  starts: (m + 1,) int64 where each window of tokens begins
    pairs:  (n, 2) int64, which image and which caption belong together
    folder: where a pretext may keep files.  seed: of views and batches.  steps: of the whole run
    """

    images: ImageCorpus | None = None
    tokens: np.ndarray | None = None
    starts: np.ndarray | None = None
    pairs: np.ndarray | None = None
    teachers: tuple[TeacherTargets, ...] = ()
    folder: Path = Path()
    seed: int = 0
    steps: int = 1

    @property
    def pictures(self) -> ImageCorpus | None:
        """Former name of `images`, for pretexts of other packages."""
        return self.images

    def __len__(self) -> int:
        if self.pairs is not None:
            return len(self.pairs)
        if self.images is not None:
            return len(self.images)
        return len(self.starts) - 1 if self.starts is not None else 0


@dataclass(frozen=True, slots=True, eq=False)
class UnlabelledData:
    """Examples of one kind. counts: by the source's own name.  notes: plain sentences for the journal"""

    kind: str
    examples: tuple[Example, ...]
    counts: dict[str, int]
    notes: tuple[str, ...]
