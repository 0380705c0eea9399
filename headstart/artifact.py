"""A fitted task as a folder: what changed, which base it changes, and proof that it still answers the same.

card.json          what it is: base with its digest, preprocessing, cut, labels, figures
delta.safetensors  what was learned, nothing else
witness.npz        a few inputs as file bytes, what each stage made of them, and the scores they must give
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart import __version__, digest, raw
from headstart.backbone import Backbone, Cut, Preprocess, restore
from headstart.errors import ArtifactError, Unreadable
from headstart.extract import Running, crossing, start
from headstart.features import Ragged, stacked
from headstart.find import member, name_of
from headstart.network import open_above
from headstart.plan import Fitted, Plan
from headstart.planner import find_card
from headstart.task import Example, Objective, Task

SCHEMA = 1
WITNESSES = 8
WITNESS_BYTES = (
    2_000_000  # a model folder stays small: larger photos are not taken as witnesses where others are at hand
)
# Another batch size or thread count moves fp32 sums: 2e-5 of a score's size was the most seen over the three hub
# backbones; a wrong mean or crop moves them by more than 1e-1.
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A saved task, ready to answer.

    facts: card.json as it lies
    """

    folder: Path
    backbone: Backbone
    cut: Cut
    objective: Objective
    fitted: Fitted
    facts: dict


def save(folder: Path, task: Task, plan: Plan, fitted: Fitted, summary: dict, rows: Any, taken: np.ndarray) -> Model:
    """Writes the model folder.

    rows: m features, as left the cut; taken: (m,) int64 which examples they are: witnesses are drawn from these
    summary: figures to keep on the card
    """
    from safetensors.numpy import save as as_bytes

    folder.mkdir(parents=True, exist_ok=True)
    state = {name: np.ascontiguousarray(array) for name, array in fitted.state().items()}
    (folder / "delta.safetensors").write_bytes(as_bytes(state))
    more = fitted.files()
    for name, content in more.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    _witness(folder / "witness.npz", task, plan, fitted, rows, taken)
    facts = {
        "schema": SCHEMA,
        "headstart": __version__,
        "kind": task.kind,
        "backbone": {**plan.backbone.facts(), "source_classes": []},  # thirty kilobytes that no load looks at
        "cut": plan.cut.at,
        "method": name_of(plan.method),
        "objective": {"name": name_of(task.objective), **task.objective.facts()},
        "notes": fitted.notes,
        "summary": summary,
        "tolerance": TOLERANCE,
        "files": {name: digest.of_files([folder / name]) for name in ("delta.safetensors", "witness.npz", *more)},
    }
    (folder / "card.json").write_text(json.dumps(facts, indent=1, default=_plain) + "\n", encoding="utf-8")
    return Model(folder, plan.backbone, plan.cut, task.objective, fitted, facts)


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written to card.json")


def _witness(file: Path, task: Task, plan: Plan, fitted: Fitted, rows: Any, taken: np.ndarray) -> None:
    chosen = _chosen(task, taken)
    some = rows[np.array(chosen)]
    arrays: dict[str, np.ndarray] = {"scores": fitted.scores(some)}
    if isinstance(some, Ragged):
        for n, (item, windows) in enumerate(zip(some.items, some.windows, strict=True)):
            arrays |= {f"row{n}": np.asarray(item), f"windows{n}": np.array(windows)}
    else:
        arrays["rows"] = np.asarray(some)
    prepare, spec = member("preprocess", plan.backbone.preprocess.kind), plan.backbone.preprocess
    for n, i in enumerate(chosen):
        content = raw.content(task.examples[taken[i]])
        arrays[f"input{n}"] = np.frombuffer(content.encode() if isinstance(content, str) else content, np.uint8)
    contents = [arrays[f"input{n}"].tobytes() for n in range(len(chosen))]
    raws = [c.decode() for c in contents] if task.kind == "text" else contents
    # Decoding costs a photo library's import (0.1 s): a fit from the cache leaves it to the first load.
    if task.kind != "image":
        arrays["units"] = np.array([_unit_digest(u) for u in prepare.prepare(raws, spec)])
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    file.write_bytes(buffer.getvalue())


def _unit_digest(units: list[np.ndarray] | Unreadable) -> str:
    return "" if isinstance(units, Unreadable) else digest.of_bytes(b"".join(u.tobytes() for u in units))


def _chosen(task: Task, taken: np.ndarray) -> list[int]:
    """Positions in `taken`: one a label in turn, the smallest first, while they fit into WITNESS_BYTES."""
    sizes = [_size(task.examples[i]) for i in taken]
    by_label: dict[str, list[int]] = {}
    for position in sorted(range(len(taken)), key=lambda p: (sizes[p], task.examples[taken[p]].id)):
        by_label.setdefault(str(task.examples[taken[position]].label), []).append(position)
    chosen: list[int] = []
    total = 0
    for depth in range(WITNESSES):
        for label in sorted(by_label):
            some = by_label[label]
            if (
                depth < len(some)
                and len(chosen) < WITNESSES
                and (not chosen or total + sizes[some[depth]] <= WITNESS_BYTES)
            ):
                chosen.append(some[depth])
                total += sizes[some[depth]]
    return chosen


def _size(example: Example) -> int:
    if isinstance(example.content, Path):
        return example.content.stat().st_size
    return len(example.content) if isinstance(example.content, bytes | str) else 0


def read_card(folder: Path) -> dict:
    """card.json of a model folder, or of a run folder's model/.

    Raises ArtifactError when it is missing, not JSON, or of another schema.
    """
    file = model_folder(folder) / "card.json"
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{file} is damaged ({error}). Fit again, or restore it from a copy.") from error
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        seen = facts.get("schema") if isinstance(facts, dict) else None
        raise ArtifactError(
            f"{file} has schema {seen!r}; this version reads {SCHEMA}. Fit again, or use the version that wrote it."
        )
    missing = [k for k in ("backbone", "cut", "method", "objective", "files", "kind") if k not in facts]
    if missing:
        raise ArtifactError(f"{file} lacks {', '.join(missing)}. Fit again, or restore it from a copy.")
    return facts


def model_folder(folder: Path) -> Path:
    """The folder that holds card.json: `folder` itself, or its model/.

    Raises ArtifactError when neither does.
    """
    for place in (folder, folder / "model"):
        if (place / "card.json").is_file():
            return place
    raise ArtifactError(
        f"{folder} is not a model folder: neither card.json nor model/card.json is there. `headstart fit` writes one."
    )


def load(folder: Path, root: Path) -> tuple[Model, Running]:
    """A saved model with its network open, after the witness has answered as it must.

    root: the cache folder.
    Raises ArtifactError when a file is missing or changed, the base is another one, or an answer differs.
    """
    facts = read_card(folder)
    place = model_folder(folder)
    for name, pinned in facts["files"].items():
        if not (place / name).is_file():
            raise ArtifactError(f"{place / name} is missing. Fit again, or restore it from a copy.")
        if digest.of_files([place / name]) != pinned:
            raise ArtifactError(
                f"{place / name} has changed since it was saved ({pinned[:19]}…). Fit again, or restore it from a copy."
            )
    pinned = restore(facts["backbone"])
    base = find_card(pinned.name, root)
    if base.weights != pinned.weights:
        seen, wanted = base.weights[:19], pinned.weights[:19]
        raise ArtifactError(
            f"{place} was fitted on {pinned.name} with weights {wanted}…; the weights here are {seen}…. "
            f"Fit again on these."
        )
    if base.preprocess != pinned.preprocess:
        changed = [
            f"{k}: {v} → {dict(base.preprocess.settings).get(k)}"
            for k, v in pinned.preprocess.settings
            if dict(base.preprocess.settings).get(k) != v
        ]
        raise ArtifactError(
            f"{place}: the preprocessing of {pinned.name} has changed since ({'; '.join(changed)}). Fit again."
        )
    objective = member("objectives", facts["objective"]["name"]).restore(facts["objective"])
    cut = pinned.cut(facts["cut"])
    state = _arrays(place / "delta.safetensors")
    fitted = member("methods", facts["method"]).restore(state, lambda: open_above(pinned, cut))
    model = Model(place, pinned, cut, objective, fitted, facts)
    running = start(pinned, model.cut)
    testify(model, running)
    return model, running


def _arrays(file: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(file)


def testify(model: Model, running: Running) -> float:
    """Replays the witness; gives the largest difference of a score, relative to the scores' size.

    Raises ArtifactError naming the first stage that differs: input, embedding or scores.
    """
    with np.load(model.folder / "witness.npz", allow_pickle=False) as file:
        kept = {name: file[name] for name in file.files}
    spec = model.backbone.preprocess
    contents = [kept[f"input{n}"].tobytes() for n in range(len(kept["scores"]))]
    windows = [tuple(kept[f"windows{n}"].tolist()) for n in range(len(contents))] if "windows0" in kept else []
    rows_then = stacked([kept[f"row{n}"] for n in range(len(contents))], windows) if windows else kept["rows"]
    raws: Sequence[bytes | str] = [c.decode() for c in contents] if model.facts["kind"] == "text" else contents
    prepare = member("preprocess", spec.kind)
    now, reasons = embed_fresh(prepare.prepare(raws, spec), spec, model.cut, running)
    if reasons:
        reason = next(iter(reasons.values()))
        raise ArtifactError(
            f"{model.folder}: witness: an input that was read when the model was saved cannot be read now: {reason}."
        )
    moved = _apart(now, rows_then)
    scores = _relative(model.fitted.scores(now), kept["scores"])
    if scores <= TOLERANCE:
        return scores
    if _relative(model.fitted.scores(rows_then), kept["scores"]) > TOLERANCE:
        stage = "scores: the head gives other answers for the same embedding"
    else:
        stage = (
            f"embedding: moved by {moved:.1%} for the same file bytes: decoding, resizing or the network differs here"
        )
    raise ArtifactError(
        f"{model.folder}: witness: this installation gives other answers than were measured ({stage}; "
        f"scores moved by {scores:.2%}, {TOLERANCE:.1%} is allowed). Install the versions of the fit, or fit again."
    )


def _relative(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float32), b.astype(np.float32)
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-6))


def _apart(a: Any, b: Any) -> float:
    """The same of rows of unequal length: 1 where even the lengths differ."""
    if not isinstance(a, Ragged):
        return _relative(a, b)
    return max(_relative(x, y) if x.shape == y.shape else 1.0 for x, y in zip(a.items, b.items, strict=True))


def embed_fresh(ready: list, spec: Preprocess, cut: Cut, running: Running) -> tuple[Any, dict[int, Unreadable]]:
    """Prepared inputs straight through the network, past the cache: rows of the readable ones, and why of the others.

    ready: units of each input, or Unreadable
    """
    reasons = {i: some for i, some in enumerate(ready) if isinstance(some, Unreadable)}
    crossed = crossing([some for some in ready if not isinstance(some, Unreadable)], spec, cut, running)
    windows = [w for _, w in crossed if w]
    return stacked([row for row, _ in crossed], windows) if crossed else np.zeros((0, 0), np.float32), reasons
