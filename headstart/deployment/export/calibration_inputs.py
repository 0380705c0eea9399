"""Inputs to check and to quantize an exported model on: its witness, and its run's data where they are still there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from headstart.core.errors import HeadstartError, Unreadable
from headstart.core.files import read_json
from headstart.core.plan import Model
from headstart.core.result import PREDICTION_COLUMNS, SetAside
from headstart.core.spreadsheet import read_csv
from headstart.data.contents import IMAGE_SUFFIXES, read_content, read_file
from headstart.data.directory_walk import list_files
from headstart.deployment import witness_replay
from headstart.deployment.card_file import WITNESS
from headstart.deployment.predict import TEXT_SUFFIXES, collect_inputs

MAX_HELD_OUT = 400  # held-out inputs that judge a quantized model: one changed answer is a quarter of a point


def witness_inputs(model: Model) -> list[bytes | str]:
    """The inputs stored with the model: file bytes, or texts."""
    stored = witness_replay.read(model.folder / WITNESS, model.objective, model.facts["schema"])
    return witness_replay.stored_inputs(witness_replay.without_costly(stored, model), model.facts["kind"])


def held_out_inputs(model: Model) -> tuple[list[str], list[bytes | str]]:
    """(labels, inputs) of the run's test part, at most MAX_HELD_OUT; nothing where its data are gone."""
    source, labels = _run_data(model)
    labels = dict(list(labels.items())[:: max(1, len(labels) // MAX_HELD_OUT)])
    inputs = dict(_read_inputs(source, set(labels), model.facts["kind"])) if source and labels else {}
    return [labels[id] for id in inputs], list(inputs.values())


def training_inputs(model: Model, limit: int) -> tuple[list[bytes | str], str]:
    """At most `limit` inputs outside the run's test part, and what they are; the witness where its data are gone."""
    source, test_labels = _run_data(model)
    if source is None or not test_labels:
        return witness_inputs(model), "inputs of the witness"
    kind = model.facts["kind"]
    if source.is_dir():
        suffixes = IMAGE_SUFFIXES if kind == "image" else TEXT_SUFFIXES
        (below,), _ = list_files(str(source), [str(source)])
        ids = [str(p.relative_to(source)) for p in map(Path, below) if p.suffix.lower() in suffixes]
    else:
        ids = [e.id for e in _table_examples(source, kind)]
    ids = [id for id in ids if id not in test_labels]
    sample = np.random.default_rng(0).permutation(len(ids))[:limit]
    inputs = dict(_read_inputs(source, {ids[i] for i in sample}, kind))
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


def _read_inputs(source: Path, ids: set[str], kind: str) -> Iterator[tuple[str, bytes | str]]:
    """(id, content) of those of the examples that are still there."""
    if source.is_dir():
        for id in sorted(ids):
            with suppress(Unreadable):  # it may have gone since
                data = read_file(source / id)
                yield id, data if kind == "image" else data.decode("utf-8", "replace")
        return
    yield from ((e.id, read_content(e)) for e in _table_examples(source, kind) if e.id in ids)


def _table_examples(source: Path, kind: str) -> list:
    """The examples of a table; none where its input column cannot be told."""
    try:
        return [e for e in collect_inputs([source], kind, None, None) if not isinstance(e, SetAside)]
    except HeadstartError:
        return []
