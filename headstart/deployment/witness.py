"""The witness: a dozen inputs as file bytes, the scores that they must give, and the output of each stage for them.

witness.npz, n inputs:
    input0 …    (b,) uint8, the file's bytes
    scores      (n, k) float32.   rows (n, …), or row0 … and windows0 … of texts below the top: features at the cut
    units       n digests of the network's inputs: token ids, or pixels after the crop
    decoded     n digests of an image's decoded pixels; sizes (n, 2), width and height
    grids       (n, 2, 8, 8, 3) uint8, means of 8 x 8 blocks of the decoded and of the cropped image
    normal      (n, 2, 3) float32, mean and standard deviation of each channel after normalisation
The last four are there where an image was decoded in this run or an earlier one.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core import digest
from headstart.core.arrays import load_or_compute_arrays
from headstart.core.backbone import Cut, Preprocess
from headstart.core.errors import ArtifactError, Unreadable
from headstart.core.features import Ragged, stack_rows
from headstart.core.messages import type_and_first_line
from headstart.core.plan import Fitted, Model, Plan
from headstart.core.plugins import member
from headstart.core.task import Example, Task
from headstart.data import contents as example_contents
from headstart.deployment import validate_folder
from headstart.deployment.validate_folder import FIX
from headstart.features import image_decoding
from headstart.features.extract import features_at_cut
from headstart.features.runner import Extractor

WITNESS_COUNT = 12
MAX_INPUT_BYTES = 2_000_000  # of all witnesses together, so that a model folder stays small; the first is always taken
# Largest allowed change of a score, relative to the largest, by the network's precision. float32: another batch size
# or thread count changes sums by 2e-5 at most over the three hub backbones; a wrong mean or crop by more than 1e-1.
# float16 and bfloat16 round each product to 11 and 8 bits.
TOLERANCES = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2, "mixed": 5e-2}
GRID_SIZE = 8
MAX_FILTER_LEVELS = 6.0  # of 255: another resize filter changes a block's mean by less, another crop by more


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Examples that witnesses are drawn from.

    rows: m features at the cut.  indices: (m,) int64, which examples of the task they are
    images_opened: whether this run has decoded images anyway
    """

    rows: Any
    indices: np.ndarray
    images_opened: bool = False


def write(file: Path, task: Task, plan: Plan, fitted: Fitted, candidates: Candidates, root: Path) -> None:
    """Writes witness.npz of a fitted task. root: the cache folder, where the stages' outputs for images are kept"""
    positions = select_witnesses(task, candidates.indices)
    rows = candidates.rows[np.array(positions)]
    arrays: dict[str, np.ndarray] = {"scores": fitted.scores(rows)}
    if isinstance(rows, Ragged):
        for n, (item, windows) in enumerate(zip(rows.items, rows.windows, strict=True)):
            arrays |= {f"row{n}": np.asarray(item), f"windows{n}": np.array(windows)}
    else:
        arrays["rows"] = np.asarray(rows)
    examples = [task.examples[candidates.indices[i]] for i in positions]
    contents = [example_contents.read_content(example) for example in examples]
    for n, content in enumerate(contents):
        arrays[f"input{n}"] = np.frombuffer(content.encode() if isinstance(content, str) else content, np.uint8)
    spec = plan.backbone.preprocess
    # Decoding imports an image library (0.1 s): a fit from the cache takes what an earlier one stored, or nothing.
    stored = root / "witness" / f"{digest.of_value([spec.kind, list(spec.settings), [e.digest for e in examples]])}.npz"
    if task.kind != "image":
        arrays |= preprocessing_stages(contents, spec)
    elif candidates.images_opened or stored.is_file():
        arrays |= load_or_compute_arrays(stored, root, lambda: preprocessing_stages(contents, spec))
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    file.write_bytes(buffer.getvalue())


def preprocessing_stages(contents: Sequence[bytes | str], spec: Preprocess) -> dict[str, np.ndarray]:
    """Each stage's output for inputs: `units`, and for images `decoded`, `sizes`, `grids` and `normal`."""
    prepare = member("preprocess", spec.kind)
    prepared = prepare.prepare(contents, spec)
    arrays = {"units": np.array([_units_digest(units) for units in prepared])}
    if spec.kind != "image":
        return arrays
    images = [np.asarray(image_decoding.decode_image(content)) for content in contents if isinstance(content, bytes)]
    cropped = [units[0] for units in prepared]
    pixels = [next(iter(prepare.batch([unit], spec).values()))[0] for unit in cropped]
    return arrays | {
        "decoded": np.array([digest.of_bytes(np.ascontiguousarray(p).tobytes()) for p in images]),
        "sizes": np.array([(p.shape[1], p.shape[0]) for p in images], np.int32),
        "grids": np.stack([[_block_means(p), _block_means(u)] for p, u in zip(images, cropped, strict=True)]),
        "normal": np.stack([[p.mean((1, 2)), p.std((1, 2))] for p in pixels]).astype(np.float32),
    }


def _units_digest(units: list[np.ndarray] | Unreadable) -> str:
    return "" if isinstance(units, Unreadable) else digest.of_bytes(b"".join(u.tobytes() for u in units))


def _block_means(image: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 -> (8, 8, 3) uint8: the mean of each block; of a smaller image, its pixels."""
    h, w = image.shape[:2]
    rows, columns = (np.unique(np.arange(GRID_SIZE) * size // GRID_SIZE) for size in (h, w))
    sums = np.add.reduceat(np.add.reduceat(image.astype(np.float64), rows, 0), columns, 1)
    counts = np.diff([*rows, h])[:, None, None] * np.diff([*columns, w])[None, :, None]
    means = np.zeros((GRID_SIZE, GRID_SIZE, 3), np.uint8)
    means[: len(rows), : len(columns)] = np.rint(sums / counts)
    return means


def select_witnesses(task: Task, indices: np.ndarray) -> list[int]:
    """Positions in `indices`: one a label in turn, the smallest first, while they fit into MAX_INPUT_BYTES."""
    sizes = [_size(task.examples[i]) for i in indices]
    by_label: dict[str, list[int]] = {}
    for position in sorted(range(len(indices)), key=lambda p: (sizes[p], task.examples[indices[p]].id)):
        by_label.setdefault(str(task.examples[indices[position]].label), []).append(position)
    selected: list[int] = []
    total = 0
    for depth in range(WITNESS_COUNT):
        for label in sorted(by_label):
            if depth >= len(by_label[label]) or len(selected) == WITNESS_COUNT:
                continue
            position = by_label[label][depth]
            if not selected or total + sizes[position] <= MAX_INPUT_BYTES:
                selected.append(position)
                total += sizes[position]
    return selected


def _size(example: Example) -> int:
    if isinstance(example.content, Path):
        return example.content.stat().st_size
    return len(example.content) if isinstance(example.content, bytes | str) else 0


def read(file: Path, width: int) -> dict[str, np.ndarray]:
    """The arrays of witness.npz. width: of scores. Raises ArtifactError where one is missing or has another shape."""
    arrays = validate_folder.read_npz(file)
    scores = arrays.get("scores", np.zeros(0))
    n, texts = len(scores), "windows0" in arrays
    needed = [f"input{i}" for i in range(n)]
    needed += [f"{name}{i}" for i in range(n) for name in ("row", "windows")] if texts else ["rows"]
    missing = [name for name in needed if name not in arrays]
    if missing or scores.ndim != 2 or not n or (not texts and len(arrays["rows"]) != n):
        raise ArtifactError(f"{file} lacks {', '.join(missing[:3]) or 'scores of its inputs'}. {FIX}")
    if scores.shape[1] != width:
        raise ArtifactError(f"{file} has {scores.shape[1]} scores an input where card.json names {width} labels. {FIX}")
    grids = (n, 2, GRID_SIZE, GRID_SIZE, 3)
    shapes = {"units": (n,), "decoded": (n,), "sizes": (n, 2), "grids": grids, "normal": (n, 2, 3)}
    misshapen = [name for name, shape in shapes.items() if name in arrays and arrays[name].shape != shape]
    if misshapen or any(arrays[f"input{i}"].dtype != np.uint8 for i in range(n)) or scores.dtype.kind != "f":
        raise ArtifactError(f"{file}: {misshapen or 'its inputs or scores'} have another form than ours. {FIX}")
    return arrays


def stored_inputs(witness: dict[str, np.ndarray], kind: str) -> list[bytes | str]:
    """The inputs: file bytes, or texts where `kind` is "text"."""
    contents = [witness[f"input{i}"].tobytes() for i in range(len(witness["scores"]))]
    return [c.decode("utf-8", "replace") if kind == "text" else c for c in contents]


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


def verify_witness(model: Model, extractor: Extractor, precision: str = "float32") -> float:
    """Runs the witness's inputs through the model; gives the largest change of a score, relative to the largest score.

    precision: in which `extractor` computes; selects the tolerance
    Raises ArtifactError naming the first stage that differs: decode, resize, crop, normalise or tokens, embedding,
    scores.
    """
    witness = read(model.folder / "witness.npz", model.objective.width)
    spec, tolerance = model.backbone.preprocess, TOLERANCES[precision]
    inputs, stored = stored_inputs(witness, model.facts["kind"]), _stored_rows(witness)
    rows, reasons = embed_uncached(member("preprocess", spec.kind).prepare(inputs, spec), spec, model.cut, extractor)
    if reasons:
        reason = next(iter(reasons.values()))
        raise ArtifactError(
            f"{model.folder}: witness: an input that was read when the model was saved cannot be read now: {reason}."
        )
    change = relative_difference(model.fitted.scores(rows), witness["scores"])
    if change <= tolerance:
        return change
    stage = _first_difference(model, witness, inputs, _row_difference(rows, stored), tolerance)
    raise ArtifactError(
        f"{model.folder}: witness: this installation gives other answers than were measured. First to differ is the "
        f"{stage}. Scores moved by {change:.2%}, {tolerance:.1%} is allowed. Install the versions of the fit, or fit "
        "again."
    )


def _first_difference(model: Model, witness: dict, inputs: Sequence, row_change: float, tolerance: float) -> str:
    """Which stage is the first whose output differs, and by how much."""
    if row_change <= tolerance:
        return "scores: the head gives other answers for the same embedding"
    difference = _preprocessing_difference(witness, preprocessing_stages(inputs, model.backbone.preprocess))
    if difference:
        return difference
    unchecked = "" if "decoded" in witness or model.facts["kind"] != "image" else "decoding, resizing or "
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


def embed_uncached(
    prepared: list, spec: Preprocess, cut: Cut, extractor: Extractor
) -> tuple[Any, dict[int, Unreadable]]:
    """Embeds prepared inputs without the cache: features of the readable ones, and why the others are not.

    prepared: units of each input, or Unreadable
    """
    reasons = {i: units for i, units in enumerate(prepared) if isinstance(units, Unreadable)}
    crossed = features_at_cut([units for units in prepared if not isinstance(units, Unreadable)], spec, cut, extractor)
    windows = [w for _, w in crossed if w]
    return stack_rows([row for row, _ in crossed], windows) if crossed else np.zeros((0, 0), np.float32), reasons
