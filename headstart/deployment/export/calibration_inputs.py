"""Inputs to judge an exported model on: those that travel with it, and those of its run that still lie there."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from headstart.core.errors import HeadstartError
from headstart.core.files import read_json
from headstart.core.plan import Model
from headstart.core.result import SetAside
from headstart.data.contents import content
from headstart.deployment import witness
from headstart.deployment.predict import PHOTOS, WRITINGS, collect

MOST = 400  # held-out inputs that judge a rounded model: beyond, one changed answer is below a quarter of a point


def witnesses(model: Model) -> list[bytes | str]:
    """The inputs that travel with the model: file bytes, or texts."""
    known = witness.read(model.folder / "witness.npz", model.objective.width)
    raws = [known[f"input{i}"].tobytes() for i in range(len(known["scores"]))]
    return [r.decode("utf-8", "replace") for r in raws] if model.facts["kind"] == "text" else list(raws)


def held_out(model: Model) -> tuple[list[str], list[bytes | str]]:
    """(labels, inputs) that the run was judged on, at most 400; nothing where its data are gone."""
    source, wanted = _run(model)
    chosen = dict(list(wanted.items())[:: max(1, len(wanted) // MOST)])
    found = dict(_examples(source, set(chosen), model.facts["kind"])) if source and chosen else {}
    return [chosen[name] for name in found], list(found.values())


def learned_from(model: Model, most: int) -> tuple[list[bytes | str], str]:
    """At most so many inputs that the run was not judged on, and what they are; the witness where its data are gone."""
    source, held = _run(model)
    if source is None or not held:
        return witnesses(model), "inputs of the witness"
    kind = model.facts["kind"]
    if source.is_dir():
        suffixes = PHOTOS if kind == "image" else WRITINGS
        names = [str(p.relative_to(source)) for p in sorted(source.rglob("*")) if p.suffix.lower() in suffixes]
    else:
        names = [e.id for e in _collected(source, kind)]
    rest = [name for name in names if name not in held]
    chosen = np.random.default_rng(0).permutation(len(rest))[:most]
    found = dict(_examples(source, {rest[i] for i in chosen}, kind))
    return (list(found.values()), "training inputs") if found else (witnesses(model), "inputs of the witness")


def _run(model: Model) -> tuple[Path | None, dict[str, str]]:
    """Where the data of the model's run lie, None where they are gone; and label by id of what it was judged on."""
    run = model.folder.parent
    facts, file = read_json(run / "result.json"), run / "predictions.csv"
    source = Path(str((facts or {}).get("source") or "/nothing/there"))
    if not facts or not file.is_file() or not source.exists():
        return None, {}
    with open(file, encoding="utf-8", newline="") as lines:
        return source, {row["id"]: row["label"] for row in csv.DictReader(lines)}


def _examples(source: Path, chosen: set[str], kind: str) -> Iterator[tuple[str, bytes | str]]:
    """(id, content) of the chosen examples that are still there."""
    if source.is_dir():
        for name in sorted(chosen):
            if (source / name).is_file():
                data = (source / name).read_bytes()
                yield name, data if kind == "image" else data.decode("utf-8", "replace")
        return
    yield from ((e.id, content(e)) for e in _collected(source, kind) if e.id in chosen)


def _collected(source: Path, kind: str) -> list:
    """The examples of a table; none where its columns do not say which holds the inputs."""
    try:
        return [e for e in collect([source], kind, None, None) if not isinstance(e, SetAside)]
    except HeadstartError:
        return []
