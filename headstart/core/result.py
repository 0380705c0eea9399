"""What a run found out: numbers with their doubt, and what the guards saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from headstart.core.errors import ArtifactError
from headstart.core.schema import Rule, check, items, load_json, record, shorten, table

RESULT = "result.json"
RESULT_SCHEMA = 2  # of result.json; 1 has the settings of methods under their former names, and is read
PREDICTION_COLUMNS = ("id", "label", "predicted", "confidence")  # of predictions.csv


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


MAX_RESULT_BYTES = 1 << 30  # of result.json; that of 10,000 classes has 100 MB
MAX_RESULT_ITEMS = 100_000_000
REFIT = "Run the fit again."


def _unless_none(rule: Rule) -> Rule:
    """Pages leave out what is missing, were it null."""
    return lambda value: "" if value is None else rule(value)


def _is_a(*kinds: type) -> Rule:
    words = " or ".join(kind.__name__ for kind in kinds)
    return _unless_none(lambda value: "" if type(value) in kinds else f" is {shorten(value)}, not {words}")


TEXT = _is_a(str)
figure = _is_a(int, float)  # a number, were it NaN, or None where it is not known
OBJECT = _is_a(dict)
FIGURES = _unless_none(table(figure, 1000, TEXT))
OBJECTS = _unless_none(items(OBJECT, MAX_RESULT_ITEMS))
METRIC = record({}, {"value": figure, "low": figure, "high": figure, "n": figure, "better": TEXT}, others=True)
TASK = record({}, {"kind": TEXT, "objective": TEXT, "n": FIGURES}, others=True)
# The outline of result.json, by which pages, cards and comparisons find their way.
RESULT_RULE = record(
    {},
    {
        "task": _unless_none(TASK),
        "plan": _unless_none(record({}, {"method": TEXT, "backbone": TEXT}, others=True)),
        "backbone": _unless_none(record({}, {"name": TEXT}, others=True)),
        "metrics": _unless_none(table(_unless_none(METRIC), 1000, TEXT)),
        "verdict": TEXT,
        "head": OBJECT,
        "params": OBJECT,
        "bytes": FIGURES,
        "seconds": FIGURES,
        "findings": OBJECTS,
        "details": OBJECT,
        "aside": OBJECTS,
        "mistakes": OBJECTS,
    },
    others=True,
)


def load_result(file: Path) -> dict:
    """A result.json. Raises ArtifactError where it cannot be read, is damaged, or is of a later version."""
    result = load_json(file, record({}, others=True), REFIT, max_bytes=MAX_RESULT_BYTES, max_items=MAX_RESULT_ITEMS)
    schema = result.get("schema")
    if type(schema) is not int or not 1 <= schema <= RESULT_SCHEMA:
        said = f"says schema {shorten(schema)}; this version reads 1 to {RESULT_SCHEMA}"
        raise ArtifactError(f"{file} {said}. Use the version of Headstart that wrote it.")
    check(result, RESULT_RULE, str(file), REFIT)
    return result
