"""Saves and loads a fitted task as a model folder: the trained weights, which base they belong to, and a witness.

card.json          base with its digest, preprocessing, cut, labels, metrics; see card_file.py
delta.safetensors  trained weights only; see delta.py
peft/              an adapter as PEFT writes it
witness.npz        a few inputs as file bytes, each stage's output and the scores they must give; see witness.py
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from headstart.backbones.cards import find_base
from headstart.backbones.network import open_above
from headstart.core import digest
from headstart.core.backbone import Backbone, Cut, restore
from headstart.core.errors import ArtifactError, HeadstartError, PlanError
from headstart.core.file_names import regular_file
from headstart.core.files import make_folder, move, remove_folder, temporary_path, write_atomic
from headstart.core.input_contract import InputContract
from headstart.core.messages import type_and_first_line
from headstart.core.plan import Above, Fitted, Model, Plan
from headstart.core.plugins import is_member, member, name_of
from headstart.core.task import Objective, Task
from headstart.core.version import __version__
from headstart.deployment import card_file, delta, validate_folder, witness, witness_replay
from headstart.deployment.card_file import CARD, DELTA, WITNESS
from headstart.deployment.stored_arrays import FIX, read_safetensors
from headstart.features.runner import Extractor, start_engine
from headstart.training.tuning import peft_adapters


def save(
    folder: Path, task: Task, plan: Plan, fitted: Fitted, summary: dict, candidates: witness.Candidates, root: Path
) -> Model:
    """Writes the model folder, which is there whole or not at all; one that lay there is replaced. Raises OSError.

    summary: metrics for the card.  candidates: examples that witnesses are drawn from.  root: the cache folder
    """
    from safetensors.numpy import save as as_bytes

    extra_files = fitted.files()
    tensors = delta.pack(fitted.state(), _base_tensors(fitted, plan))
    storage = delta.describe_storage(fitted, tensors)
    tensors = _without_peft_tensors(tensors, extra_files)
    temporary = temporary_path(folder)
    try:
        make_folder(temporary)
        for name, content in {DELTA: as_bytes(tensors), **extra_files}.items():
            make_folder((temporary / name).parent)
            write_atomic(temporary / name, content)
        witness.write(temporary / WITNESS, task, plan, fitted, candidates, root)
        size = sum((temporary / name).stat().st_size for name in (DELTA, *extra_files))
        head = sum(a.nbytes for name, a in tensors.items() if not name.startswith(("body.", "diff.", "rows.")))
        facts = {
            "schema": card_file.SCHEMA,
            "headstart": __version__,
            "kind": task.kind,
            "input": (task.contract or InputContract(kind=task.kind)).facts(),
            "backbone": {**plan.backbone.with_range(()).facts(), "source_classes": []},  # 30 KB that no load reads
            "cut": plan.cut.at,
            "precision": plan.cut.precision,
            "method": name_of(plan.method),
            "objective": {"name": name_of(task.objective), **task.objective.facts()},
            "notes": fitted.notes,
            "summary": summary,
            # full: a whole copy of the network, at the precision in which the base is stored.
            "delta": {**storage, "bytes": size, "full": plan.backbone.size + head if plan.backbone.size else 0},
            "tolerance": witness.TOLERANCES,
            "files": {n: digest.of_files([temporary / n]) for n in (DELTA, WITNESS, *extra_files)},
        }
        write_atomic(temporary / CARD, card_file.write_text(facts))
        remove_folder(folder)
        move(temporary, folder)
    finally:
        with suppress(OSError):
            remove_folder(temporary)
    return Model(folder, plan.backbone, plan.cut, task.objective, fitted, facts)


def _base_tensors(fitted: Fitted, plan: Plan) -> dict[str, np.ndarray]:
    """The base's tensors where some of them may have been trained; the base is not opened for a head alone."""
    needed = "stored" in fitted.notes and not plan.cut.top and peft_adapters.ADAPTER_FILE not in fitted.files()
    return delta.base_tensors(open_above(plan.backbone, plan.cut)) if needed else {}


def _without_peft_tensors(tensors: dict[str, np.ndarray], extra_files: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Without what PEFT's own file holds."""
    if peft_adapters.ADAPTER_FILE not in extra_files:
        return tensors
    from safetensors.numpy import load as from_bytes

    adapter = peft_adapters.by_state_name(from_bytes(extra_files[peft_adapters.ADAPTER_FILE]))
    return {n: a for n, a in tensors.items() if n not in adapter or not np.array_equal(a, adapter[n])}


def read_card(folder: Path) -> dict:
    """card.json of a model folder, or of a run folder's model/.

    Raises ArtifactError when it is missing, changed, of another schema, or says what no card can say.
    """
    return card_file.read(model_folder(folder))


def model_folder(folder: Path) -> Path:
    """The folder that holds card.json: `folder` itself, or its model/.

    Raises ArtifactError when neither does.
    """
    for candidate in (folder, folder / "model"):
        if (candidate / CARD).is_file():
            return candidate
    raise ArtifactError(
        f"{folder} is not a model folder: neither card.json nor model/card.json is there. `headstart fit` writes one."
    )


def load(folder: Path, root: Path, base: str = "") -> tuple[Model, Extractor]:
    """A saved model with its network open, after its witness was verified.

    root: the cache folder.  base: the backbone to take where the folder names one by a path, or where it lies here
    Raises ArtifactError when a file is missing, changed or malformed, the base is another one, or the witness gives
    other scores. All of the folder itself is checked before its base is looked for, and that before one is opened.
    """
    model_path = model_folder(folder)
    facts = validate_folder.validate(model_path)
    pinned, objective, cut = _parse_card(facts, model_path)
    stored_witness = witness_replay.read(model_path / WITNESS, objective, facts["schema"])
    tensors = _read_tensors(model_path, facts)
    delta.check_recipe(tensors, objective, model_path / DELTA)
    backbone = find_base(pinned.name, root, base)
    _check_base(pinned, backbone, model_path)
    backbone = backbone.with_range(facts.get("input", {}).get("range", ()))
    fitted = _restore_fitted(facts["method"], tensors, backbone, cut, model_path)
    witness_replay.verify_head(fitted, stored_witness, model_path)
    model = Model(model_path, backbone, cut, objective, fitted, facts)
    extractor = start_engine(backbone, model.cut, root=root)
    witness_replay.verify_witness(model, stored_witness, extractor, cut.precision)
    return model, extractor


def _parse_card(facts: dict, folder: Path) -> tuple[Backbone, Objective, Cut]:
    """Base, labels and cut. Raises ArtifactError where card.json does not describe them."""
    file = folder / CARD
    backbone = restore(facts["backbone"])
    wanted = {"methods": facts["method"], "objectives": facts["objective"]["name"], "backbones": backbone.family}
    for family, name in {**wanted, "preprocess": backbone.preprocess.kind}.items():
        if not is_member(family, name):
            raise ArtifactError(f"{file} names {name!r}, and there is none among the {family} here. {FIX}")
    if facts["kind"] not in member("preprocess", backbone.preprocess.kind).SERVES:
        raise ArtifactError(f"{folder}: {backbone.name} does not read data of the kind {facts['kind']}. {FIX}")
    try:
        cut = replace(backbone.cut(facts["cut"]), precision=facts.get("precision", "float32"))
    except PlanError as error:
        raise ArtifactError(f"{file} has a cut that its base cannot have. {error} {FIX}") from error
    try:
        objective = member("objectives", facts["objective"]["name"]).restore(facts["objective"])
        if objective.width < 1:
            raise ValueError("there are none")
        json.dumps(objective.facts())
    except (ArtifactError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ArtifactError(f"{file} lacks its labels ({error}): answers would have no names. {FIX}") from error
    return backbone, objective, cut


def _read_tensors(folder: Path, facts: dict) -> dict[str, np.ndarray]:
    """The stored tensors by their names in a `state()`, differences not yet applied."""
    tensors = read_safetensors(folder / DELTA)
    if peft_adapters.ADAPTER_FILE in facts["files"]:
        peft_adapters.check_config(regular_file(folder, peft_adapters.CONFIG_FILE, FIX), facts["backbone"]["name"])
        try:
            adapter = peft_adapters.by_state_name(read_safetensors(folder / peft_adapters.ADAPTER_FILE))
        except IndexError as error:
            raise ArtifactError(f"{folder / peft_adapters.ADAPTER_FILE} has a tensor without a name. {FIX}") from error
        return {**adapter, **tensors}
    return tensors


def _check_base(pinned: Backbone, base: Backbone, folder: Path) -> None:
    """Raises ArtifactError where the base here has other weights or another preprocessing than the card says."""
    if base.weights != pinned.weights:
        actual, expected = base.weights[:19], pinned.weights[:19]
        raise ArtifactError(
            f"{folder} was fitted on {pinned.name} with weights {expected}…; the weights here are {actual}…. "
            f"Fit again on these, or bring the former ones back."
        )
    if (base.width, base.blocks) != (pinned.width, pinned.blocks):
        raise ArtifactError(
            f"{folder}: {pinned.name} has {len(base.blocks)} blocks and embeddings of {base.width} numbers here; when "
            f"it was fitted it had {len(pinned.blocks)} and {pinned.width}. Install the versions of the fit, or fit "
            f"again."
        )
    if base.preprocess != pinned.preprocess:
        now = dict(base.preprocess.settings)
        changed = [f"{k}: {str(v)[:40]} → {now.get(k)}" for k, v in pinned.preprocess.settings if now.get(k) != v]
        raise ArtifactError(
            f"{folder}: the preprocessing of {pinned.name} has changed since ({'; '.join(changed)}). Fit again."
        )


def _restore_fitted(method: str, stored: dict[str, np.ndarray], backbone: Backbone, cut: Cut, folder: Path) -> Fitted:
    """The fitted method. Raises ArtifactError where a tensor is missing, unexpected or of another shape."""
    file = folder / DELTA
    mismatch = f"{file} does not hold what {method} learns"

    def above() -> Above:
        return open_above(backbone, cut)

    try:
        base = delta.base_tensors(above()) if any(name.startswith("diff.") for name in stored) else {}
        state = delta.unpack(stored, base)
        fitted: Fitted = member("methods", method).restore(state, above)
        expected = {name: (a.shape, a.dtype) for name, a in fitted.state().items()}
    except ArtifactError as error:
        raise ArtifactError(f"{folder}: {error}") from error
    except HeadstartError:
        raise
    except Exception as error:  # libraries raise anything for tensors that do not fit a network
        raise ArtifactError(f"{mismatch} ({type_and_first_line(error)}). {FIX}") from error
    mismatched = [n for n in sorted(state.keys() | expected.keys()) if n not in state or n not in expected]
    # The recipe is JSON, which `restore` reads: its length changes where settings were stored under former names.
    common = (state.keys() & expected.keys()) - {"recipe"}
    mismatched += [n for n in sorted(common) if (state[n].shape, state[n].dtype) != expected[n]]
    if mismatched:
        name = mismatched[0]
        problem = "is missing" if name not in state else "is not of it" if name not in expected else "has another shape"
        raise ArtifactError(f"{mismatch}: {name[:100]} {problem}, {len(mismatched)} in all. {FIX}")
    return fitted
