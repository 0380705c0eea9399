"""`headstart export`: a saved model in a form that other programs run, proven on its witness before it is in place."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.errors import PlanError, SourceError
from headstart.core.files import write_whole
from headstart.core.plan import Model
from headstart.core.plugins import member, names
from headstart.core.settings import settings_of
from headstart.core.version import __version__
from headstart.deployment.export.calibration_inputs import held_out, witnesses
from headstart.deployment.export.parity import Parity, Said, Written, hold, ours, parity
from headstart.deployment.model_folder import load
from headstart.features.cache import store
from headstart.features.extract import Running

FACTS = "export.json"
SPREADS = 0.05  # of the labels, that a number may move by for each per cent of the limit
PROGRAM, README = "predict.py", "README.md"


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """What an export gave: its folder, and export.json as a dict."""

    folder: Path
    facts: dict


def export(
    folder: str | Path,
    to: str,
    *,
    into: str | Path | None = None,
    settings: dict[str, str] | None = None,
    limit: float = 1.0,
    root: Path | None = None,
) -> Exported:
    """Writes a saved model in another form, after that form has given the model's own answers to the same bytes.

    folder: a run folder or a model folder.  to: a file in formats/: onnx, openvino, torch, web …
    into: where to; default <folder>/export/<to>. An earlier export there is kept as <into>.previous
    settings: of the format, as text.  limit: points of held-out accuracy that rounding to 8 bits may cost; where the
    run's data are gone, per cent of the witness's answers.  root: the cache folder; default the user's
    Raises PlanError for what a format cannot hold, ArtifactError where it answers otherwise, SourceError where
    something else lies at `into`.
    """
    root, folder = root or store.default_root(), Path(folder)
    place = Path(into) if into else folder / "export" / to
    form: Any = member("formats", to)
    asked = settings_of(form, settings or {})
    _room(place)
    model, running = load(folder, root)
    new = place.with_name(f".{place.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        written = form.write(model, running, new, asked)
        found, proven = _proven(model, running, written, to, limit)
        facts = {**_facts(model, new, to, written, found), **proven}
        write_whole(new / FACTS, facts)
        _settle(new, place)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return Exported(place, facts)


def forms() -> dict[str, str]:
    """Every format, and what it is in a line."""
    found: dict[str, str] = {}
    for name in names("formats"):
        module: Any = member("formats", name)
        found[name] = module.SAYS
    return found


def _room(place: Path) -> None:
    """Raises SourceError where something that is no export lies at the place, or keeps an earlier one from it."""
    previous = place.with_name(place.name + ".previous")
    for some in (place, previous):
        if some.exists() and (not some.is_dir() or (any(some.iterdir()) and not (some / FACTS).exists())):
            raise SourceError(f"{some} exists and is no export of Headstart. Name another folder with --into.")


def _settle(new: Path, place: Path) -> None:
    """What was written takes its place; what lay there is kept as `.previous`."""
    if place.exists():
        previous = place.with_name(place.name + ".previous")
        shutil.rmtree(previous, ignore_errors=True)
        place.rename(previous)
    new.rename(place)


def _proven(model: Model, running: Running, written: Written, to: str, limit: float) -> tuple[Parity, dict]:
    """The export on the witness, and where numbers were rounded also on what was held out."""
    contents = witnesses(model)
    found = hold(model, ours(model, running, contents), written.answer(contents), written, to)
    if not written.judged:
        return found, {}
    truth, some = held_out(model)
    on = "held-out inputs" if some else "inputs of the witness"
    some = some or contents
    mine, theirs = ours(model, running, some), written.answer(some)
    other = parity(model, mine, theirs)
    changed = 100 * other.changed / other.n
    drop = 100 * (_right(model, mine, truth) - _right(model, theirs, truth)) if truth else 0.0
    facts = {"judged_on": on, "n": other.n, "changed_percent": changed, "accuracy_drop": drop if truth else None}
    number = model.objective.link == "identity"
    worse = drop > limit if truth and not number else changed > limit
    if worse or (number and other.largest > limit * SPREADS):
        said = f"accuracy falls by {drop:.1f} points, and " if truth and not number else ""
        moved = f"answers move by up to {other.largest:.2g} spreads" if number else f"{other.changed} answers change"
        raise PlanError(
            f"{to}: rounded so, {said}{moved} on {other.n} {on}; {limit:g} % is allowed. Nothing was written. Take "
            "--set precision=f16, or allow more with --limit."
        )
    return other, {"rounded": facts}


def _right(model: Model, said: Said, truth: Sequence[str]) -> float:
    """Share of right answers; of tags, of rows that are right as a whole."""
    if model.objective.link == "identity":
        return 0.0
    answers = model.objective.decode(np.log(np.maximum(said.probabilities, 1e-12)))
    if model.objective.link == "sigmoid":
        answers = model.objective.decode(np.where(said.probabilities > 0.5, 1.0, -1.0))
    shown = [";".join(a) if isinstance(a, list | tuple) else str(a) for a in answers]
    return float(np.mean([a == b for a, b in zip(shown, truth, strict=True)]))


def _facts(model: Model, new: Path, to: str, written: Written, found: Parity) -> dict:
    """export.json; writes the program and its page beside it."""
    if written.code:
        (new / PROGRAM).write_text(written.code, encoding="utf-8")
    (new / README).write_text(_page(model, to, written, found), encoding="utf-8")
    files = sorted(p for p in new.rglob("*") if p.is_file())
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
        "files": {
            str(p.relative_to(new)): {"sha256": digest.of_files([p]).removeprefix("sha256:"), "bytes": p.stat().st_size}
            for p in files
        },
        "bytes": sum(p.stat().st_size for p in files),
        "largest_difference": found.largest,
        "tolerance": written.tolerance,
        "witness": asdict(found),
        "needs": list(written.needs),
        "takes": _noun(model, written),
        "says": list(written.says),
        **written.more,
    }


def _noun(model: Model, written: Written) -> str:
    return written.takes or {"image": "PHOTO", "text": "'A TEXT'"}.get(model.facts["kind"], "VECTOR.npy")


def _page(model: Model, to: str, written: Written, found: Parity) -> str:
    """README.md: what this is, how it was proven, and the program."""
    says = "".join(f"* {line}\n" for line in written.says)
    use = (
        f"\n    pip install {' '.join(written.needs)}\n    python {PROGRAM} {_noun(model, written)}…\n\n"
        f"```python\n{written.code}```\n"
    )
    return (
        f"# {to}: a model exported by Headstart {__version__}\n\n"
        f"It answers what `{model.backbone.name}` with `{model.facts['method']}` on top answers. On {found.n} inputs "
        f"that travel with the model, probabilities differ by {found.largest:.1e} at most, and {found.changed} answers "
        f"changed. Licence of the borrowed weights: {model.backbone.licence or 'not stated'}.\n\n{says}"
    ) + (use if written.code else "")
