"""A fitted task as a folder: what changed, which base it changes, and proof that it still answers the same.

card.json          what it is: base with its digest, preprocessing, cut, labels, figures
delta.safetensors  what was learned, nothing else; see delta.py
peft/              what was learned by a method of PEFT, as PEFT writes it
witness.npz        a few inputs as file bytes, what each stage made of them, and the scores they must give
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.backbones.catalogue import find_card
from headstart.backbones.network import open_above
from headstart.core import digest
from headstart.core.backbone import Backbone, Cut, restore
from headstart.core.errors import ArtifactError, HeadstartError, PlanError
from headstart.core.plan import Fitted, Plan
from headstart.core.plugins import member, name_of
from headstart.core.task import Objective, Task
from headstart.core.version import __version__
from headstart.deployment import delta, validate_folder, witness
from headstart.deployment.witness import embed_fresh, testify
from headstart.features.runner import Running, start
from headstart.training.tuning import peft_adapters

if TYPE_CHECKING:
    from headstart.core.plan import Above
from headstart.core.plan import Model

__all__ = ["Model", "embed_fresh", "load", "model_folder", "read_card", "save", "testify"]


def save(
    folder: Path,
    task: Task,
    plan: Plan,
    fitted: Fitted,
    summary: dict,
    rows: Any,
    taken: np.ndarray,
    root: Path,
    opened: bool = False,
) -> Model:
    """Writes the model folder.

    rows: m features, as left the cut; taken: (m,) int64 which examples they are: witnesses are drawn from these
    summary: figures to keep on the card.  root: the cache folder.  opened: whether this run has opened photos anyway
    """
    from safetensors.numpy import save as as_bytes

    folder.mkdir(parents=True, exist_ok=True)
    more = fitted.files()
    stored = delta.packed(fitted.state(), _base(fitted, plan))
    told = delta.said(fitted, stored)
    stored = _once(stored, more)
    (folder / validate_folder.DELTA).write_bytes(as_bytes(stored))
    for name, content in more.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    witness.write(folder / validate_folder.WITNESS, task, plan, fitted, rows, taken, root, opened)
    size = sum((folder / name).stat().st_size for name in (validate_folder.DELTA, *more))
    head = sum(a.nbytes for name, a in stored.items() if not name.startswith(("body.", "diff.", "rows.")))
    facts = {
        "schema": validate_folder.SCHEMA,
        "headstart": __version__,
        "kind": task.kind,
        "backbone": {**plan.backbone.facts(), "source_classes": []},  # thirty kilobytes that no load looks at
        "cut": plan.cut.at,
        "precision": plan.cut.precision,
        "method": name_of(plan.method),
        "objective": {"name": name_of(task.objective), **task.objective.facts()},
        "notes": fitted.notes,
        "summary": summary,
        # A whole copy at the precision in which the base itself is stored.
        "delta": {**told, "bytes": size, "full": plan.backbone.size + head if plan.backbone.size else 0},
        "tolerance": witness.TOLERANCES,
        "files": {n: digest.of_files([folder / n]) for n in (validate_folder.DELTA, validate_folder.WITNESS, *more)},
    }
    (folder / validate_folder.CARD).write_text(json.dumps(facts, indent=1, default=_plain) + "\n", encoding="utf-8")
    return Model(folder, plan.backbone, plan.cut, task.objective, fitted, facts)


def _base(fitted: Fitted, plan: Plan) -> dict[str, np.ndarray]:
    """What was borrowed, where something of it may have been tuned; nothing is opened for a head."""
    tuned = "stored" in fitted.notes and not plan.cut.top and peft_adapters.MATRICES not in fitted.files()
    return delta.tensors(open_above(plan.backbone, plan.cut)) if tuned else {}


def _once(stored: dict[str, np.ndarray], more: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Without the numbers that PEFT's own file holds."""
    if peft_adapters.MATRICES not in more:
        return stored
    from safetensors.numpy import load as from_bytes

    there = peft_adapters.ours(from_bytes(more[peft_adapters.MATRICES]))
    return {n: a for n, a in stored.items() if n not in there or not np.array_equal(a, there[n])}


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written to card.json")


def read_card(folder: Path) -> dict:
    """card.json of a model folder, or of a run folder's model/.

    Raises ArtifactError when it is missing, not JSON, or of another schema.
    """
    return validate_folder.card(model_folder(folder))


def model_folder(folder: Path) -> Path:
    """The folder that holds card.json: `folder` itself, or its model/.

    Raises ArtifactError when neither does.
    """
    for place in (folder, folder / "model"):
        if (place / validate_folder.CARD).is_file():
            return place
    raise ArtifactError(
        f"{folder} is not a model folder: neither card.json nor model/card.json is there. `headstart fit` writes one."
    )


def load(folder: Path, root: Path) -> tuple[Model, Running]:
    """A saved model with its network open, after the witness has answered as it must.

    root: the cache folder.
    Raises ArtifactError when a file is missing, changed or not what it says, the base is another one, or an answer
    differs. Nothing is opened before the folder was looked over.
    """
    place = model_folder(folder)
    facts = validate_folder.inspect(place)
    pinned, objective, cut = _described(facts, place)
    if facts["kind"] not in member("preprocess", pinned.preprocess.kind).SERVES:
        raise ArtifactError(
            f"{place}: {pinned.name} does not read data of the kind {facts['kind']}. {validate_folder.AGAIN}"
        )
    known = witness.read(place / validate_folder.WITNESS, objective.width)
    stored = _stored(place, facts)
    _same_base(pinned, find_card(pinned.name, root), place)
    fitted = _restored(facts["method"], stored, pinned, cut, objective, place)
    witness.recall(fitted, known, place)
    model = Model(place, pinned, cut, objective, fitted, facts)
    running = start(pinned, model.cut, root=root)
    testify(model, running, cut.precision)
    return model, running


def _described(facts: dict, place: Path) -> tuple[Backbone, Objective, Cut]:
    """Base, labels and cut as the card has them."""
    file = place / validate_folder.CARD
    try:
        pinned = restore(facts["backbone"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"{file} does not say which base it is for ({error}). {validate_folder.AGAIN}") from error
    try:
        cut = replace(pinned.cut(facts["cut"]), precision=str(facts.get("precision", "float32")))
        if cut.precision not in witness.TOLERANCES:
            raise PlanError(f"It was computed in {cut.precision[:20]!r}, which is not known.")
    except PlanError as error:
        raise ArtifactError(f"{file} has a cut that its base cannot have. {error} {validate_folder.AGAIN}") from error
    try:
        objective = member("objectives", facts["objective"]["name"]).restore(facts["objective"])
        if objective.width < 1:
            raise ValueError("there are none")
        json.dumps(objective.facts())
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ArtifactError(
            f"{file} lacks its labels ({error}): answers would have no names. {validate_folder.AGAIN}"
        ) from error
    return pinned, objective, cut


def _stored(place: Path, facts: dict) -> dict[str, np.ndarray]:
    """The arrays of the folder by their names in a state, differences still as differences."""
    stored = validate_folder.tensors(place / validate_folder.DELTA)
    if peft_adapters.MATRICES in facts["files"]:
        try:
            matrices = peft_adapters.ours(validate_folder.tensors(place / peft_adapters.MATRICES))
        except IndexError as error:
            raise ArtifactError(
                f"{place / peft_adapters.MATRICES} has a tensor without a name. {validate_folder.AGAIN}"
            ) from error
        return {**matrices, **stored}
    return stored


def _same_base(pinned: Backbone, base: Backbone, place: Path) -> None:
    """Raises ArtifactError where the base here has other weights or another preprocessing than the card says."""
    if base.weights != pinned.weights:
        seen, wanted = base.weights[:19], pinned.weights[:19]
        raise ArtifactError(
            f"{place} was fitted on {pinned.name} with weights {wanted}…; the weights here are {seen}…. "
            f"Fit again on these, or bring the former ones back."
        )
    if (base.width, base.blocks) != (pinned.width, pinned.blocks):
        raise ArtifactError(
            f"{place}: {pinned.name} is divided otherwise here than when it was fitted: {len(base.blocks)} blocks and "
            f"{base.width} numbers, then {len(pinned.blocks)} and {pinned.width}. Install the versions of then, or fit "
            f"again."
        )
    if base.preprocess != pinned.preprocess:
        there = dict(base.preprocess.settings)
        changed = [f"{k}: {str(v)[:40]} → {there.get(k)}" for k, v in pinned.preprocess.settings if there.get(k) != v]
        raise ArtifactError(
            f"{place}: the preprocessing of {pinned.name} has changed since ({'; '.join(changed)}). Fit again."
        )


def _restored(
    method: str, stored: dict[str, np.ndarray], pinned: Backbone, cut: Cut, objective: Objective, place: Path
) -> Fitted:
    """What was learned, from arrays of which none may be missing, none left over, and each of the right shape."""
    file = place / validate_folder.DELTA
    head = stored.get("head.weight")
    if head is not None and len(head) != objective.width:
        raise ArtifactError(
            f"{file} answers with {len(head)} scores for {objective.width} labels. {validate_folder.AGAIN}"
        )
    validate_folder.recipe(stored, file)

    def above() -> Above:
        return open_above(pinned, cut)

    try:
        state = delta.unpacked(stored, _borrowed(stored, above))
        fitted: Fitted = member("methods", method).restore(state, above)
        wanted = {name: (a.shape, a.dtype) for name, a in fitted.state().items()}
    except HeadstartError:
        raise
    except Exception as error:  # numbers that do not fit a network make libraries raise what they like
        why = f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
        raise ArtifactError(f"{file} does not hold what {method} learns ({why}). {validate_folder.AGAIN}") from error
    odd = [n for n in sorted(state.keys() | wanted.keys()) if n not in state or n not in wanted]
    odd += [n for n in sorted(state.keys() & wanted.keys()) if (state[n].shape, state[n].dtype) != wanted[n]]
    if odd:
        how = "is missing" if odd[0] not in state else "is not of it" if odd[0] not in wanted else "has another shape"
        raise ArtifactError(
            f"{file} does not hold what {method} learns: {odd[0][:100]} {how}, {len(odd)} in all. "
            f"{validate_folder.AGAIN}"
        )
    return fitted


def _borrowed(stored: dict[str, np.ndarray], above: Callable[[], Above]) -> dict[str, np.ndarray]:
    return delta.tensors(above()) if any(name.startswith("diff.") for name in stored) else {}
