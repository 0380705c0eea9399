"""Inputs to check and to quantize an exported model on: its witness, and its run's data where they are still there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from headstart.core.errors import HeadstartError, Unreadable
from headstart.core.files import read_json
from headstart.core.input_contract import restore
from headstart.core.options import DataOptions
from headstart.core.plan import Model
from headstart.core.result import PREDICTION_COLUMNS
from headstart.core.spreadsheet import read_csv
from headstart.core.task import Example
from headstart.data.contents import iter_contents
from headstart.data.read import read_source
from headstart.deployment import witness_replay
from headstart.deployment.card_file import WITNESS

MAX_HELD_OUT = 400  # held-out inputs that judge a quantized model: one changed answer is a quarter of a point


def witness_inputs(model: Model) -> list[bytes | str]:
    """The inputs stored with the model: file bytes, or texts."""
    stored = witness_replay.read(model.folder / WITNESS, model.objective, model.facts["schema"])
    return witness_replay.stored_inputs(witness_replay.without_costly(stored, model), model.facts["kind"])


def held_out_inputs(model: Model) -> tuple[list[str], list[bytes | str]]:
    """(labels, inputs) of the run's test part, at most MAX_HELD_OUT; nothing where its data are gone."""
    source, labels = _run_data(model)
    labels = dict(list(labels.items())[:: max(1, len(labels) // MAX_HELD_OUT)])
    inputs = dict(_read_inputs(source, set(labels), model)) if source and labels else {}
    return [labels[id] for id in inputs], list(inputs.values())


def training_inputs(model: Model, limit: int) -> tuple[list[bytes | str], str]:
    """At most `limit` inputs outside the run's test part, and what they are; the witness where its data are gone."""
    source, test_labels = _run_data(model)
    if source is None or not test_labels:
        return witness_inputs(model), "inputs of the witness"
    ids = [e.id for e in _examples(source, model)]
    ids = [id for id in ids if id not in test_labels]
    sample = np.random.default_rng(0).permutation(len(ids))[:limit]
    inputs = dict(_read_inputs(source, {ids[i] for i in sample}, model))
    return (list(inputs.values()), "training inputs") if inputs else (witness_inputs(model), "inputs of the witness")


def _run_data(model: Model) -> tuple[Path | None, dict[str, str]]:
    """The source of the model's run, None where it is gone; and the test part's labels by id."""
    run = model.folder.parent
    facts, file = read_json(run / "result.json"), run / "predictions.csv"
    source = Path(str((facts or {}).get("source") or "/nothing/there"))
    if not facts or not file.is_file() or not source.exists():
        return None, {}
    rows = read_csv(file, PREDICTION_COLUMNS, f"Delete it, to calibrate on the witness alone: {file}.")
    return source, {row["id"]: row["label"] for row in rows}


def _read_inputs(source: Path, ids: set[str], model: Model) -> Iterator[tuple[str, bytes | str]]:
    """(id, content) of those of the examples that are still there."""
    examples = [e for e in _examples(source, model) if e.id in ids]
    yield from ((e.id, content) for e, content in iter_contents(examples) if not isinstance(content, Unreadable))


def _examples(source: Path, model: Model) -> list[Example]:
    """The examples of the run's data under their ids of then; none where they cannot be told any more."""
    contract = restore(model.facts.get("input"), model.facts["kind"])
    label = contract.label or (None if source.is_dir() else "")
    try:
        found = read_source(source, DataOptions(label=label, kind=contract.kind), contract)
    except HeadstartError:
        return []
    return [e for part in found.examples.values() for e in part]
