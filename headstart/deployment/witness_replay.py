"""Replays the witness of a model: its arrays are read, its head and then all of it must answer as when it was saved."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.backbone import Preprocess
from headstart.core.errors import ArtifactError, HeadstartError
from headstart.core.features import Ragged, stack_rows
from headstart.core.messages import first_line, type_and_first_line
from headstart.core.plan import Fitted, Model
from headstart.core.plugins import member
from headstart.core.task import Objective
from headstart.deployment import witness_images
from headstart.deployment.stored_arrays import FIX, read_npz
from headstart.deployment.witness import (
    GRID_SIZE,
    MAX_FILTER_LEVELS,
    MAX_INPUT_BYTES,
    TOLERANCES,
    WITNESS_COUNT,
    embed_uncached,
    preprocessing_stages,
)
from headstart.features.runner import Extractor

BOUNDED_SINCE = 4  # schema of cards; earlier versions took photos of any size along
SAME_PROBABILITY = 1e-5  # apart, where the scores are the same


def read(file: Path, objective: Objective, schema: int) -> dict[str, np.ndarray]:
    """The arrays of witness.npz. schema: of the card; before 4 none held decoded answers

    Raises ArtifactError where one is missing or has another form, or the objective gives other answers for the scores.
    """
    arrays = read_npz(file)
    scores = arrays.get("scores", np.zeros(0))
    n, texts = len(scores) if scores.ndim else 0, "windows0" in arrays
    if n > WITNESS_COUNT:
        raise ArtifactError(f"{file} has {n:,} inputs; {WITNESS_COUNT} are the most that we write. {FIX}")
    needed = [f"input{i}" for i in range(n)]
    needed += [f"{name}{i}" for i in range(n) for name in ("row", "windows")] if texts else ["rows"]
    missing = [name for name in needed if name not in arrays]
    if missing or scores.ndim != 2 or not n or (not texts and arrays["rows"].shape[:1] != (n,)):
        raise ArtifactError(f"{file} lacks {', '.join(missing[:3]) or 'scores of its inputs'}. {FIX}")
    width = objective.width
    if scores.shape[1] != width:
        raise ArtifactError(f"{file} has {scores.shape[1]} scores an input where card.json names {width} labels. {FIX}")
    _check_forms(arrays, n, file)
    if texts:
        _check_windows(arrays, n, file)
    if "answers" in arrays:
        _verify_answers(arrays, objective, file)
    elif schema >= 4:
        raise ArtifactError(f"{file} lacks the answers that its scores stand for. {FIX}")
    return arrays


def _check_forms(arrays: dict[str, np.ndarray], n: int, file: Path) -> None:
    """Raises ArtifactError where an array has another shape or type than ours."""
    scores, grids = arrays["scores"], (n, 2, GRID_SIZE, GRID_SIZE, 3)
    forms = {"units": ((n,), "U"), "decoded": ((n,), "U"), "sizes": ((n, 2), "iu"), "grids": (grids, "u")}
    forms |= {"normal": ((n, 2, 3), "f"), "probabilities": (scores.shape, "f"), "scores": (scores.shape, "f")}
    forms |= {f"input{i}": ((arrays[f"input{i}"].size,), "u") for i in range(n)}
    for name, (shape, kinds) in forms.items():
        array = arrays.get(name)
        if array is not None and (array.shape != shape or array.dtype.kind not in kinds):
            raise ArtifactError(f"{file}: {name} is {array.dtype} {array.shape}, which is no form of ours. {FIX}")
    if n > 1 and sum(arrays[f"input{i}"].size for i in range(n)) > MAX_INPUT_BYTES:
        raise ArtifactError(f"{file} has inputs of more than {MAX_INPUT_BYTES:,} bytes, as none of ours has. {FIX}")
    if any(arrays[f"input{i}"].itemsize != 1 for i in range(n)) or not np.isfinite(scores).all():
        raise ArtifactError(f"{file}: its inputs or scores have another form than ours, or hold NaN. {FIX}")
    rows = [a for name, a in arrays.items() if name.startswith("row")]
    if any(a.dtype.kind not in "fiu" for a in rows):
        raise ArtifactError(f"{file}: its features are no numbers. {FIX}")


def _check_windows(arrays: dict[str, np.ndarray], n: int, file: Path) -> None:
    """Raises ArtifactError where a text's windows are not its rows, or are none that a text is divided into.

    The first is full and the others share the rest: else padding to the longest could take any amount of memory.
    """
    whole = [arrays[f"windows{i}"] for i in range(n) if arrays[f"windows{i}"].dtype.kind in "iu"]
    most = max((int(windows.max(initial=0)) for windows in whole), default=0)
    for i in range(n):
        row, windows = arrays[f"row{i}"], arrays[f"windows{i}"]
        sound = windows.ndim == 1 and len(windows) and windows.dtype.kind in "iu" and row.ndim in (1, 2)
        sound = sound and windows.min() > 0 and int(windows.sum(dtype=object)) == len(row)
        many = sound and len(windows) > 1
        if not sound or (many and (windows[0] != most or len(windows) * most > 2 * len(row) + most)):
            raise ArtifactError(f"{file}: windows{i} are no parts of row{i}. {FIX}")


def _verify_answers(arrays: dict[str, np.ndarray], objective: Objective, file: Path) -> None:
    """Raises ArtifactError where the objective's facts, or what it makes of the stored scores, are not as stored."""
    try:
        stored = json.loads(arrays["answers"].tobytes())
        facts, labels = stored["objective"], stored["labels"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{file}: its answers are damaged ({first_line(error)}). {FIX}") from error
    where = f"{file.parent}: witness: answers:"
    now = json.loads(json.dumps(objective.facts()))
    if facts != now:
        changed = [name for name in now if not isinstance(facts, dict) or facts.get(name) != now[name]]
        raise ArtifactError(
            f"{where} {', '.join(changed) or 'labels'} in card.json are not those that were measured. {FIX}"
        )
    decoded = json.loads(json.dumps(objective.decode(arrays["scores"])))
    same = isinstance(labels, list) and len(labels) == len(decoded) and all(map(_same_label, labels, decoded))
    probabilities = arrays.get("probabilities")
    if objective.link != "identity":
        given = objective.probabilities(arrays["scores"])
        same = same and probabilities is not None and np.abs(given - probabilities).max() <= SAME_PROBABILITY
    if not same:
        raise ArtifactError(f"{where} card.json makes other answers of the same scores than were measured. {FIX}")


def _same_label(stored: object, decoded: object) -> bool:
    if isinstance(decoded, float):
        return isinstance(stored, float) and math.isclose(stored, decoded, rel_tol=1e-6, abs_tol=1e-300)
    return type(stored) is type(decoded) and stored == decoded


def stored_inputs(witness: dict[str, np.ndarray], kind: str) -> list[bytes | str]:
    """The inputs: file bytes, or texts where `kind` is "text"."""
    contents = [witness[f"input{i}"].tobytes() for i in range(len(witness["scores"]))]
    return [c.decode("utf-8", "replace") if kind == "text" else c for c in contents]


def without_costly(witness: dict[str, np.ndarray], model: Model) -> dict[str, np.ndarray]:
    """The witness without photos that take more memory or time than a load may. None is decoded.

    Raises ArtifactError unless it is of a version that had no such bound, and holds photos within it too.
    """
    spec, schema = model.backbone.preprocess, model.facts["schema"]
    inputs = stored_inputs(witness, model.facts["kind"])
    taken = witness_images.affordable(inputs, spec)
    if len(taken) == len(inputs):
        return witness
    if schema >= BOUNDED_SINCE or not taken:
        never = "as none of ours do" if schema >= BOUNDED_SINCE else "as an earlier version took them along"
        raise ArtifactError(
            f"{model.folder}: witness: its photos take more than {witness_images.MAX_BYTES >> 20} MB to decode, or "
            f"have more than {witness_images.MAX_PIXELS // 10**6} megapixels together, {never}. {FIX}"
        )
    of_all = {name: array[taken] for name, array in witness.items() if name != "answers" and name[:5] != "input"}
    return {**of_all, **{f"input{i}": witness[f"input{position}"] for i, position in enumerate(taken)}}


def verify_head(fitted: Fitted, witness: dict[str, np.ndarray], folder: Path) -> None:
    """Scores the witness's stored features, before a network is opened below the cut.

    Raises ArtifactError where that fails, or gives other scores than were stored.
    """
    try:
        change = relative_difference(fitted.scores(_stored_rows(witness)), witness["scores"])
    except Exception as error:  # arrays that do not fit one another: libraries raise what they like
        why = type_and_first_line(error)
        raise ArtifactError(f"{folder}: what was learned cannot answer its witness ({why}). {FIX}") from error
    if not change <= max(TOLERANCES.values()):
        raise ArtifactError(
            f"{folder}: witness: scores: the head gives other answers for the same embedding (moved by {change:.2%}). "
            f"{FIX}"
        )


def _stored_rows(witness: dict[str, np.ndarray]) -> Any:
    """The features at the cut, as they were when the witness was written."""
    if "windows0" not in witness:
        return witness["rows"]
    windows = [tuple(witness[f"windows{i}"].tolist()) for i in range(len(witness["scores"]))]
    return stack_rows([witness[f"row{i}"] for i in range(len(windows))], windows)


def verify_witness(
    model: Model, witness: dict[str, np.ndarray], extractor: Extractor, precision: str = "float32"
) -> float:
    """Runs the witness's inputs through the model; gives the largest change of a score, relative to the largest score.

    witness: of `read`.  precision: in which `extractor` computes; selects the tolerance
    Raises ArtifactError naming the first stage that differs: decode, resize, crop, normalise or tokens, embedding,
    scores.
    """
    spec, tolerance = model.backbone.preprocess, TOLERANCES[precision]
    witness = without_costly(witness, model)
    inputs, stored = stored_inputs(witness, model.facts["kind"]), _stored_rows(witness)
    try:
        prepared = _prepare(inputs, spec)
        rows, reasons = embed_uncached(prepared, spec, model.cut, extractor)
        if not reasons:
            change = relative_difference(model.fitted.scores(rows), witness["scores"])
            row_change = _row_difference(rows, stored)
    except HeadstartError:
        raise
    except Exception as error:  # a network and a head that do not fit one another: libraries raise what they like
        why = type_and_first_line(error)
        raise ArtifactError(f"{model.folder}: witness: it cannot be answered here ({why}). {FIX}") from error
    if reasons:
        reason = next(iter(reasons.values()))
        raise ArtifactError(
            f"{model.folder}: witness: an input that was read when the model was saved cannot be read now: {reason}."
        )
    if change <= tolerance:
        return change
    stage = _first_difference(model, witness, inputs, row_change, tolerance)
    raise ArtifactError(
        f"{model.folder}: witness: this installation gives other answers than were measured. First to differ is the "
        f"{stage}. Scores moved by {change:.2%}, {tolerance:.1%} is allowed. Install the versions of the fit, or fit "
        "again."
    )


def _prepare(inputs: Sequence[bytes | str], spec: Preprocess) -> list:
    """The inputs as the network takes them, one by one where they are large."""
    prepare = member("preprocess", spec.kind).prepare
    if spec.kind != "image" or all(isinstance(i, bytes) and witness_images.is_surely_small(i) for i in inputs):
        return prepare(inputs, spec)
    return [units for content in inputs for units in prepare([content], spec)]


def _first_difference(model: Model, witness: dict, inputs: Sequence, row_change: float, tolerance: float) -> str:
    """Which stage is the first whose output differs, and by how much."""
    if row_change <= tolerance:
        return "scores: the head gives other answers for the same embedding"
    unchecked = "decoding, resizing or " if model.facts["kind"] == "image" else ""
    photos = [content for content in inputs if isinstance(content, bytes)] if unchecked else []
    if all(map(witness_images.fits_whole, photos)):
        difference = _preprocessing_difference(witness, preprocessing_stages(inputs, model.backbone.preprocess))
        if difference:
            return difference
        unchecked = "" if "decoded" in witness else unchecked
    return f"embedding: it moved by {row_change:.1%} for the same file bytes: {unchecked}the network differs here"


def _preprocessing_difference(witness: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> str:
    """The first stage before the network that differs; "" where none does, or none was stored."""
    if "decoded" in witness:
        if not np.array_equal(witness["sizes"], now["sizes"]):
            return "decode: images are decoded to another size or orientation"
        differs = witness["decoded"] != now["decoded"]
        if differs.any():
            by = f"block means by up to {_grid_difference(witness, now, 0):.0f} of 255"
            return f"decode: {differs.sum()} of {len(differs)} images are decoded to other pixels ({by})"
    if "units" in witness and (witness["units"] != now["units"]).any():
        if "grids" not in witness:
            return "tokens: the same text gives other tokens" if "sizes" not in now else ""
        levels = _grid_difference(witness, now, 1)
        stage = "crop: another part of the images" if levels > MAX_FILTER_LEVELS else "resize: another filter"
        return f"{stage} is used (block means differ by up to {levels:.0f} of 255)"
    if "normal" in witness and np.abs(witness["normal"] - now["normal"]).max() > 1e-3:
        return "normalise: pixels are normalised with another mean or standard deviation"
    return ""


def _grid_difference(witness: dict[str, np.ndarray], now: dict[str, np.ndarray], which: int) -> float:
    """The largest change of a block's mean. which: 0 of the decoded image, 1 of the cropped one"""
    a, b = (stages["grids"][:, which].astype(np.float64) for stages in (witness, now))
    return float(np.abs(a - b).max())


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two arrays, relative to the largest of b; infinite where shapes differ, NaN kept."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-6))


def _row_difference(a: Any, b: Any) -> float:
    """`relative_difference` of features, also of unequal length: 1 where the lengths differ."""
    if not isinstance(a, Ragged):
        return relative_difference(a, b)
    return max(relative_difference(x, y) if x.shape == y.shape else 1.0 for x, y in zip(a.items, b.items, strict=True))
