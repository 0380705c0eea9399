"""What a run found out: numbers with their doubt, and what the guards saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

RESULT_SCHEMA = 2  # of result.json; 1 has the settings of methods under their former names, and is read


@dataclass(frozen=True, slots=True)
class Metric:
    """One number with its doubt.

    value, low, high: the figure and its interval at `level`
    chance:  what saying the commonest label (or the mean) without looking would score
    n:       examples behind it
    better:  which direction is good
    """

    name: str
    value: float
    low: float
    high: float
    chance: float
    n: int
    level: float = 0.95
    better: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a guard saw: `message` carries the number that shows it, `fix` what to type or to do."""

    guard: str
    level: Literal["note", "warn", "stop"]
    message: str
    fix: str = ""
    evidence: dict = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetAside:
    """An example that could not be read, and why, in words a user understands."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that nothing frozen moved: digests over every parameter and buffer below the cut, before and after.

    tensors:   how many were compared.  moved: names of those whose values changed
    agreement: smallest cosine between our rows of reference inputs and those by the library's own code; None where
    that was not asked: below the top, and where there is no library but us
    engine: what ran the network, and in which precision: "openvino bfloat16"; "" where nobody said
    """

    tensors: int
    moved: tuple[str, ...]
    digest_before: str
    digest_after: str
    agreement: float | None = None
    engine: str = ""
