"""`headstart export`: writes a saved model in another format, once its parity on the witness was checked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.disk_errors import disk_errors_in_words
from headstart.core.errors import PlanError, SourceError
from headstart.core.files import (
    make_folder,
    move,
    remove_folder,
    remove_stale_temporaries,
    temporary_path,
    write_file,
    write_json_atomic,
)
from headstart.core.plan import Model
from headstart.core.plugins import member
from headstart.core.settings import settings_of
from headstart.core.version import __version__
from headstart.deployment.export.calibration_inputs import held_out_inputs, witness_inputs
from headstart.deployment.export.parity import (
    ExportResult,
    Outputs,
    Parity,
    check_parity,
    measure_parity,
    reference_outputs,
)
from headstart.deployment.model_folder import load
from headstart.features.cache import store
from headstart.features.runner import Extractor

FACTS = "export.json"
MAX_SPREADS = 0.05  # standard deviations of the labels that a number may move by for each per cent of the limit
PROGRAM, README = "predict.py", "README.md"


@dataclass(frozen=True, slots=True, eq=False)
class ExportFolder:
    """An export's folder, and its export.json as a dict."""

    folder: Path
    facts: dict


@disk_errors_in_words
def export(
    folder: str | Path,
    to: str,
    *,
    into: str | Path | None = None,
    settings: dict[str, str] | None = None,
    limit: float = 1.0,
    root: Path | None = None,
    base: str | None = None,
) -> ExportFolder:
    """Writes a saved model in another format, and checks that it gives the model's own answers to the same bytes.

    folder: a run folder or a model folder.  to: a file in formats/: onnx, openvino, torch, web …
    into: default <folder>/export/<to>. An earlier export there is kept as <into>.previous
    settings: of the format, as text.  limit: points of held-out accuracy that 8-bit quantization may cost; where the
    run's data are gone, per cent of the witness's answers.  root: the cache folder; default the user's
    base: the backbone of a model from elsewhere that names it by a path, or where its weights lie here
    Raises PlanError for what a format cannot hold, ArtifactError where its answers differ, SourceError where
    something else lies at `into`, DiskError where a disk refuses.
    """
    root, folder = root or store.default_root(), Path(folder)
    target = Path(into).absolute() if into and not Path(into).name else Path(into or folder / "export" / to)
    format: Any = member("formats", to)
    parsed = settings_of(format, settings or {})
    _check_target(target, None if into else folder)
    model, extractor = load(folder, root, base or "")
    remove_stale_temporaries(target.parent)
    temporary = temporary_path(target)
    make_folder(temporary)
    try:
        written = format.write(model, extractor, temporary, parsed)
        parity, quantization = _verify(model, extractor, written, to, limit)
        if written.code:
            write_file(temporary / PROGRAM, written.code)
        write_file(temporary / README, _readme(model, to, written, parity))
        facts = {**_facts(model, temporary, to, written, parity), **quantization}
        write_json_atomic(temporary / FACTS, facts)
        _move_into_place(temporary, target)
    finally:
        with suppress(OSError):  # what cannot be deleted is swept by a later export
            remove_folder(temporary)
    return ExportFolder(target, facts)


def _check_target(target: Path, inside: Path | None) -> None:
    """Raises SourceError where something else than an export lies at the target or at its `.previous`.

    inside: the folder that the target must not leave by a link
    """
    if inside is not None and not target.resolve().is_relative_to(inside.resolve()):
        raise SourceError(f"{target} is a link that leads out of the folder. Name another folder with --into.")
    if not target.name:
        raise SourceError(f"{target} is the root of a disk. Name another folder with --into.")
    for path in (target, target.with_name(target.name + ".previous")):
        if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not (path / FACTS).exists())):
            raise SourceError(f"{path} exists and is no export of Headstart. Name another folder with --into.")


def _move_into_place(temporary: Path, target: Path) -> None:
    """Renames the written folder to the target; what lay there is kept as `.previous`."""
    if target.exists():
        previous = target.with_name(target.name + ".previous")
        remove_folder(previous)
        move(target, previous)
    move(temporary, target)


def _verify(model: Model, extractor: Extractor, written: ExportResult, to: str, limit: float) -> tuple[Parity, dict]:
    """The parity on the witness; of a quantized network the parity on held-out inputs, and keys for export.json.

    Raises ArtifactError where outputs differ, PlanError where quantization costs more than `limit`.
    """
    contents = witness_inputs(model)
    parity = check_parity(model, reference_outputs(model, extractor, contents), written.answer(contents), written, to)
    if not written.judged:
        return parity, {}
    labels, held_out = held_out_inputs(model)
    judged_on = "held-out inputs" if held_out else "inputs of the witness"
    contents = held_out or contents
    reference, exported = reference_outputs(model, extractor, contents), written.answer(contents)
    parity = measure_parity(model, reference, exported)
    changed = 100 * parity.changed / parity.n
    drop = 100 * (_accuracy(model, reference, labels) - _accuracy(model, exported, labels)) if labels else 0.0
    facts = {"judged_on": judged_on, "n": parity.n, "changed_percent": changed}
    facts["accuracy_drop"] = drop if labels else None
    number = model.objective.link == "identity"
    too_large = drop > limit if labels and not number else changed > limit
    if too_large or (number and parity.largest > limit * MAX_SPREADS):
        accuracy = f"accuracy falls by {drop:.1f} points, and " if labels and not number else ""
        moved = f"answers move by up to {parity.largest:.2g} spreads"
        answers = moved if number else f"{parity.changed} answers change"
        raise PlanError(
            f"{to}: in 8 bits, {accuracy}{answers} on {parity.n} {judged_on}; {limit:g} % is allowed. Nothing was "
            "written. Take --set precision=f16, or allow more with --limit."
        )
    return parity, {"rounded": facts}


def _accuracy(model: Model, outputs: Outputs, labels: Sequence[str]) -> float:
    """Share of right answers; of tags, where all tags of an input are right."""
    if model.objective.link == "identity":
        return 0.0
    answers = model.objective.decode(np.log(np.maximum(outputs.probabilities, 1e-12)))
    if model.objective.link == "sigmoid":
        answers = model.objective.decode(np.where(outputs.probabilities > 0.5, 1.0, -1.0))
    predictions = [";".join(a) if isinstance(a, list | tuple) else str(a) for a in answers]
    return float(np.mean([a == b for a, b in zip(predictions, labels, strict=True)]))


def _facts(model: Model, folder: Path, to: str, written: ExportResult, parity: Parity) -> dict:
    """export.json of the files in the folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    sha256 = {p: digest.of_files([p]).removeprefix("sha256:") for p in files}
    return {
        "format": to,
        "headstart": __version__,
        "model": (model.folder.parent if model.folder.name == "model" else model.folder).name,
        "backbone": model.backbone.name,
        "weights": model.backbone.weights,
        "licence": model.backbone.licence,
        "method": model.facts["method"],
        "labels": list(model.objective.facts().get("names", [])),
        "objective": model.facts["objective"],
        "inputs": model.facts["kind"],
        "precision": written.precision,
        "opset": written.opset or None,
        "files": {str(p.relative_to(folder)): {"sha256": sha256[p], "bytes": p.stat().st_size} for p in files},
        "bytes": sum(p.stat().st_size for p in files),
        "largest_difference": parity.largest,
        "tolerance": written.tolerance,
        "witness": asdict(parity),
        "needs": list(written.needs),
        "takes": _argument_name(model, written),
        "says": list(written.says),
        **written.more,
    }


def _argument_name(model: Model, written: ExportResult) -> str:
    return written.takes or {"image": "PHOTO", "text": "'A TEXT'"}.get(model.facts["kind"], "VECTOR.npy")


def _readme(model: Model, to: str, written: ExportResult, parity: Parity) -> str:
    """README.md: what this is, how it was checked, and the program."""
    notes = "".join(f"* {line}\n" for line in written.says)
    use = (
        f"\n    pip install {' '.join(written.needs)}\n    python {PROGRAM} {_argument_name(model, written)}…\n\n"
        f"```python\n{written.code}```\n"
    )
    return (
        f"# {to}: a model exported by Headstart {__version__}\n\n"
        f"It answers what `{model.backbone.name}` with `{model.facts['method']}` on top answers. On {parity.n} inputs "
        f"that travel with the model, probabilities differ by {parity.largest:.1e} at most, and {parity.changed} "
        f"answers changed. Licence of the borrowed weights: {model.backbone.licence or 'not stated'}.\n\n{notes}"
    ) + (use if written.code else "")
