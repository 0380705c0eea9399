"""What is to be learned: the examples, their labels, and who may see which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from headstart.core.input_contract import InputContract
from headstart.core.result import Metric, SetAside


@dataclass(frozen=True, slots=True)
class TableCell:
    """Where the raw bytes of an example lie: row `index` (from 0) of `column` in a Parquet file.

    column: "image" for the Hugging Face layout (its `bytes`), or a plain binary column
    """

    table: Path
    index: int
    column: str


@dataclass(frozen=True, slots=True)
class Example:
    """One thing with a label.

    id:      unique in its task and stable between runs, e.g. "cat/012.jpg", "train.parquet:17"
    content: a file, a row of a table, raw bytes held in memory, or the text itself
    digest:  name of its bytes, taken once, by the reader; equal bytes, equal digest
    label:   as its owner writes it ("cat", 3.5, ("a", "b")); None when it is to be predicted
    group:   examples of one group never stand on two sides of a split; "" = alone
    """

    id: str
    content: Path | TableCell | bytes | str
    digest: str
    label: object
    group: str = ""


class Objective(Protocol):
    """What a label means. One file each in objectives/.

    The module also has: fits(labels) -> bool, of(labels) -> Objective, restore(facts: dict) -> Objective.
    link: how scores become predictions: softmax over classes, a sigmoid a tag, or the number itself
    width: k, the numbers a head must give for one example
    """

    @property
    def link(self) -> Literal["softmax", "sigmoid", "identity"]:
        """How scores become predictions."""

    @property
    def width(self) -> int:
        """Numbers a head gives per example."""

    def facts(self) -> dict:
        """JSON from which the module's `restore` makes an equal objective."""

    def strata(self, labels: Sequence) -> list:
        """n sortable keys; a split keeps their shares. A class is its own; a number falls into a bin."""

    def encode(self, labels: Sequence) -> np.ndarray:
        """(n,) or (n, k)"""

    def targets(self, y: np.ndarray) -> np.ndarray:
        """(n, k) float32, what a least-squares head should hit"""

    def loss(self, scores, y):
        """Mean over the batch. Torch in, torch out, so it imports torch itself."""

    def score(self, scores: np.ndarray, y: np.ndarray) -> float:
        """The one number to choose by; larger is better."""

    def measure(self, scores: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[Metric, ...]:
        """The numbers to report, headline first, each with its interval and its chance level."""

    def details(self, scores: np.ndarray, y: np.ndarray) -> dict:
        """JSON for the report: confusion, per-class table, reliability … whatever this kind of label has."""

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(n, k): scores through the link"""

    def decode(self, scores: np.ndarray) -> list:
        """n labels as their owner writes them"""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Examples, what their labels mean, and a split.

    kind:   names a file in preprocess/: "image", "text", "vector"
    parts:  "train", "val", "test" -> disjoint (n_part,) int64 indices into `examples`
    folds:  (n,) int64 fold of each example when the test is k-fold cross-validation (then "test" is empty), else None
    notes:  what was inferred and why, one plain sentence each
    aside:  what could not be read
    contract: how the examples were read; None where nobody says
    """

    kind: str
    objective: Objective
    examples: tuple[Example, ...]
    parts: dict[str, np.ndarray]
    folds: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    aside: tuple[SetAside, ...] = field(default=())
    contract: InputContract | None = None

    def part(self, name: str) -> list[Example]:
        """The examples of one part, in order."""
        return [self.examples[i] for i in self.parts[name]]
